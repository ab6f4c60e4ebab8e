"""Two at once, on two connections of PostgreSQL."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from django.db import connection, connections

Result = TypeVar("Result")


def begun_and_waiting(other: ThreadPoolExecutor, work: Callable[[], Result]) -> Future[Result]:
    """Begun on a connection of its own, and waiting for a lock, ours as a rule, when this returns."""

    def run() -> Result:
        try:
            return work()
        finally:
            connections.close_all()

    begun = other.submit(run)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        assert not begun.done(), begun.result()
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return begun
        time.sleep(0.01)
    raise AssertionError("it did not wait")
