"""What one process does for all, whichever is alive: the one that has PostgreSQL's advisory lock.

The lock belongs to a database session of its own, on which the work is done too. A process that dies loses it at
once, one that stands still when the database ends its silent session. All the same the work must be safe to be done
by two: who wakes up is in the middle of it. With SQLite there is one process.
"""

import asyncio
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.conf import settings
from django.db import connection, connections

from gateway.db import call_service

Result = TypeVar("Result")

LOCK = 0x65766368  # "evch"
_OWN = {"HOST", "PORT", "TLS_PORT"}  # of each process


def _kind() -> int:
    """Processes of different settings, as while new ones are rolled out, each do it by their own."""
    values = {name: getattr(settings, name) for name in dir(settings) if name.isupper()}
    simple = [(name, value) for name, value in sorted(values.items()) if isinstance(value, int | str | list)]
    told = [pair for pair in simple if pair[0] not in _OWN]
    return zlib.crc32(repr(told).encode()) - 2**31


class Leader:
    """Leads as soon as nobody else does, and for as long as it runs something every `max_silence_s` seconds."""

    def __init__(self, *, max_silence_s: float) -> None:
        self.max_silence_s = max_silence_s
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="leader")
        self._session: Any = None  # the database session that has the lock

    async def run(self, work: Callable[[], Result]) -> Result | None:
        """Do the work if we lead; None if another process does."""
        return await asyncio.get_running_loop().run_in_executor(
            self.thread, call_service, self._run_if_leading, work
        )

    def _run_if_leading(self, work: Callable[[], Result]) -> Result | None:
        return work() if self._leads() else None

    def _leads(self) -> bool:
        if connection.vendor != "postgresql":
            return True
        connection.ensure_connection()
        if self._session is None or connection.connection is not self._session:
            self._session = connection.connection if self._has_locked() else None
        return self._session is not None

    def _has_locked(self) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('idle_session_timeout', %s, false)", [f"{self.max_silence_s}s"])
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK, _kind()])
            return bool(cursor.fetchone()[0])

    async def stop(self) -> None:
        """Let another lead."""
        await asyncio.get_running_loop().run_in_executor(self.thread, connections.close_all)
        self.thread.shutdown()
