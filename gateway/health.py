"""Probes and figures: liveness, readiness, and /stats for operators. Prometheus has gateway.metrics."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chargers.queries import counts as charger_counts
from gateway import draining, lag, layers, openapi
from gateway.app_socket import open_sockets
from gateway.ocpp.socket import present_charger_ids
from sessions.queries import counts as session_counts

logger = logging.getLogger(__name__)

PROBE_TIMEOUT_S = 3
OK = "ok"


@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """The process answers. Asks nothing of anybody else, so a database that is away restarts no server."""
    return _uncached({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Whether this process is one to send new clients to; 503, with the parts, if it is not.

    `draining`: it is about to leave. `degraded` is 200: without the bus, chargers are heard and their facts are stored,
    and every other process lacks the same bus, so turning clients away here would leave them nowhere to go.
    """
    if draining.is_draining():
        return _uncached({"status": "draining"}, status=503)
    found = parts()
    ok = is_ready(found)
    status = ("ok" if found["bus"] == OK else "degraded") if ok else "unavailable"
    return _uncached({"status": status, **found}, status=200 if ok else 503)


def parts() -> dict[str, str]:
    """What this process needs, and how each of it is: `ok`, or what is wrong."""
    checks = {"database": _database, "migrations": _migrations, "bus": _bus, "event_loop": _event_loop}
    return {name: _probe(check) for name, check in checks.items()}


def is_ready(found: dict[str, str]) -> bool:
    return not draining.is_draining() and all(word == OK for name, word in found.items() if name != "bus")


def _uncached(data: dict[str, str], status: int = 200) -> JsonResponse:
    answer = JsonResponse(data, status=status, headers={"Cache-Control": "no-store"})
    answer._has_been_logged = True  # type: ignore[attr-defined]  # Django writes an error for each 503; this is none
    return answer


def _probe(check: Callable[[], str]) -> str:
    try:
        return check() or OK
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
    return "" if layers.is_up() else "a Redis is away"


def _event_loop() -> str:
    return f"{lag.steady_s():.1f} s behind" if lag.is_behind() else ""


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
