"""Probes and figures: liveness, readiness, /stats for operators, /metrics for Prometheus."""

from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from drf_spectacular.utils import extend_schema
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


def live(request: HttpRequest) -> JsonResponse:
    """The process answers. Asks nothing of anybody else, so a database that is away restarts no server."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """Whether this process can serve: database, migrations, bus. 503 with the parts if not."""
    parts = {"database": _probe(_database), "migrations": _probe(_migrations), "bus": _probe(_bus)}
    ok = all(part == "ok" for part in parts.values())
    return JsonResponse({"status": "ok" if ok else "unavailable", **parts}, status=200 if ok else 503)


def _probe(check: Any) -> str:
    try:
        return check() or "ok"
    except Exception as error:  # whatever it is, the answer is that it does not work
        return type(error).__name__


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _migrations() -> str:
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return f"{len(pending)} to apply" if pending else ""


def _bus() -> None:
    layer = get_channel_layer()
    async_to_sync(layer.group_send)("health", {"type": "health"})  # type: ignore[union-attr]


class Stats(APIView):
    """Connections of this process, users, and the installation's chargers and sessions by state."""

    permission_classes = [IsAdminUser]

    @extend_schema(operation_id="stats", responses={200: openapi.raw({"type": "object"})})
    def get(self, request: Request) -> Response:
        return Response(figures())


def figures() -> dict[str, Any]:
    return {
        "connections": {"apps": len(open_sockets), "chargers": len(present_charger_ids())},
        "users": len({socket.claims.user_id for socket in open_sockets}),
        "chargers": charger_counts(),
        "sessions": session_counts(),
    }


class _Figures:
    """The figures as Prometheus gauges, read when it asks."""

    def collect(self) -> list[GaugeMetricFamily]:
        data = figures()
        families = []
        for name, meaning, label, values in (
            ("evcharge_ws_connections", "Open sockets of this process", "role", data["connections"]),
            ("evcharge_chargers", "Chargers of the installation", "state", data["chargers"]),
            ("evcharge_sessions", "Open charging sessions of the installation", "status", data["sessions"]),
        ):
            family = GaugeMetricFamily(name, meaning, labels=[label])
            for key, value in values.items():
                family.add_metric([key], value)
            families.append(family)
        return families


_registry = CollectorRegistry()
ProcessCollector(registry=_registry)
PlatformCollector(registry=_registry)
GCCollector(registry=_registry)
_registry.register(_Figures())  # type: ignore[arg-type]


def metrics(request: HttpRequest) -> HttpResponse:
    """For the scraper of each process; totals only, no ids."""
    return HttpResponse(generate_latest(_registry), content_type=CONTENT_TYPE_LATEST)
