"""The loop that keeps a simulated charger connected to a central system, whatever becomes of its sockets."""

from __future__ import annotations

import asyncio
import base64
import logging
import random
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from gateway.ocpp.simulated_happenings import misfortunes

if TYPE_CHECKING:
    from gateway.ocpp.simulator import SimulatedCharger

log = logging.getLogger(__name__)

SUBPROTOCOL = Subprotocol("ocpp1.6")
CLOSED_LATE_S = 5.0
"""For how long a socket stays open that the charger has given up without a word."""


async def dial(
    charger: SimulatedCharger,
    url: str | Callable[[], str],
    *,
    redial_s: float = 1.0,
    redial_most_s: float = 30.0,
) -> None:
    """Keep a charger connected to `<url>/ocpp/<identity>` until cancelled; a function gives each time's url.

    After a connection on which the server spoke it redials after about `redial_s`; after one that came to
    nothing the pause doubles up to `redial_most_s`. Pauses are jittered: a fleet shall not come back at once.
    """
    chance, loop = random.Random(charger.identity), asyncio.get_running_loop()
    pause_s = redial_s
    charger.spawn(misfortunes(charger))
    try:
        while True:
            base = url if isinstance(url, str) else url()
            heard = await _dial_once(charger, f"{base.rstrip('/')}/ocpp/{quote(charger.identity, safe='')}")
            pause_s = redial_s if heard else min(pause_s * 2, redial_most_s)
            await asyncio.sleep(max(pause_s * chance.uniform(0.5, 1.5), charger.away_until - loop.time()))
    finally:
        await charger.close()


async def _dial_once(charger: SimulatedCharger, url: str) -> bool:
    """One connection from handshake to end; True if the server said anything on it."""
    try:
        connection = await connect(
            url,
            subprotocols=[SUBPROTOCOL],
            additional_headers=basic_auth(charger),
            ping_interval=charger.settings.seconds("WebSocketPingInterval") or None,
            compression=None,
            close_timeout=1,
            proxy=None,
        )
    except (OSError, WebSocketException) as error:
        log.info("%s: no connection: %s", charger.identity, error)
        return False
    try:
        if connection.subprotocol != SUBPROTOCOL:
            log.warning("%s: the server does not speak %s", charger.identity, SUBPROTOCOL)
            return False
        return await charger.converse(connection)
    finally:
        if charger.leaves_socket_open:
            charger.spawn(_close_late(connection))
        else:
            await connection.close()


async def _close_late(connection: ClientConnection) -> None:
    """A socket that the charger gave up without a word; meanwhile a newer one is in use."""
    try:
        await asyncio.sleep(CLOSED_LATE_S)
    finally:
        connection.transport.abort()


def basic_auth(charger: SimulatedCharger) -> dict[str, str]:
    """The header of OCPP-J §6.2.2; the password is bytes, for a charger's key need not be text."""
    if charger.password is None:
        return {}
    credentials = charger.identity.encode() + b":" + charger.password
    return {"Authorization": f"Basic {base64.b64encode(credentials).decode()}"}
