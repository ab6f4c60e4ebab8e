"""From a table in one piece to one in parts (chargers.partitions): for migrations, on PostgreSQL alone.

A filled table is not copied. It becomes the part that holds everything until soon, and new parts follow it:

1. a check that nothing in it is later than that, proven while the table is read and written;
2. where its unique constraint is to have another order of columns, the index for it, built likewise;
3. the exchange, in one transaction that changes the catalogue only: the table is locked for some milliseconds.

Each step begins anew what was broken off, so the migration is run again if it fails, outside of a transaction
(`atomic = False`). Going back is not needed: code from before reads and writes the table in parts as well.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db import migrations, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from chargers.events import utcnow
from chargers.partitions import Partitioned

# Between the check and the exchange; what comes meanwhile must not be later than the check allows.
MARGIN = timedelta(days=2)
# Who waits for the table makes others wait behind: after this the migration fails, and is run again.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '5s'"


class NotOnPostgres:
    """An operation whose work `into_parts` does on PostgreSQL."""

    def database_forwards(self, app_label: str, editor: BaseDatabaseSchemaEditor, *states: Any) -> None:
        if editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, editor, *states)  # type: ignore[misc]

    def database_backwards(self, app_label: str, editor: BaseDatabaseSchemaEditor, *states: Any) -> None:
        if editor.connection.vendor != "postgresql":
            super().database_backwards(app_label, editor, *states)  # type: ignore[misc]


class AddConstraint(NotOnPostgres, migrations.AddConstraint):
    pass


class RemoveConstraint(NotOnPostgres, migrations.RemoveConstraint):
    pass


def into_parts(
    editor: BaseDatabaseSchemaEditor,
    whole: Partitioned,
    *,
    reordered: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Put the table into parts. `reordered`: unique constraints and the order of columns they are to have."""
    if editor.connection.vendor != "postgresql":
        return
    with editor.connection.cursor() as cursor:
        cursor.execute("SELECT relkind = 'p' FROM pg_class WHERE oid = %s::regclass", [whole.table])
        if cursor.fetchone()[0]:
            return
        cursor.execute(f"SELECT EXISTS (SELECT FROM {whole.table})")  # noqa: S608
        is_filled = cursor.fetchone()[0]
        end = whole.end_of(whole.begin_of(utcnow() + MARGIN))
        if is_filled:
            _prove(cursor, whole, f"{end:%Y-%m-%d}+00")
        for name, columns in (reordered or {}).items():
            cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}_new")
            cursor.execute(
                f"CREATE UNIQUE INDEX CONCURRENTLY {name}_new ON {whole.table} ({', '.join(columns)})"
            )
        with transaction.atomic(using=editor.connection.alias):
            cursor.execute(LOCK_TIMEOUT)
            for name in reordered or ():
                cursor.execute(f"ALTER TABLE {whole.table} DROP CONSTRAINT {name}")
                cursor.execute(
                    f"ALTER TABLE {whole.table} ADD CONSTRAINT {name} UNIQUE USING INDEX {name}_new"
                )
            _exchange(cursor, whole, whole.name_before(end) if is_filled else None, f"{end:%Y-%m-%d}+00")
    whole.make_ahead()


def _prove(cursor: Any, whole: Partitioned, end: str) -> None:
    """That no row is later: PostgreSQL then need not look when the table becomes a part."""
    with transaction.atomic(using=cursor.db.alias):
        cursor.execute(LOCK_TIMEOUT)
        cursor.execute(f"ALTER TABLE {whole.table} DROP CONSTRAINT IF EXISTS {whole.table}_so_far")
        cursor.execute(
            f"ALTER TABLE {whole.table} ADD CONSTRAINT {whole.table}_so_far"
            f" CHECK ({whole.column} < '{end}') NOT VALID"
        )
    cursor.execute(f"ALTER TABLE {whole.table} VALIDATE CONSTRAINT {whole.table}_so_far")


def _exchange(cursor: Any, whole: Partitioned, kept_as: str | None, end: str) -> None:
    """A table in parts in the place of the old one, which is kept as the first of them, or dropped if it is empty."""
    table, old = whole.table, kept_as or f"{whole.table}_old"
    constraints, indexes = _constraints(cursor, table), _indexes(cursor, table)
    cursor.execute("SELECT nextval(pg_get_serial_sequence(%s, 'id'))", [table])
    first_id = cursor.fetchone()[0]
    cursor.execute(f"ALTER TABLE {table} ALTER COLUMN id DROP IDENTITY")
    cursor.execute(f"ALTER TABLE {table} RENAME TO {old}")
    for name in [*constraints, *indexes, f"{table}_pkey"]:
        cursor.execute(f"ALTER INDEX {name} RENAME TO {name}_so_far")
    cursor.execute(
        f"CREATE TABLE {table} (LIKE {old} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
        f" PARTITION BY RANGE ({whole.column})"
    )
    cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {table}_so_far")
    # Not an identity column: before PostgreSQL 17 a table in parts has none.
    cursor.execute(f"CREATE SEQUENCE {table}_id_seq AS bigint START {first_id} OWNED BY {table}.id")
    cursor.execute(f"ALTER TABLE {table} ALTER COLUMN id SET DEFAULT nextval('{table}_id_seq')")
    for name, definition in constraints.items():
        cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
    for definition in indexes.values():
        cursor.execute(definition)  # it names the table by its old name, which is the new one's now
    if kept_as:
        cursor.execute(f"ALTER TABLE {table} ATTACH PARTITION {old} FOR VALUES FROM (MINVALUE) TO ('{end}')")
        cursor.execute(f"ALTER TABLE {old} DROP CONSTRAINT {table}_so_far")
    else:
        cursor.execute(f"DROP TABLE {old}")
    # Each part has its key on the id alone: for the table as a whole it would have to hold the time as well.
    cursor.execute(f"CREATE TABLE {whole.default} PARTITION OF {table} DEFAULT")
    cursor.execute(f"ALTER TABLE {whole.default} ADD PRIMARY KEY (id)")


def _constraints(cursor: Any, table: str) -> dict[str, str]:
    cursor.execute(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = %s::regclass AND contype = 'u'",
        [table],
    )
    return dict(cursor.fetchall())


def _indexes(cursor: Any, table: str) -> dict[str, str]:
    """Those that no constraint made."""
    cursor.execute(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = %s::regclass"
        " AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)",
        [table],
    )
    return dict(cursor.fetchall())
