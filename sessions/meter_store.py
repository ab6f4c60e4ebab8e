"""Meter readings into the database: any number in one statement with a parameter or two, repeats passed over.

The ORM's bulk_create costs ten times as much per row with a JSON column; this is the hot path.
"""

import hashlib
from operator import itemgetter
from typing import Any

import orjson
from django.db import connection

from sessions.readings import Reading

_COLUMNS = {
    "session_id": "bigint",
    "charger_id": "bigint",
    "connector_number": "smallint",
    "measured_at": "timestamptz",
    "received_at": "timestamptz",
    "context": "text",
    "energy_wh": "bigint",
    "power_w": "float8",
    "current_a": "float8",
    "voltage_v": "float8",
    "soc_percent": "float8",
    "is_suspect": "boolean",
    "digest": "bigint",
}
_SAMPLES = "sampled_values"
_NAMES = ", ".join(_COLUMNS)
_APART = "\x1e"  # no JSON has it, not even in a string
# Put together from the names above alone; what comes from outside are the parameters. The samples are most of a row:
# within the JSON of all PostgreSQL would read them three times.
_INTO = f"INSERT INTO charging_meterreading ({_NAMES}, {_SAMPLES}) SELECT"
_INSERT = {
    "postgresql": (
        f"{_INTO} {_NAMES}, {_SAMPLES}::json FROM ROWS FROM (json_to_recordset(%s::json) AS ("
        + ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
        + f"), unnest(string_to_array(%s, '{_APART}'))) AS r({_NAMES}, {_SAMPLES}) ON CONFLICT DO NOTHING"
    ),
    "sqlite": (
        _INTO
        + ", ".join(f" json_extract(value, '$.{name}')" for name in (*_COLUMNS, _SAMPLES))
        + " FROM json_each(%s) WHERE true ON CONFLICT DO NOTHING"
    ),
}


def row(
    *,
    session_id: int | None,
    charger_id: int,
    connector_number: int,
    reading: Reading,
    is_suspect: bool = False,
) -> dict[str, Any]:
    """A reading as a row to insert."""
    digest = hashlib.blake2b(reading.sampled_values, digest_size=8).digest()
    return {
        "session_id": session_id,
        "charger_id": charger_id,
        "connector_number": connector_number,
        "measured_at": _timestamp(reading.measured_at),
        "received_at": _timestamp(reading.received_at),
        "context": reading.context[:40],
        "energy_wh": reading.energy_wh,
        "power_w": reading.power_w,
        "current_a": reading.current_a,
        "voltage_v": reading.voltage_v,
        "soc_percent": reading.soc_percent,
        _SAMPLES: reading.sampled_values,
        "is_suspect": is_suspect,
        "digest": int.from_bytes(digest, "big", signed=True),
    }


def _timestamp(at: Any) -> str:
    # Both databases read this as UTC: PostgreSQL's session is in UTC, SQLite's columns hold it without a zone.
    return at.replace(tzinfo=None).isoformat(" ")


def insert(rows: list[dict[str, Any]]) -> None:
    """Add the rows; those that are there already are left as they are."""
    if not rows:
        return
    rows.sort(key=itemgetter("digest"))  # who writes the same beside us takes it in the same order
    with connection.cursor() as cursor:
        cursor.execute(_INSERT[connection.vendor], parameters(rows, connection.vendor))


def parameters(rows: list[dict[str, Any]], vendor: str) -> list[str]:
    """What the statement is given."""
    if vendor != "postgresql":
        return [orjson.dumps(rows, default=orjson.Fragment).decode()]
    without_samples = orjson.dumps(rows, default=lambda samples: None)
    return [without_samples.decode(), _APART.join([row[_SAMPLES].decode() for row in rows])]
