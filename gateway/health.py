"""Probes and figures: liveness, readiness, /stats for operators, /metrics for Prometheus."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from drf_spectacular.utils import OpenApiResponse, extend_schema
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chargers.queries import counts as charger_counts
from gateway import openapi
from gateway.app_socket import open_sockets
from gateway.ocpp.socket import present_charger_ids
from sessions.queries import counts as session_counts

logger = logging.getLogger(__name__)

PROBE_TIMEOUT_S = 3


@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """The process answers. Asks nothing of anybody else, so a database that is away restarts no server."""
    return _uncached({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Whether this process can serve: database, migrations, bus. 503 with the parts if not."""
    parts = {"database": _probe(_database), "migrations": _probe(_migrations), "bus": _probe(_bus)}
    ok = all(part == "ok" for part in parts.values())
    return _uncached({"status": "ok" if ok else "unavailable", **parts}, status=200 if ok else 503)


def _uncached(data: dict[str, str], status: int = 200) -> JsonResponse:
    return JsonResponse(data, status=status, headers={"Cache-Control": "no-store"})


def _probe(check: Callable[[], str]) -> str:
    try:
        return check() or "ok"
    except Exception as error:  # whatever it is, the answer is that it does not work
        logger.warning("not ready: %s", error)
        return type(error).__name__


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return ""


_migrated = False


def _migrations() -> str:
    """Asked until they are all there; a process does not outlive its own code, so then it is settled."""
    global _migrated
    if not _migrated:
        executor = MigrationExecutor(connection)
        if pending := executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return f"{len(pending)} to apply"
        _migrated = True
    return ""


def _bus() -> str:
    async_to_sync(_say_something)()
    return ""


async def _say_something() -> None:
    layer: Any = get_channel_layer()
    await asyncio.wait_for(layer.group_send("health", {"type": "health"}), PROBE_TIMEOUT_S)


# --- figures ---


class Connections(msgspec.Struct, kw_only=True):
    """Open sockets of this process."""

    apps: int
    chargers: int


class Figures(msgspec.Struct, kw_only=True):
    """Connections and users of this process; chargers and open sessions of the installation, by state."""

    connections: Connections
    users: int
    chargers: dict[str, int]
    sessions: dict[str, int]


class Stats(APIView):
    """Connections of this process, users, and the installation's chargers and sessions by state."""

    permission_classes = [IsAdminUser]

    @extend_schema(
        operation_id="stats",
        tags=["operators"],
        responses={200: OpenApiResponse(Figures, "Now"), **openapi.failures(403)},
    )
    def get(self, request: Request) -> Response:
        return Response(msgspec.to_builtins(figures()))


def figures() -> Figures:
    return Figures(
        connections=connections(),
        users=len({socket.claims.user_id for socket in list(open_sockets)}),
        chargers=charger_counts(),
        sessions=session_counts(),
    )


def connections() -> Connections:
    return Connections(apps=len(open_sockets), chargers=len(present_charger_ids()))


class _Gauges:
    """The figures as Prometheus gauges, read when it asks. Without a database, those of the process alone."""

    def collect(self) -> list[GaugeMetricFamily]:
        rows: list[tuple[str, str, str, dict[str, int]]] = [
            (
                "evcharge_ws_connections",
                "Open sockets of this process",
                "role",
                msgspec.to_builtins(connections()),
            )
        ]
        try:
            rows += [
                ("evcharge_chargers", "Chargers of the installation", "state", charger_counts()),
                (
                    "evcharge_sessions",
                    "Open charging sessions of the installation",
                    "status",
                    session_counts(),
                ),
            ]
        except (DatabaseError, InterfaceError) as error:
            logger.warning("metrics without the database's: %s", error)
        return [_gauge(*row) for row in rows]


def _gauge(name: str, meaning: str, label: str, values: dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


_registry = CollectorRegistry()
ProcessCollector(registry=_registry)
PlatformCollector(registry=_registry)
GCCollector(registry=_registry)
_registry.register(_Gauges())


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For the scraper of each process. Open to all who reach the port, so totals only: no names, no ids."""
    return HttpResponse(generate_latest(_registry), content_type=CONTENT_TYPE_LATEST)
