"""After a year and ten million readings nothing is slower than on the first day: by the plans, not by the clock.

What the services and pages really ask is taken from the connection and explained: no large table is looked through,
few rows are read, and where a time is named only the parts of that time are opened.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from chargers import wire_log
from chargers.events import utcnow
from chargers.models import Charger, Command, OcppCall, SecurityEvent
from gateway import actions, arrivals, protocol
from sessions import ledger, metering, retention, services, sweeping
from sessions.metering import Metering
from sessions.models import ChargingSession, MeterReading, WaitingSession
from sessions.readings import Reading
from sessions.retention import READINGS
from tests import growth
from tests.conftest import stack
from tests.factories import make_id_tag, make_online_charger, make_tariff, make_user, unique
from tests.operators import list_of, operator, page_of

LARGE = 20_000  # rows; what is smaller may be looked through
MOST_ROWS = 25_000  # that one query may read: a list counts to 10,000 at most
SCANS = ("Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan", "Bitmap Index Scan", "Tid Scan")


class Asked(NamedTuple):
    """A query that was asked, and how PostgreSQL answers it."""

    by: str
    sql: str
    plan: dict[str, Any]

    @property
    def scans(self) -> list[dict[str, Any]]:
        return [node for node in _nodes(self.plan) if node["Node Type"] in SCANS]

    @property
    def tables(self) -> set[str]:
        """Those opened; of a table in parts, its parts."""
        return {
            node["Relation Name"]
            for node in self.scans
            if "Relation Name" in node and node.get("Actual Loops", 1)
        }

    @property
    def rows_read(self) -> int:
        """Of a query that was run to be explained; 0 of others."""
        removed = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
        return sum(
            int(
                (node.get("Actual Rows", 0) + sum(node.get(name, 0) for name in removed))
                * node.get("Actual Loops", 0)
            )
            for node in self.scans
            if node["Node Type"] != "Bitmap Index Scan"
        )


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


def explained(by: str, sql: str) -> Asked | None:
    """A question is asked once more to be measured; what changes rows is planned only."""
    if not re.match(r"(SELECT|UPDATE|DELETE|WITH)\b", sql):
        return None
    how = "ANALYZE, TIMING off, " if sql.startswith("SELECT") and "FOR NO KEY UPDATE" not in sql else ""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN ({how}FORMAT json) {sql}".replace("%", "%%"), ())
        found = cursor.fetchone()[0]
    return Asked(by, sql, (found if isinstance(found, list) else json.loads(found))[0]["Plan"])


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def questions(by: str, work: Callable[[], Any]) -> list[Asked]:
    """What a piece of work asks; it is undone."""
    with undone():
        with CaptureQueriesContext(connection) as captured:
            work()
        asked = [explained(by, query["sql"]) for query in captured.captured_queries]
    return [each for each in asked if each is not None]


def large_tables() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples > %s", [LARGE])
        return {name for (name,) in cursor.fetchall()}


def offences(asked: list[Asked], large: set[str]) -> Iterator[str]:
    for each in asked:
        for node in each.scans:
            # To read the first of a table until there are enough is no fault; then few rows were read.
            was_read_to_its_end = each.rows_read > LARGE or "Actual Rows" not in node
            if node["Node Type"] == "Seq Scan" and node["Relation Name"] in large and was_read_to_its_end:
                yield f"{each.by}: looks through {node['Relation Name']}: {each.sql}"
        if each.rows_read > MOST_ROWS:
            yield f"{each.by}: reads {each.rows_read} rows: {each.sql}"


def parts_opened(asked: list[Asked], table: str) -> set[str]:
    return {name for each in asked for name in each.tables if name.startswith(f"{table}_")}


# --- what is done ---


def driver_charges() -> None:
    """Start, meter values, status, list, the app's arrival, stop."""
    charger, user = make_online_charger(), make_user()
    make_tariff(is_default=True)
    services.request_start(user=user, identity=charger.identity)
    session = ChargingSession.objects.get(user=user)
    command = session.start_command
    assert command
    services.finish_command(command.pk, status="accepted", answer={"status": "Accepted"})
    now = utcnow()
    ledger.start_session(
        charger_id=charger.pk,
        connector_number=1,
        id_tag=session.id_tag,
        meter_start_wh=0,
        reported_at=now,
        reported=now.isoformat(),
    )
    session.refresh_from_db()
    belongs = metering.metered(
        charger_id=charger.pk, connector_number=1, transaction_id=session.transaction_id
    )
    reading = Reading(measured_at=now, received_at=now, energy_wh=100, sampled_values=b"[]")
    metering.record_readings([Metering(belongs, [reading])])
    arrivals.situations_of([user.pk])
    actions._charger_status(charger.identity)
    actions._list_chargers(protocol.ListChargers(limit=50))
    services.request_stop(user=user, identity=charger.identity)
    ledger.stop_session(
        charger_id=charger.pk,
        transaction_id=session.transaction_id,
        meter_stop_wh=200,
        reported_at=utcnow(),
        reported=utcnow().isoformat(),
    )


def card_charges_at_an_old_charger() -> None:
    """A charger that has been there all the time, with a card that is known."""
    charger = ChargingSession.objects.order_by("pk")[0].charger
    tag, now = make_id_tag(user=make_user()), utcnow()
    started = ledger.start_session(
        charger_id=charger.pk,
        connector_number=1,
        id_tag=tag.value,
        meter_start_wh=0,
        reported_at=now,
        reported=now.isoformat(),
    )
    services.charger_connected(charger_id=charger.pk, channel_name=unique("c."), ocpp_version="ocpp1.6")
    services.connector_reported(charger_id=charger.pk, number=1, status="Available", reported_at=now)
    ledger.stop_session(
        charger_id=charger.pk,
        transaction_id=started.session.transaction_id,
        meter_stop_wh=200,
        reported_at=utcnow(),
        reported=utcnow().isoformat(),
    )
    services.charger_disconnected(charger_id=charger.pk, channel_name="c.")


def pages(client: Client) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(what it is, address, parameters)"""
    charger = Charger.objects.order_by("pk")[7]
    newest, oldest = ChargingSession.objects.order_by("-pk")[0], ChargingSession.objects.order_by("pk")[0]
    for model in (ChargingSession, WaitingSession, MeterReading, OcppCall, Command, SecurityEvent):
        yield f"list of {model.__name__}", list_of(model), {}
        yield f"a charger's {model.__name__}", list_of(model), {"charger": charger.pk}
        if model is not MeterReading:
            yield f"a later page of {model.__name__}", list_of(model), {"p": 3}
    yield "a session's readings", list_of(MeterReading), {"session": oldest.pk}
    yield "messages of the last hour", list_of(OcppCall), {"since": "1h"}
    yield (
        "messages with an id",
        list_of(OcppCall),
        {"message_id": OcppCall.objects.order_by("at")[0].message_id},
    )
    yield "the newest session", page_of(newest), {}
    yield "the oldest session", page_of(oldest), {}
    yield "a reading", page_of(MeterReading.objects.filter(session=oldest)[0]), {}
    yield "a message", page_of(OcppCall.objects.order_by("-at")[0]), {}
    yield "a charger", page_of(charger), {}


@pytest.mark.skipif(stack() != "real", reason="plans are PostgreSQL's")
@pytest.mark.long
@pytest.mark.timeout(600)
def test_millions_of_readings_slow_nothing_down(django_db_setup: None, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock(), growth.database("growth"):
        growth.fill()
        large = large_tables()
        assert len([name for name in large if name.startswith("charging_meterreading_p")]) >= 12
        found: list[str] = []

        drive = questions("a driver's charge", driver_charges)
        found += offences(drive, large)
        found += offences(questions("a card's charge", card_charges_at_an_old_charger), large)

        sweep = questions("the sweep", sweeping.sweep)
        found += offences(sweep, large)
        thinned = questions("a share thinned", retention.thin)
        assert any(each.sql.startswith("DELETE") for each in thinned)
        found += offences(thinned, large)
        found += offences(questions("the wire log pruned", wire_log.prune), large)

        client = operator()
        for by, address, parameters in pages(client):
            asked = questions(by, lambda a=address, p=parameters: _seen(client.get(a, p)))  # type: ignore[misc]
            found += offences(asked, large)
            if by == "messages of the last hour":
                assert len(parts_opened(asked, "chargers_ocppcall")) <= 6
            if by == "the newest session":  # its timeline is of three hours
                assert len(parts_opened(asked, "chargers_ocppcall")) <= 3

        month_ago = utcnow() - timedelta(days=40)
        of_a_day = MeterReading.objects.filter(
            charger=Charger.objects.order_by("pk")[7],
            measured_at__range=(month_ago, month_ago + timedelta(days=1)),
        )
        [day] = questions("a charger's day", lambda: list(of_a_day))
        expected = {READINGS.name_of(READINGS.begin_of(month_ago + timedelta(days=n))) for n in (0, 1)}
        assert day.tables <= expected
        assert not found, "\n\n".join(found)


def _seen(response: Any) -> None:
    assert response.status_code == 200, response.status_code
