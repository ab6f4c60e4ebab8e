"""Which failures of the database are tried again (E17)."""

import asyncio
import sqlite3
import time

import psycopg.errors
import pytest
from django.conf import settings
from django.db import (
    DatabaseError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    transaction,
)

from chargers.models import Charger
from gateway.db import call_service, in_db
from tests.conftest import stack
from tests.factories import make_charger


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def busy(name: str) -> Exception:
    cause = sqlite3.OperationalError("…")
    cause.sqlite_errorname = name
    return caused(OperationalError(), cause)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (caused(OperationalError(), psycopg.errors.DeadlockDetected()), 2),
        (caused(OperationalError(), psycopg.errors.SerializationFailure()), 2),
        (caused(OperationalError(), psycopg.errors.LockNotAvailable()), 2),
        (caused(OperationalError(), psycopg.errors.AdminShutdown()), 2),
        (caused(OperationalError(), psycopg.errors.ConnectionException()), 2),
        (caused(OperationalError(), psycopg.OperationalError("the connection is closed")), 2),
        (busy("SQLITE_BUSY"), 2),
        (busy("SQLITE_BUSY_SNAPSHOT"), 2),
        (busy("SQLITE_LOCKED"), 2),
        (busy("SQLITE_FULL"), 1),
        (caused(OperationalError(), psycopg.errors.DiskFull()), 1),
        (caused(IntegrityError(), psycopg.errors.UniqueViolation()), 1),
        (caused(DatabaseError(), psycopg.errors.UndefinedTable()), 1),
        (InterfaceError(), 1),
        (ValueError(), 1),
    ],
)
def test_what_only_the_moment_was_wrong_for_is_done_again(error: Exception, calls: int) -> None:
    """E17"""
    count = 0

    def service() -> str:
        nonlocal count
        count += 1
        if count == 1:
            raise error
        return "done"

    connection.ensure_connection()
    if calls == 1:
        with pytest.raises(type(error)):
            call_service(service)
    else:
        assert call_service(service) == "done"
    assert count == calls


@pytest.mark.django_db
def test_it_is_not_tried_for_ever() -> None:
    """E17"""
    count = 0

    def service() -> None:
        nonlocal count
        count += 1
        raise busy("SQLITE_BUSY")

    with pytest.raises(OperationalError):
        call_service(service)
    assert 2 <= count <= 5


# --- with the database that the tests run on ---


async def test_services_run_side_by_side_and_give_back_what_they_return_or_raise() -> None:
    begun = time.monotonic()
    results = await asyncio.gather(*(in_db(slow, number) for number in range(4)))
    assert time.monotonic() - begun < 1.0  # one after the other it were 1.2
    assert results == [0, 1, 2, 3]
    with pytest.raises(ZeroDivisionError):
        await in_db(lambda: 1 // 0)


def slow(number: int) -> int:
    time.sleep(0.3)
    return number


async def test_two_writers_at_once_both_get_through(committed: None) -> None:
    """E17: SQLite has one write lock, PostgreSQL a row lock."""
    charger = make_charger()

    def touch(vendor: str) -> None:
        with transaction.atomic():
            row = Charger.objects.select_for_update().get(pk=charger.pk)
            time.sleep(0.05)
            row.vendor += vendor
            row.save(update_fields=["vendor"])

    await asyncio.gather(*(in_db(touch, letter) for letter in "abcd"))
    charger.refresh_from_db()
    assert sorted(charger.vendor) == ["a", "b", "c", "d"]


@pytest.mark.skipif(stack() != "real", reason="SQLite has no connection that could break")
async def test_a_connection_the_server_has_closed_is_replaced(committed: None) -> None:
    """As after a restart of PostgreSQL: the call that finds it out succeeds all the same."""

    def backend() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid(), pg_sleep(0.1)")
            return int(cursor.fetchone()[0])

    async def backends() -> set[int]:
        return set(await asyncio.gather(*(in_db(backend) for _ in range(settings.DB_THREADS))))

    before = await backends()
    assert len(before) > 1
    with connection.cursor() as cursor:
        for pid in before:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    await asyncio.sleep(0.2)
    after = await backends()
    assert not before & after
