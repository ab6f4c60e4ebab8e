"""Tables in parts by time: on PostgreSQL. Every insert finds a place, and nobody waits for what is dropped."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection

from chargers import wire_log
from chargers.events import utcnow
from chargers.models import OcppCall
from chargers.partitioning import into_parts
from chargers.partitions import Part, Partitioned
from chargers.wire_log import CALLS
from sessions.models import MeterReading
from sessions.retention import READINGS
from tests.chargers.test_wire_log import row
from tests.factories import make_charger

pytestmark = [
    pytest.mark.usefixtures("django_db_setup"),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="only PostgreSQL has parts"),
]


def names(whole: Partitioned) -> set[str]:
    return {part.name for part in whole.parts()}


def part_of(call: OcppCall) -> str:
    return run("SELECT tableoid::regclass::text FROM chargers_ocppcall WHERE id = %s", [call.pk])


def run(sql: str, parameters: Any = None) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        found = cursor.fetchone() if cursor.description else None
        return found[0] if found else None


def logged(at: datetime) -> OcppCall:
    charger = make_charger()
    wire_log.record([row(charger, at=at.timestamp())])
    return OcppCall.objects.get(charger=charger)


@pytest.mark.django_db
@pytest.mark.parametrize("whole", [READINGS, CALLS])
def test_a_new_database_has_the_parts_of_now_and_of_the_time_to_come(whole: Partitioned) -> None:
    begin = whole.begin_of(utcnow())
    for _ in range(whole.ahead + 1):
        assert whole.name_of(begin) in names(whole)
        begin = whole.end_of(begin)
    assert whole.make_ahead() == 0


@pytest.mark.django_db
def test_parts_follow_one_another_without_a_gap() -> None:
    assert READINGS.end_of(datetime(2026, 12, 1, tzinfo=UTC)) == datetime(2027, 1, 1, tzinfo=UTC)
    assert READINGS.begin_of(datetime(2026, 12, 31, 23, 59, tzinfo=UTC)) == datetime(2026, 12, 1, tzinfo=UTC)
    assert CALLS.end_of(datetime(2028, 2, 28, tzinfo=UTC)) == datetime(2028, 2, 29, tzinfo=UTC)


@pytest.mark.django_db
def test_what_has_no_part_of_its_own_is_stored_all_the_same() -> None:
    call = logged(datetime(2019, 5, 5, tzinfo=UTC))
    assert part_of(call) == CALLS.default


@pytest.mark.django_db
def test_a_part_made_late_takes_over_the_rows_of_its_time() -> None:
    then = datetime(2019, 5, 5, 12, tzinfo=UTC)
    call, other = logged(then), logged(then - timedelta(days=1))
    assert CALLS.make(CALLS.begin_of(then))
    assert not CALLS.make(CALLS.begin_of(then))
    assert part_of(call) == "chargers_ocppcall_p20190505"
    assert part_of(other) == CALLS.default
    assert part_of(logged(then)) == "chargers_ocppcall_p20190505"


@pytest.mark.django_db
def test_a_part_is_dropped_when_its_time_is_over(settings: Any) -> None:
    settings.WIRE_LOG_DAYS = 30
    old, young = utcnow() - timedelta(days=32), utcnow() - timedelta(days=29)
    for at in (old, young):
        CALLS.make(CALLS.begin_of(at))
        logged(at)
    assert wire_log.prune() == 1
    assert [part_of(call) for call in OcppCall.objects.all()] == [CALLS.name_of(CALLS.begin_of(young))]
    assert CALLS.name_of(CALLS.begin_of(old)) not in names(CALLS)
    assert run("SELECT to_regclass(%s)", [CALLS.name_of(CALLS.begin_of(old))]) is None


@pytest.mark.django_db
def test_days_beyond_the_number_of_rows_are_dropped(settings: Any) -> None:
    settings.WIRE_LOG_ROWS = 2
    for days in (3, 2, 1, 0):
        CALLS.make(CALLS.begin_of(utcnow() - timedelta(days=days)))
        logged(utcnow() - timedelta(days=days))
    wire_log.prune()
    assert OcppCall.objects.count() == 2
    assert OcppCall.objects.filter(at__lt=utcnow() - timedelta(days=1, hours=12)).count() == 0


@pytest.mark.django_db
def test_one_that_a_dead_process_left_detached_is_dropped_later() -> None:
    day = CALLS.begin_of(datetime(2019, 5, 5, tzinfo=UTC))
    CALLS.make(day)
    run(f"ALTER TABLE chargers_ocppcall DETACH PARTITION {CALLS.name_of(day)}")
    CALLS.drop_detached()
    assert run("SELECT to_regclass(%s)", [CALLS.name_of(day)]) is None


@pytest.mark.django_db
def test_the_same_report_in_the_same_part_is_stored_once() -> None:
    """Each part has the unique index, and the time that chooses the part is a column of it."""
    keys = "SELECT count(*) FROM pg_inherits JOIN pg_constraint ON conrelid = inhrelid AND contype = %s"
    parts = len(READINGS.parts()) + 1
    of_readings = " WHERE inhparent = 'charging_meterreading'::regclass"
    assert run(keys + of_readings, ["u"]) == run(keys + of_readings, ["p"]) == parts


# --- what other connections see is committed, so it has a schema of its own, which goes with the test ---


@pytest.fixture
def tables(committed: None) -> Iterator[None]:
    """Readings and messages in one piece each, as they were before; no others."""
    run("CREATE SCHEMA trial")
    run("SET search_path TO trial")
    try:
        for model in (MeterReading, OcppCall):
            with connection.schema_editor() as editor:
                editor.create_model(model)
        run("ALTER TABLE charging_meterreading DROP CONSTRAINT reading_once")
        run(
            "ALTER TABLE charging_meterreading ADD CONSTRAINT reading_once"
            " UNIQUE (charger_id, connector_number, measured_at, digest)"
        )
        yield
    finally:
        run("SET search_path TO DEFAULT")
        run("DROP SCHEMA trial CASCADE")


def put_into_parts() -> None:
    columns = ("charger_id", "measured_at", "connector_number", "digest")
    with connection.schema_editor(atomic=False) as editor:
        into_parts(editor, READINGS, reordered={"reading_once": columns})
        into_parts(editor, CALLS)


@contextmanager
def reader() -> Iterator[psycopg.Connection[Any]]:
    """Somebody who reads all messages and does not end the transaction."""
    settings = connection.settings_dict
    address = {key.lower(): settings[key] for key in ("HOST", "PORT", "USER", "PASSWORD")}
    with psycopg.connect(**address, dbname=settings["NAME"]) as second:
        second.execute("SELECT count(*) FROM trial.chargers_ocppcall")
        yield second


def test_who_makes_or_drops_a_part_waits_for_nobody_for_long_and_tries_again(tables: None) -> None:
    put_into_parts()
    day = CALLS.begin_of(datetime(2019, 5, 5, tzinfo=UTC))
    part = Part(CALLS.name_of(day), day, CALLS.end_of(day))
    assert CALLS.make(day)
    with reader() as other:
        assert not CALLS.drop(part)
        assert not CALLS.make(CALLS.end_of(day))
        assert part.name in names(CALLS)
        other.rollback()
        assert CALLS.drop(part)
    assert part.name not in names(CALLS)


def test_a_filled_table_becomes_the_first_part(tables: None) -> None:
    columns = (
        "charger_id, connector_number, measured_at, received_at, context, sampled_values, is_suspect, digest"
    )
    run(
        f"INSERT INTO charging_meterreading ({columns})"
        " SELECT 1, 1, now() - n * interval '1 day', now(), '', '[]', false, n FROM generate_series(1, 500) n"
    )
    newest = run("SELECT max(id) FROM charging_meterreading")
    for _ in range(2):  # again it changes nothing
        put_into_parts()
    [whole] = [part for part in READINGS.parts() if part.begin is None]
    assert run(f"SELECT count(*) FROM {whole.name}") == MeterReading.objects.count() == 500
    assert READINGS.make_ahead() == 0
    assert len(READINGS.parts()) >= 2
    run(
        f"INSERT INTO charging_meterreading ({columns}) SELECT {columns} FROM charging_meterreading"
        " ON CONFLICT DO NOTHING"
    )
    assert MeterReading.objects.count() == 500
    reading = MeterReading.objects.order_by("pk")[0]
    reading.pk, reading.digest = None, 7
    reading.save()
    assert reading.pk > newest
    index = "SELECT pg_get_indexdef('reading_once'::regclass)"
    assert "(charger_id, measured_at, connector_number, digest)" in run(index)
