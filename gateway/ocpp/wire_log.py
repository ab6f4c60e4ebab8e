"""What the charger sockets of this process hand to the wire log: kept for a moment, and written many at a time.

No message waits for it, and none fails with it: where the database is slow or away, the oldest are left out.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import time
from typing import Any, NamedTuple

from django.conf import settings
from django.db import InterfaceError, OperationalError, connections

from chargers import wire_log
from chargers.wire_log import Broken, Row
from gateway.db import call_service
from gateway.ocpp.rpc import Recorder
from gateway.ocpp.schemas import messages
from gateway.ocpp.tally import calls
from gateway.ocpp.v16_commands import VERSION

logger = logging.getLogger(__name__)

MAX_WAITING_CHARS = 32 * 1024 * 1024
MAX_BATCH = 1000
INTERVAL_S = 0.2  # between batches: after much longer, what waits has left the processor's caches
AWAY_S = 5.0  # until a database that is away is asked again
BREACH_INTERVAL_S = 60.0  # a broken rule is written when it is new, and then counted so often

# What `without_meter_values` leaves out, unless it went wrong.
FREQUENT = frozenset({"MeterValues", "Heartbeat"})
NOTHING = frozenset[str]()
_ROW_CHARS = 200  # what a row takes besides its frames

Key = tuple[int, str, str]


class WireLog:
    """The buffer of one process, on one event loop."""

    def __init__(
        self,
        write: Callable[[list[Row]], None] = wire_log.record,
        write_breaches: Callable[[list[Broken]], None] = wire_log.record_breaches,
        *,
        interval_s: float = INTERVAL_S,
        away_s: float = AWAY_S,
    ) -> None:
        self.write, self.write_breaches = write, write_breaches
        self.interval_s, self.away_s = interval_s, away_s
        self.loop = asyncio.get_running_loop()
        self.waiting: deque[Row] = deque()
        self.waiting_chars = 0
        self.left_out = self.left_out_and_told = 0
        self.breaches: dict[Key, Broken] = {}
        self.known_breaches: set[Key] = set()
        self.breaches_due_at = 0.0
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="wire-log")
        self.flushing: asyncio.Task[None] | None = None
        self.stopping = asyncio.Event()

    # --- from the sockets ---

    def add(self, row: Row) -> None:
        self.waiting.append(row)
        self.waiting_chars += len(row[4]) + len(row[5]) + _ROW_CHARS
        if self.waiting_chars > MAX_WAITING_CHARS:
            self._leave_out_oldest()
        if self.flushing is None:
            self.flushing = self.loop.create_task(self._flush())

    def add_breach(self, key: Key, detail: str, frame: str) -> None:
        now = time()
        if (known := self.breaches.get(key)) is not None:
            self.breaches[key] = known._replace(times=known.times + 1, last_at=now)
            return
        self.breaches[key] = Broken(*key, detail, frame[: wire_log.MAX_FRAME], 1, now, now)
        if key not in self.known_breaches:
            self.known_breaches.add(key)
            self.breaches_due_at = now
        if self.flushing is None:
            self.flushing = self.loop.create_task(self._flush())

    def _leave_out_oldest(self) -> None:
        while self.waiting_chars > MAX_WAITING_CHARS and self.waiting:
            self.waiting_chars -= _chars(self.waiting.popleft())
            self.left_out += 1

    def _put_back(self, rows: list[Row]) -> None:
        self.waiting.extendleft(reversed(rows))
        self.waiting_chars += sum(map(_chars, rows))
        self._leave_out_oldest()

    # --- to the database ---

    async def _flush(self) -> None:
        try:
            is_there = True
            while (self.waiting or self.breaches) and not self.stopping.is_set():
                await self._pause(self.interval_s if is_there else self.away_s)
                is_there = await self._write_all()
        finally:
            self.flushing = None

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return

    async def _write_all(self) -> bool:
        """Write what waits; False if the database is away, and it waits still."""
        if untold := self.left_out - self.left_out_and_told:
            logger.warning("the wire log fell behind: %d messages are left out", untold)
            self.left_out_and_told = self.left_out
        rows, self.waiting, self.waiting_chars = list(self.waiting), deque(), 0
        for start in range(0, len(rows), MAX_BATCH):
            batch = rows[start : start + MAX_BATCH]
            if not await self.loop.run_in_executor(self.thread, self._try, self.write, batch):
                self._put_back(rows[start:])
                return False
        return await self._write_breaches()

    async def _write_breaches(self) -> bool:
        if not self.breaches or (time() < self.breaches_due_at and not self.stopping.is_set()):
            return True
        broken, self.breaches = list(self.breaches.values()), {}
        self.breaches_due_at = time() + BREACH_INTERVAL_S
        return await self.loop.run_in_executor(self.thread, self._try, self.write_breaches, broken)

    def _try(self, write: Callable[[list[Any]], None], items: list[Any]) -> bool:
        """False if the database is away. What it refuses is tried one by one, so that a bad one spoils no other."""
        try:
            call_service(write, items)
        except (OperationalError, InterfaceError) as error:
            logger.warning("the wire log cannot be written: %s", str(error).partition("\n")[0])
            return False
        except Exception:
            if len(items) == 1:
                logger.exception("an entry of the wire log cannot be written")
                return True
            return all([self._try(write, [item]) for item in items])
        return True

    async def stop(self) -> None:
        """Write what waits, then end the thread."""
        self.stopping.set()
        if self.flushing is not None:
            await self.flushing
        await self._write_all()
        if self.waiting:
            logger.warning("%d messages are left out of the wire log", len(self.waiting))
        await self.loop.run_in_executor(self.thread, connections.close_all)
        self.thread.shutdown()


def _chars(row: Row) -> int:
    return len(row[4]) + len(row[5]) + _ROW_CHARS


class ChargerRecorder(Recorder):
    """One charger's part of the log. With WIRE_LOG=off: the rules that are broken, and nothing else."""

    __slots__ = ("charger_id", "is_off", "leaves_out", "log")

    def __init__(self, charger_id: int, log: WireLog) -> None:
        self.charger_id, self.log = charger_id, log
        self.is_off = settings.WIRE_LOG == "off"
        self.leaves_out = FREQUENT if settings.WIRE_LOG == "without_meter_values" else NOTHING

    def exchange(
        self,
        direction: str,
        message_id: Any,
        action: str,
        request: str,
        answer: str,
        verdict: str,
        at: float,
        latency_s: float | None,
    ) -> None:
        calls.add(latency_s, direction, action, verdict)
        if self.is_off or (verdict == "ok" and action in self.leaves_out):
            return
        self.log.add(
            (self.charger_id, direction, message_id, action, request, answer, verdict, at, latency_s)
        )

    def breach(self, rule: str, action: str, detail: str, frame: str) -> None:
        known = (
            action if action in messages(VERSION) else ""
        )  # else a charger could make as many rows as it likes
        self.log.add_breach((self.charger_id, rule, known), detail, frame)


def recorder_of(charger_id: int) -> ChargerRecorder:
    return ChargerRecorder(charger_id, this_process())


class Backlog(NamedTuple):
    """Messages that wait, how full the buffer is (0 to 1), and messages left out so far."""

    waiting: int
    fill: float
    left_out: int


def backlog() -> Backlog:
    """From any thread."""
    if (log := _log) is None:
        return Backlog(0, 0.0, 0)
    return Backlog(len(log.waiting), log.waiting_chars / MAX_WAITING_CHARS, log.left_out)


_log: WireLog | None = None


def this_process() -> WireLog:
    """This process's buffer."""
    global _log
    if _log is None or _log.loop is not asyncio.get_running_loop():
        _log = WireLog()
    return _log


async def stop_wire_log() -> None:
    global _log
    if _log is not None:
        current, _log = _log, None
        await current.stop()
