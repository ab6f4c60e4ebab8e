"""What a server process does besides serving: sweep, confirm its chargers' presence, end revoked tokens.

Started by the server's lifespan, or, under a server that has none (Daphne), by the first connection.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from asgiref.sync import markcoroutinefunction
from django.conf import settings
from django.db import InterfaceError, OperationalError

from chargers import bus
from gateway import app_socket, lag, lockout, logins, tracing
from gateway.app_socket import close_revoked
from gateway.db import close_pool
from gateway.leader import Leader
from gateway.ocpp import socket as charger_socket
from gateway.ocpp.socket import confirm_presence
from gateway.ocpp.standstill import give_sign
from gateway.ocpp.wire_log import stop_wire_log
from gateway.ocpp.writer import stop_writer
from gateway.resync import Resync, retell_chargers
from gateway.signing import sign_certificates
from sessions.sweeping import PARTS, TIDYING

logger = logging.getLogger(__name__)

FLUSH_TIMEOUT_S = 2
FORGETTING = {"log_ins": logins.forget_expired, "failed_log_ins": lockout.forget_old}
TIDY_ROUNDS = 12  # of sweeps, in one of which what is old is forgotten, too
LEASE_ROUNDS = 4  # missed by the process that sweeps, before another does
REVOCATION_INTERVAL_S = 3  # a disabled user hears nothing more within 5 s
STUCK_INTERVAL_S, MISSED_INTERVAL_S = 5, 10

App = Callable[[Any, Any, Any], Awaitable[None]]


class Background:
    """The tasks of one process, on one event loop."""

    def __init__(self) -> None:
        tracing.start()
        self.loop = asyncio.get_running_loop()
        self.resync = Resync(charger_socket.resync, app_socket.catch_up, retell_chargers)
        self.detach_bus = bus.attach(self.resync.lost)
        self.leader = Leader(max_silence_s=LEASE_ROUNDS * settings.SWEEP_INTERVAL_S)
        self.tasks = [
            asyncio.create_task(_every(settings.SWEEP_INTERVAL_S / 2, partial(_sweep, self.leader))),
            asyncio.create_task(_every(settings.SWEEP_INTERVAL_S, sign_certificates)),
            asyncio.create_task(_every(settings.PRESENCE_INTERVAL_S, confirm_presence)),
            asyncio.create_task(_every(REVOCATION_INTERVAL_S, close_revoked)),
            asyncio.create_task(_every(STUCK_INTERVAL_S, app_socket.close_stuck)),
            asyncio.create_task(_every(MISSED_INTERVAL_S, app_socket.look_for_missed)),
            asyncio.create_task(_every(1, give_sign)),
            asyncio.create_task(lag.watch()),
            asyncio.create_task(self.resync.run()),
        ]

    async def stop(self) -> None:
        global _background
        _background = None  # a server begun after this one begins anew
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.leader.stop()
        await stop_writer()
        await stop_wire_log()
        await bus.flush(timeout_s=FLUSH_TIMEOUT_S)
        self.detach_bus()
        await asyncio.get_running_loop().run_in_executor(None, close_pool)
        await asyncio.get_running_loop().run_in_executor(None, tracing.stop)


async def _every(seconds: float, work: Callable[[], Awaitable[Any]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Exception:  # the database may be away; the next round tries again
            logger.exception("background work failed")


swept_at = 0.0  # Unix time, 0 if never by this process


_rounds = itertools.count()


async def _sweep(leader: Leader) -> None:
    """Part after part over half the interval, if we lead: done at once they would hold up what is served meanwhile."""
    global swept_at
    tidies = next(_rounds) % TIDY_ROUNDS == 0
    parts = PARTS | (TIDYING | FORGETTING if tidies else {})
    has_failed = False
    for name, part in parts.items():
        try:
            if await leader.run(part) is None:
                return
        except (OperationalError, InterfaceError):  # the database is away, for the others too
            raise
        except Exception:
            logger.exception("the sweep of %s failed", name)
            has_failed = True
        await asyncio.sleep(settings.SWEEP_INTERVAL_S / 2 / len(parts))
    if not has_failed:
        swept_at = time.time()


_background: Background | None = None


def ensure_started() -> Background:
    global _background
    if _background is None or _background.loop is not asyncio.get_running_loop():
        _background = Background()
    return _background


def with_background(app: App) -> App:
    """The application, with its background work and the ASGI lifespan."""

    def application(scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        if scope["type"] == "lifespan":
            return _lifespan(receive, send)
        ensure_started()
        return app(scope, receive, send)

    return markcoroutinefunction(application)


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            ensure_started()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await ensure_started().stop()
            await send({"type": "lifespan.shutdown.complete"})
            return
