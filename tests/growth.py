"""A database as it is after a year: millions of readings, in the worker's own PostgreSQL, beside the one of the tests.

Rows are written by the server itself, into parts that have no index yet. It works at a low priority, on one core, so
that tests of other workers do not run out of time.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import psycopg
from django.core.management import call_command
from django.db import connection

from chargers.events import utcnow
from chargers.models import Charger, Connector
from chargers.partitions import Partitioned
from chargers.wire_log import CALLS
from sessions.retention import READINGS
from tests.factories import make_station, unique

READINGS_IN_ALL = int(os.environ.get("GROWTH_READINGS", 3_000_000))
PER_SESSION = 100
CHARGERS, COMMANDS, MESSAGES, EVENTS = 1000, 100_000, 300_000, 50_000
DAYS = 360


@contextmanager
def database(name: str) -> Iterator[None]:
    """A migrated database of that name in the place of the tests' own, for as long as the block lasts."""
    own = connection.settings_dict["NAME"]
    address = {key.lower(): connection.settings_dict[key] for key in ("HOST", "PORT", "USER", "PASSWORD")}
    connection.close()
    with psycopg.connect(**address, dbname="postgres", autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {name}")
        connection.settings_dict["NAME"] = name
        try:
            _be_patient()
            call_command("migrate", verbosity=0)
            yield
        finally:
            connection.close()
            connection.settings_dict["NAME"] = own
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _be_patient() -> None:
    with suppress(PermissionError):  # a server that is not ours to slow down
        os.setpriority(os.PRIO_PROCESS, int(run("SELECT pg_backend_pid()")), 5)
    run("SET max_parallel_maintenance_workers = 0")
    run("SET max_parallel_workers_per_gather = 0")
    run("SET maintenance_work_mem = '256MB'")


def run(sql: str, parameters: Any = None) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        found = cursor.fetchone() if cursor.description else None
        return found[0] if found else None


def fill() -> None:
    """All of it happened in the last year; nothing of it runs."""
    first = _chargers()
    run("SET session_replication_role = replica")  # no check of each foreign key
    _sessions(first)
    begin = READINGS.begin_of(utcnow() - timedelta(days=DAYS + 1))
    while begin <= utcnow():
        _readings(begin)
        begin = READINGS.end_of(begin)
    run("SELECT setval('charging_meterreading_id_seq', %s)", [READINGS_IN_ALL * 2])
    _commands(first)
    begin = CALLS.begin_of(utcnow() - timedelta(days=29))
    while begin <= utcnow():
        _messages(begin, first)
        begin = CALLS.end_of(begin)
    _events(first)
    run("RESET session_replication_role")
    run("VACUUM ANALYZE")


def _chargers() -> int:
    """The id of the first of many that follow one another."""
    station = make_station()
    chargers = Charger.objects.bulk_create(
        [Charger(identity=unique("CP"), station=station) for _ in range(CHARGERS)]
    )
    Connector.objects.bulk_create(
        [
            Connector(charger=charger, number=number, status="Available")
            for charger in chargers
            for number in (1, 2)
        ]
    )
    run(
        "INSERT INTO auth_user (username, password, first_name, last_name, email, is_staff, is_superuser, is_active,"
        " date_joined) SELECT 'grown' || n, '', '', '', '', false, false, true, now() FROM generate_series(1, 1000) n"
    )
    return chargers[0].pk


def _sessions(first: int) -> None:
    """Evenly over the time, an hour each; all thinned that are old enough, but for a few."""
    run(
        "INSERT INTO charging_chargingsession (id, transaction_id, user_id, charger_id, id_tag, id_tag_status, status,"
        " started_at, start_reported, stopped_at, stop_told_at, stop_reported, stop_reason, meter_start_wh,"
        " meter_stop_wh, energy_wh, currency, price_per_kwh, price_per_minute, price_per_session, cost, error_code,"
        " error_message, review, flags, readings_kept, created_at, updated_at)"
        " SELECT n, n, u.first + n %% 1000, %(charger)s + n %% %(chargers)s, 'TAG' || n %% 5000, 'Accepted',"
        " 'completed', at, at::text, at + interval '1 hour', at + interval '1 hour', 'then', 'Local', 1000, 11000,"
        " 10000, 'EUR', 0.5, 0, 0, 5, '', '', '', '[]',"
        " CASE WHEN at < now() - interval '90 days 3 hours' THEN 'thinned' ELSE 'all' END,"
        " at, at + interval '1 hour'"
        " FROM (SELECT min(id) AS first FROM auth_user WHERE username LIKE 'grown%%') u,"
        " generate_series(1, %(count)s) n,"
        " LATERAL (SELECT now() - interval '2 hours' - (%(count)s - n) * (interval '1 day' * %(days)s / %(count)s)"
        " AS at) t",
        {
            "charger": first,
            "chargers": CHARGERS,
            "count": READINGS_IN_ALL // PER_SESSION,
            "days": DAYS,
        },
    )
    run("SELECT setval(pg_get_serial_sequence('charging_chargingsession', 'id'), %s)", [READINGS_IN_ALL])


@contextmanager
def _part(whole: Partitioned, begin: Any) -> Iterator[tuple[str, Any]]:
    """A part anew, to be filled before it has an index."""
    name, end = whole.name_of(begin), whole.end_of(begin)
    run(f"DROP TABLE IF EXISTS {name}")
    run(f"CREATE TABLE {name} (LIKE {whole.table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
    yield name, end
    run(f"ALTER TABLE {name} ADD PRIMARY KEY (id)")
    bounds = f"FROM ('{begin:%Y-%m-%d}+00') TO ('{end:%Y-%m-%d}+00')"
    run(f"ALTER TABLE {whole.table} ATTACH PARTITION {name} FOR VALUES {bounds}")


def _readings(begin: Any) -> None:
    with _part(READINGS, begin) as (name, end):
        run(
            f"INSERT INTO {name} (id, session_id, charger_id, connector_number, measured_at, received_at, context,"
            " energy_wh, power_w, sampled_values, is_suspect, digest)"
            " SELECT s.id * %(each)s + n, s.id, s.charger_id, 1, least(at, %(last)s), at, '', 1000 + n * 100, 10000,"
            " '[]', false, n"
            " FROM charging_chargingsession s, generate_series(0, %(each)s - 1) n,"
            " LATERAL (SELECT s.started_at + n * interval '36 s' AS at) t"
            " WHERE s.started_at >= %(begin)s AND s.started_at < %(end)s",
            {"each": PER_SESSION, "begin": begin, "end": end, "last": end - timedelta(seconds=1)},
        )


def _messages(begin: Any, first: int) -> None:
    with _part(CALLS, begin) as (name, _):
        run(
            f"INSERT INTO {name} (charger_id, direction, message_id, action, request, answer, verdict, at, latency_ms)"
            " SELECT %(charger)s + n %% 1000, 'in', %(begin)s::date || '.' || n, 'Heartbeat',"
            " '[2,\"7\",\"Heartbeat\",{}]', '[3,\"7\",{}]', 'ok',"
            " %(begin)s + n * (interval '1 day' / %(count)s), 1 FROM generate_series(0, %(count)s - 1) n",
            {"charger": first, "begin": begin, "count": MESSAGES // 30},
        )


def _commands(first: int) -> None:
    run(
        "INSERT INTO chargers_command (id, charger_id, action, params, status, error, wish_digest, created_at, sent_at,"
        " finished_at) SELECT gen_random_uuid(), %s + n %% 1000,"
        " CASE n %% 3 WHEN 0 THEN 'remote_start' WHEN 1 THEN 'remote_stop' ELSE 'trigger_message' END,"
        " '{}', 'accepted', '', '', at, at, at"
        " FROM generate_series(1, %s) n, LATERAL (SELECT now() - n * interval '2 minutes' AS at) t",
        [first, COMMANDS],
    )


def _events(first: int) -> None:
    run(
        "INSERT INTO chargers_securityevent (charger_id, kind, is_critical, tech_info, occurred_at, received_at)"
        " SELECT %s + n %% 1000, 'ResetOrReboot', true, '', at, at"
        " FROM generate_series(1, %s) n, LATERAL (SELECT now() - n * interval '4 minutes' AS at) t",
        [first, EVENTS],
    )
