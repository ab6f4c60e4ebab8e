"""Which failures of the database are tried again (E17)."""

import sqlite3

import psycopg.errors
import pytest
from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError, connection

from gateway.db import call_service


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
