"""Tables that grow for ever, on PostgreSQL in parts by time: made ahead, and dropped whole when their time is over.

To delete a month row by row writes as much as the month did and leaves holes behind; a part is gone in a moment. What
has no part of its own (told long after it happened) is in the default one, so that no insert ever fails. Elsewhere a
table is one piece, and rows are deleted.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from django.db import OperationalError, connection, transaction

from chargers.events import utcnow

logger = logging.getLogger(__name__)

# Whoever waits for such a lock makes others wait behind it: better to try again at the next sweep.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '500ms'"


class Part(NamedTuple):
    """One table of many. `begin` None: all from before the table was in parts."""

    name: str
    begin: datetime | None
    end: datetime


@dataclass(frozen=True)
class Partitioned:
    """A table in parts, each a day or a month (UTC) of `column`; `ahead` of them are kept ready."""

    table: str
    column: str
    by: Literal["day", "month"]
    ahead: int

    @property
    def default(self) -> str:
        return f"{self.table}_default"

    def begin_of(self, at: datetime) -> datetime:
        """When the part begins in which that moment is."""
        day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return day if self.by == "day" else day.replace(day=1)

    def end_of(self, begin: datetime) -> datetime:
        return self.begin_of(begin + timedelta(days=1 if self.by == "day" else 32))

    def name_of(self, begin: datetime) -> str:
        return f"{self.table}_p{begin:%Y%m%d}"

    def name_before(self, end: datetime) -> str:
        """Of the part that holds all from before the table was in parts."""
        return f"{self.table}_before_{end:%Y%m%d}"

    def parts(self) -> list[Part]:
        """Those in use, the oldest first, without the default one; none where the table is one piece."""
        return sorted((part for part, in_use in self._known() if in_use), key=lambda part: part.end)

    def _known(self) -> list[tuple[Part, bool]]:
        """All parts, known by their names, and whether each is in use; one that is not was detached to be dropped."""
        if connection.vendor != "postgresql":
            return []
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT relname, relispartition FROM pg_class WHERE relkind = 'r' AND pg_table_is_visible(oid)"
                r" AND relname ~ ('^' || %s || '_(p|before_)\d{8}$')",
                [self.table],
            )
            return [(self._part(name), in_use) for name, in_use in cursor.fetchall()]

    def _part(self, name: str) -> Part:
        at = datetime.strptime(name[-8:], "%Y%m%d").replace(tzinfo=UTC)
        return Part(name, None, at) if name == self.name_before(at) else Part(name, at, self.end_of(at))

    # --- made ahead ---

    def make_ahead(self) -> int:
        """Make the parts of now and of the time to come that are not there yet; how many."""
        if connection.vendor != "postgresql":
            return 0
        there = self.parts()
        begin, made = self.begin_of(utcnow()), 0
        for _ in range(self.ahead + 1):
            if not any(part.begin == begin or (part.begin is None and begin < part.end) for part in there):
                made += self.make(begin)
            begin = self.end_of(begin)
        return made

    def make(self, begin: datetime) -> bool:
        """Make one, with the rows of its time that are in the default part. False: it is there, or it must wait."""
        name, table, column = self.name_of(begin), self.table, self.column
        times = [begin, self.end_of(begin)]
        with _Patience(name) as patience, transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(LOCK_TIMEOUT)
            # Held by one at a time, and in nobody's way: rows may be read and written meanwhile.
            cursor.execute(f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE")
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [name])
            if cursor.fetchone()[0]:
                return False
            cursor.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
            cursor.execute(f"ALTER TABLE {name} ADD PRIMARY KEY (id)")
            cursor.execute(
                f"WITH moved AS (DELETE FROM {self.default} WHERE {column} >= %s AND {column} < %s RETURNING *)"  # noqa: S608
                f" INSERT INTO {name} SELECT * FROM moved",
                times,
            )
            bounds = " TO ".join(f"('{at:%Y-%m-%d}+00')" for at in times)
            cursor.execute(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM {bounds}")
        return not patience.is_over

    # --- dropped ---

    def overdue(self, before: datetime) -> list[Part]:
        """The parts in which nothing is as young as that."""
        return [part for part in self.parts() if part.end <= before]

    def drop(self, part: Part, *, spared: tuple[str, Sequence[Any]] | None = None) -> bool:
        """Drop one. False: it must wait for its locks, which it does at another time.

        `spared`: rows that go to the default part instead, as a condition and its parameters.
        The detaching locks the whole table, for as long as its catalogue entry takes to change.
        """
        with _Patience(part.name) as patience, transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(LOCK_TIMEOUT)
            cursor.execute(f"ALTER TABLE {self.table} DETACH PARTITION {part.name}")
            if spared is not None:
                condition, parameters = spared
                cursor.execute(
                    f"INSERT INTO {self.table} SELECT * FROM {part.name} WHERE {condition}"  # noqa: S608
                    " ON CONFLICT DO NOTHING",
                    parameters,
                )
        if patience.is_over:
            return False
        self.drop_detached()
        logger.info("%s is dropped", part.name)
        return True

    def drop_detached(self) -> None:
        """Those that are in use no more; a process may have died before it came to drop one."""
        for part, in_use in self._known():
            if not in_use:
                with connection.cursor() as cursor:
                    cursor.execute(f"DROP TABLE IF EXISTS {part.name}")

    def remainders(self, before: datetime) -> list[str]:
        """The tables that hold rows from before that moment and cannot be dropped: there, rows are deleted."""
        if connection.vendor != "postgresql":
            return [self.table]
        old = [part.name for part in self.parts() if part.begin is None and part.end > before]
        return [self.default, *old]


class _Patience:
    """A block that may fail to get its locks in time; then it has done nothing."""

    LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED = "55P03", "40P01"  # SQLSTATE

    def __init__(self, name: str) -> None:
        self.name, self.is_over = name, False

    def __enter__(self) -> "_Patience":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        cause = error.__cause__ if isinstance(error, OperationalError) else None
        self.is_over = getattr(cause, "sqlstate", "") in (self.LOCK_NOT_AVAILABLE, self.DEADLOCK_DETECTED)
        if self.is_over:
            logger.info("%s is in use; it will be tried again", self.name)
        return self.is_over
