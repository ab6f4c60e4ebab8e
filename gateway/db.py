"""The doors' way to the database: services run in a small pool of threads, one persistent connection each.

Channels' own bridge puts every call of every socket through one thread; here DB_THREADS of them work side by
side. One hop per message: a handler calls one service.
"""

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection, connections

Result = TypeVar("Result")

_ATTEMPTS = 4
# SQLSTATEs worth another try: serialization failure, deadlock, lock not available; the server stops, crashed, starts.
_RETRYABLE = {"40001", "40P01", "55P03", "57P01", "57P02", "57P03"}

Guard = Callable[[], AbstractContextManager[None]]
guard: ContextVar[Guard | None] = ContextVar("guard", default=None)
"""Within what the services run that this task calls: a charger's socket may do nothing once another owns it (E2)."""

# What a person can be told to try again is refused beyond it: a second's work for the pool, and more.
MAX_WAITING = 1000

_pool: ThreadPoolExecutor | None = None


def pool() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(settings.DB_THREADS, thread_name_prefix="db")
    return _pool


def waiting() -> int:
    """Calls that wait for a thread. From any thread."""
    return _pool._work_queue.qsize() if _pool is not None else 0


def is_overloaded() -> bool:
    """Whether so much waits for the database that what is not a charger's fact should not be begun."""
    return waiting() >= MAX_WAITING


async def in_db(service: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
    """Run a service in the pool and return what it returns, or raise what it raises."""
    if (guarded_by := guard.get()) is not None:
        args, service = (guarded_by, service, *args), _call_guarded
    return await asyncio.get_running_loop().run_in_executor(
        pool(), copy_context().run, lambda: call_service(service, *args, **kwargs)
    )


def _call_guarded(guarded_by: Guard, service: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
    with guarded_by():
        return service(*args, **kwargs)


def call_service(service: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
    """Call a service in this thread; again, if the database says that only the moment was wrong (E17)."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return service(*args, **kwargs)
        except (DatabaseError, InterfaceError) as error:
            lost = _is_lost()
            if attempt == _ATTEMPTS or not (lost or _is_retryable(error)):
                raise
            time.sleep(random.uniform(0, 0.02 * 2**attempt))
    raise AssertionError("unreachable")


def _is_retryable(error: Exception) -> bool:
    if sqlstate := getattr(error.__cause__, "sqlstate", None):
        return sqlstate in _RETRYABLE or sqlstate.startswith("08")
    # SQLite has no such codes but names; psycopg has neither where the connection itself broke.
    name = getattr(error.__cause__, "sqlite_errorname", "SQLITE_BUSY")
    return isinstance(error, OperationalError) and name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _is_lost() -> bool:
    """Whether this thread's connection broke; it is closed then, to be opened anew."""
    if (
        connection.connection is None
    ):  # it could not be opened, or its transaction closed it on finding it broken
        return True
    if connection.is_usable():
        return False
    connection.close()
    return True


def close_pool() -> None:
    """End the threads and their connections; a later call begins a new pool."""
    global _pool
    if _pool is None:
        return
    old, _pool = _pool, None
    # Each thread closes its own connection; a barrier of as many tasks as threads reaches all of them.
    for future in [old.submit(_close_own) for _ in range(settings.DB_THREADS)]:
        future.result()
    old.shutdown()


def _close_own() -> None:
    time.sleep(0.02)  # so that no thread takes two of these
    connections.close_all()
