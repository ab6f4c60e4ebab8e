"""The way up: messages on the channel layer, sent after commit, from any thread. Hints only: rows are the memory.

A server process attaches its event loop once; from then on everything posted in the process goes through one
task, in order and many at a time. A process without a server (a management command) sends directly.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, NamedTuple

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction

logger = logging.getLogger(__name__)

Message = dict[str, Any]
# (group or channel, message). A group is marked by the first member.
Envelope = tuple[bool, str, Message]
OnLost = Callable[[list[Envelope]], None]

# Ticks (meter values as they come: the next one says more) take at most half of it, so that an ending finds a place.
MAX_WAITING = 20_000
LOOK_S = 0.01


class Draft(NamedTuple):
    """A tick for a group, made when it is known that somebody hears it: behind most charges is no open phone."""

    group: str
    make: Callable[[], Message]


def to_group(group: str, message: Message) -> Envelope:
    """An envelope for every member of a group; `message["type"]` names the consumer's method."""
    return True, group, message


def to_channel(channel: str, message: Message) -> Envelope:
    """An envelope for one consumer."""
    return False, channel, message


def send_on_commit(envelopes: Iterable[Envelope | Draft]) -> None:
    """Send once the current transaction is committed (at once without one). A dead bus never undoes the write."""
    if batch := list(envelopes):
        transaction.on_commit(
            lambda: post(batch), robust=True
        )  # Django names it if it fails: a partial has no name


traceparent: ContextVar[str] = ContextVar("traceparent", default="")
"""The trace that what is done here belongs to (W3C Trace Context), if somebody traces: messages carry it along."""


def post(envelopes: Sequence[Envelope | Draft]) -> None:
    """Send now, from any thread, without waiting for it."""
    if trace := traceparent.get():
        envelopes = [each if isinstance(each, Draft) else _traced(each, trace) for each in envelopes]
    if _publisher is not None:
        _publisher.post(envelopes)
    else:
        async_to_sync(_deliver)(envelopes)


def _traced(envelope: Envelope, trace: str) -> Envelope:
    is_group, address, message = envelope
    return is_group, address, {**message, "traceparent": trace}


async def _deliver(waiting: Sequence[Envelope | Draft]) -> list[Envelope]:
    """Send; returns what did not get to where it should: what matters is in the database."""
    layer: Any = get_channel_layer()
    envelopes = await _written(waiting, layer)
    try:
        if many := getattr(layer, "deliver", None):
            return await many(envelopes)
        for is_group, address, message in envelopes:
            await (layer.group_send if is_group else layer.send)(address, message)
    except Exception as error:
        logger.warning("bus: %d messages not sent: %s", len(envelopes), error)
        return envelopes
    return []


async def _written(waiting: Sequence[Envelope | Draft], layer: Any) -> list[Envelope]:
    """With the drafts that somebody hears as messages, in their places, and without the others."""
    groups = {each.group for each in waiting if isinstance(each, Draft)}
    if groups and hasattr(type(layer), "heard"):
        try:
            groups = await layer.heard(groups)
        except Exception as error:  # all else goes its way
            logger.warning("bus: %d ticks not sent: %s", len(groups), error)
            groups = set()
    written: list[Envelope] = []
    for each in waiting:
        if not isinstance(each, Draft):
            written.append(each)
        elif each.group in groups:
            try:
                written.append(to_group(each.group, each.make()))
            except Exception:  # one that cannot be made keeps no other from its reader
                logger.exception("bus: a message to %s was not made", each.group)
    return written


def reaches(channel: str) -> bool:
    """Whether a message to this channel would get there now, as far as is known: not while the bus is away, unless
    it stays in this process."""
    layer: Any = get_channel_layer()
    # Of the type: channels_redis' layer answers for what it lacks, and only within an event loop.
    return not hasattr(type(layer), "reaches") or layer.reaches(channel)


class _Publisher:
    """Drains what all threads post, in order; while one batch is on its way the next one gathers."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_lost: OnLost) -> None:
        self.loop, self.on_lost = loop, on_lost
        self.waiting: deque[Envelope | Draft] = deque()
        self.is_delivering = self.may_hold_ticks = False
        self.left_out = self.left_out_and_told = 0
        self.arrived = asyncio.Event()
        self.task = loop.create_task(self._drain())

    def post(self, envelopes: Sequence[Envelope | Draft]) -> None:
        self.loop.call_soon_threadsafe(self._add, envelopes)

    def _add(self, envelopes: Sequence[Envelope | Draft]) -> None:
        if len(self.waiting) + len(envelopes) <= MAX_WAITING // 2:
            self.waiting.extend(envelopes)
            self.may_hold_ticks = True
        else:
            for envelope in envelopes:
                self._squeeze_in(envelope)
        self.arrived.set()

    def _squeeze_in(self, envelope: Envelope | Draft) -> None:
        """The bus is slower than we are: the newest ticks are left out first, then those that wait, all else last."""
        waiting = len(self.waiting)
        if _is_tick(envelope) and waiting >= MAX_WAITING // 2:
            self.left_out += 1
            return
        if waiting >= MAX_WAITING and self.may_hold_ticks:
            self.waiting = deque(each for each in self.waiting if not _is_tick(each))
            self.may_hold_ticks = False
        if len(self.waiting) >= MAX_WAITING:
            self.waiting.popleft()  # a hint like all: clients find it in the database
        self.left_out += waiting - len(self.waiting)
        self.waiting.append(envelope)

    async def _drain(self) -> None:
        while True:
            await self.arrived.wait()
            self.arrived.clear()
            while self.waiting:
                batch = [self.waiting.popleft() for _ in range(min(len(self.waiting), 500))]
                self.is_delivering = True
                if lost := await _deliver(batch):
                    self.on_lost(lost)
                self.is_delivering = False
                if untold := self.left_out - self.left_out_and_told:
                    logger.warning("the bus is slow: %d messages were left out", untold)
                    self.left_out_and_told = self.left_out

    async def flush(self) -> None:
        """Return once all that was posted before is sent."""
        await asyncio.sleep(0)  # what other threads posted arrives
        while self.waiting or self.is_delivering:  # noqa: ASYNC110  # once, at the end; an event would cost every batch
            await asyncio.sleep(LOOK_S)


def _is_tick(waiting: Envelope | Draft) -> bool:
    return isinstance(waiting, Draft) or "tick" in waiting[2]


class Backlog(NamedTuple):
    """Messages that wait, how full the queue is (0 to 1), and messages left out so far."""

    waiting: int
    fill: float
    left_out: int


def backlog() -> Backlog:
    """From any thread."""
    if _publisher is None:
        return Backlog(0, 0.0, 0)
    waiting = len(_publisher.waiting)
    return Backlog(waiting, waiting / MAX_WAITING, _publisher.left_out)


_publisher: _Publisher | None = None


async def flush(*, timeout_s: float) -> None:
    """Wait until what this process posted is sent, as far as the bus takes it in that time."""
    if _publisher is not None:
        with suppress(TimeoutError):
            await asyncio.wait_for(_publisher.flush(), timeout_s)


def attach(on_lost: OnLost = lambda envelopes: None) -> Callable[[], None]:
    """Route this process's messages through the running event loop; returns what undoes it. `on_lost` is called
    there with messages that could not be sent."""
    global _publisher
    if start := getattr(get_channel_layer(), "start", None):
        start()
    publisher = _publisher = _Publisher(asyncio.get_running_loop(), on_lost)

    def detach() -> None:
        global _publisher
        publisher.task.cancel()
        if _publisher is publisher:
            _publisher = None

    return detach
