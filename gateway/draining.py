"""Leaving in good order: readiness fails, new sockets are sent elsewhere, open ones are closed one by one.

What is under way on a socket is answered before it is closed. `gateway.server` begins it at a signal; under a server
of another kind (Daphne) nothing here ever happens.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from django.conf import settings

from chargers.words import Words
from gateway import consumer
from gateway.consumer import SocketConsumer, live

logger = logging.getLogger(__name__)

SERVICE_RESTART = 1012
PACE = 100
"""Sockets closed in a second where that takes less than DRAIN_S: a few need not be spread over long."""
GOODBYE_S, LOOK_S = 3.0, 0.02

_is_draining = False


def is_draining() -> bool:
    """Whether this process is about to leave: it still serves, but is not ready for more."""
    return _is_draining


def reset() -> None:
    """A server begins."""
    global _is_draining
    _is_draining = consumer.turns_away = False


async def drain(*, notice_s: float, over: asyncio.Event) -> None:
    """Close every socket once it has been answered, apps' first, spread over DRAIN_S seconds at most.

    For `notice_s` new sockets are still let in: the load balancer has yet to notice. From when `over` is set nobody
    is waited for. A process without sockets leaves at once.
    """
    global _is_draining
    _is_draining = True
    if live:
        await _pause(notice_s, over)
    consumer.turns_away = True
    if not live:
        return
    logger.info("leaving: %d sockets are closed", len(live))
    last_moment = asyncio.get_running_loop().call_later(settings.DRAIN_S, over.set)
    retiring = await _begin_to_retire(over)
    await until(lambda: not live, over)
    last_moment.cancel()
    over.set()
    for task in retiring:  # of clients that read nothing: they cannot be told
        task.cancel()


async def _begin_to_retire(over: asyncio.Event) -> list[asyncio.Task[None]]:
    sockets = sorted(live, key=lambda socket: socket.leaves_late)
    gap_s = min(settings.DRAIN_S, len(sockets) / PACE) / len(sockets)
    retiring = []
    for socket in sockets:
        retiring.append(asyncio.create_task(_retire(socket, over)))
        await _pause(gap_s, over)
    return retiring


async def _retire(socket: SocketConsumer, over: asyncio.Event) -> None:
    """Close it when nothing is under way there, or all is over."""
    await until(lambda: not socket.is_at_work(), over, patience_s=0)
    await socket.close(SERVICE_RESTART, Words("Service restart"))


async def until(condition: Callable[[], bool], over: asyncio.Event, *, patience_s: float = GOODBYE_S) -> None:
    """Wait for it, but no longer than `patience_s` after all is over."""
    waited_s = 0.0
    while not condition() and waited_s <= patience_s:  # an event for each socket would cost all of them
        await asyncio.sleep(LOOK_S)
        if over.is_set():
            waited_s += LOOK_S


async def _pause(seconds: float, over: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), seconds)
