"""Facts from the field, without a wire."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from pytest_django import DjangoCaptureOnCommitCallbacks

from chargers.events import user_group, utcnow
from chargers.models import Charger
from sessions import ledger, services
from sessions.models import ChargingSession, MeterReading
from sessions.readings import Reading
from tests.factories import (
    make_charger,
    make_id_tag,
    make_online_charger,
    make_session,
    make_tariff,
    make_user,
)

pytestmark = pytest.mark.django_db

Published = list[tuple[str, dict[str, Any]]]


def start(charger: Charger, *, at: datetime | None = None, **values: Any) -> ledger.Started:
    at = at or utcnow()
    return ledger.start_session(
        **{
            "charger_id": charger.pk,
            "connector_number": 1,
            "id_tag": "CARD1",
            "meter_start_wh": 1000,
            "reported_at": at,
            "reported": at.isoformat(),
            **values,
        }
    )


def stop(
    charger: Charger, transaction_id: int | None, *, at: datetime | None = None, **values: Any
) -> ChargingSession:
    at = at or utcnow()
    return ledger.stop_session(
        **{
            "charger_id": charger.pk,
            "transaction_id": transaction_id,
            "meter_stop_wh": 5000,
            "reported_at": at,
            "reported": at.isoformat(),
            **values,
        }
    )


def read(session: ChargingSession, energy_wh: int, at: datetime | None = None) -> None:
    MeterReading.objects.create(
        session=session,
        charger=session.charger,
        connector_number=1,
        measured_at=at or utcnow(),
        received_at=utcnow(),
        energy_wh=energy_wh,
        sampled_values=[],
        digest=energy_wh,
    )


def test_a_start_by_card_belongs_to_the_cards_user_and_takes_the_stations_price() -> None:
    charger, user = make_charger(), make_user()
    tag = make_id_tag(user=user)
    make_tariff(is_default=True, price_per_kwh="0.99")
    make_tariff(stations=[charger.station], price_per_kwh="0.30")
    started = start(charger, id_tag=tag.value.lower())
    session = started.session
    assert (started.id_tag_status, session.user, session.status) == ("Accepted", user, "active")
    assert str(session.price_per_kwh) == "0.3000"
    assert session.transaction_id
    assert session.transaction_id > 0


def test_a_tariff_changed_later_does_not_change_the_price_agreed() -> None:
    charger = make_charger()
    tariff = make_tariff(stations=[charger.station], price_per_kwh="0.50")
    session = start(charger).session
    tariff.price_per_kwh = 5
    tariff.save()
    assert str(stop(charger, session.transaction_id).cost) == "2.00"


@pytest.mark.parametrize("offset_days", [0, -30])
def test_the_same_start_again_is_the_same_session(offset_days: int) -> None:
    """E21"""
    charger, at = make_charger(), utcnow() + timedelta(days=offset_days)
    first = start(charger, at=at)
    again = start(charger, at=at)
    assert (again.session.pk, again.is_repeat) == (first.session.pk, True)
    stop(charger, first.session.transaction_id)
    after_stop = start(charger, at=at)
    assert after_stop.session.pk == first.session.pk
    assert after_stop.session.status == "completed"
    assert charger.sessions.count() == 1


@pytest.mark.parametrize(
    "other", [{"id_tag": "CARD2"}, {"meter_start_wh": 1001}, {"connector_number": 2}, {"reported": "other"}]
)
def test_another_start_is_another_session(other: dict[str, Any]) -> None:
    """E21"""
    charger, at = make_charger(), utcnow()
    assert start(charger, at=at).session.pk != start(charger, at=at, **other).session.pk


@pytest.mark.parametrize(("fields", "status"), [({"is_blocked": True}, "Blocked"), (None, "Invalid")])
def test_a_start_by_a_tag_that_may_not_charge_is_stored_all_the_same(fields: Any, status: str) -> None:
    """E24"""
    charger = make_charger()
    value = make_id_tag(**fields).value if fields else "STRANGER"
    started = start(charger, id_tag=value)
    assert started.id_tag_status == status
    assert started.session.transaction_id
    assert stop(charger, started.session.transaction_id).energy_wh == 4000


def test_a_new_start_supersedes_what_was_open_and_keeps_it_billable() -> None:
    """E29"""
    charger = make_charger()
    make_tariff(stations=[charger.station], price_per_kwh="1")
    old = start(charger, at=utcnow() - timedelta(minutes=4)).session
    read(old, 3500, at=utcnow() - timedelta(minutes=2))
    new = start(charger, id_tag="CARD2", meter_start_wh=3600).session
    old.refresh_from_db()
    assert (old.status, old.energy_wh, str(old.cost), old.flags) == (
        "completed",
        2500,
        "2.500",
        ["superseded"],
    )
    assert new.status == "active"


def test_the_stop_of_a_superseded_session_still_sets_its_true_end() -> None:
    charger = make_charger()
    old = start(charger).session
    start(charger, id_tag="CARD2", meter_start_wh=3600)
    stopped = stop(charger, old.transaction_id, meter_stop_wh=3600)
    assert (stopped.energy_wh, stopped.meter_stop_wh) == (2600, 3600)


def test_a_stop_told_twice_counts_once(
    published: Published, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    """E27"""
    charger, user = make_charger(), make_user()
    session = start(charger, id_tag=make_id_tag(user=user).value).session
    at = utcnow()
    with django_capture_on_commit_callbacks(execute=True):
        first = stop(charger, session.transaction_id, at=at)
    count = len(published)
    with django_capture_on_commit_callbacks(execute=True):
        again = stop(charger, session.transaction_id, at=at + timedelta(seconds=5), meter_stop_wh=9999)
    assert (again.pk, again.energy_wh, again.cost) == (first.pk, first.energy_wh, first.cost)
    assert len(published) == count
    assert [m["event"] for _, m in published if m["type"] == "session_update"] == [
        "session_stopped",
        "session_completed",
    ]


@pytest.mark.parametrize("transaction_id", [-1, 0, None, 987654321])
def test_a_stop_without_a_known_transaction_ends_the_open_one(transaction_id: int | None) -> None:
    """E25"""
    charger = make_charger()
    session = start(charger).session
    stopped = stop(charger, transaction_id, id_tag="card1")
    assert (stopped.pk, stopped.status, stopped.flags) == (session.pk, "completed", ["reconciled"])


def test_a_stop_with_several_open_ones_goes_by_the_tag() -> None:
    """E25"""
    charger = make_charger()
    start(charger, id_tag="CARD1")
    second = start(charger, id_tag="CARD2", connector_number=2).session
    assert stop(charger, -1, id_tag="CARD2").pk == second.pk


def test_a_stop_of_nothing_is_recovered_and_only_once() -> None:
    """E26"""
    charger, at = make_charger(), utcnow()
    recovered = stop(charger, 424242, at=at)
    assert (recovered.status, recovered.flags[0], recovered.meter_stop_wh) == ("completed", "recovered", 5000)
    assert stop(charger, 424242, at=at).pk == recovered.pk


def test_a_register_that_ran_backwards_is_suspect_and_bills_what_the_meter_last_said() -> None:
    charger = make_charger()
    session = start(charger).session
    read(session, 1800)
    stopped = stop(charger, session.transaction_id, meter_stop_wh=10)
    assert (stopped.energy_wh, stopped.flags) == (800, ["suspect"])


def test_replayed_news_has_the_chargers_times_and_is_not_announced_as_happening_now(
    published: Published, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    """E28"""
    charger, user = make_charger(), make_user()
    tag = make_id_tag(user=user).value
    begun, ended = utcnow() - timedelta(hours=5), utcnow() - timedelta(hours=4)
    with django_capture_on_commit_callbacks(execute=True):
        session = start(charger, id_tag=tag, at=begun).session
        stopped = stop(charger, session.transaction_id, at=ended)
    assert (stopped.started_at, stopped.stopped_at, stopped.flags) == (begun, ended, ["late"])
    kinds = [m.get("event") or m["type"] for group, m in published if group == user_group(user.pk)]
    assert "session_started" not in kinds
    assert "notification" not in kinds
    assert "session_completed" in kinds


def test_two_connectors_started_at_once_have_their_own_drivers() -> None:
    """E23"""
    charger, anna, ben = make_online_charger(), make_user(), make_user()
    for user, number in ((anna, 1), (ben, 2)):
        services.request_start(user=user, identity=charger.identity, connector_number=number)
    tags = {s.connector.number: s.id_tag for s in charger.sessions.select_related("connector") if s.connector}
    second = start(charger, connector_number=2, id_tag=tags[2]).session
    first = start(charger, connector_number=1, id_tag=tags[1]).session
    assert (first.user, second.user) == (anna, ben)
    assert first.transaction_id != second.transaction_id


def test_a_start_we_had_given_up_is_still_the_drivers() -> None:
    """E31"""
    charger, user = make_online_charger(), make_user()
    session, _ = services.request_start(user=user, identity=charger.identity)
    ledger.fail(session, code="charger_timeout", message="too late")
    started = start(charger, id_tag=session.id_tag)
    assert (started.session.pk, started.session.user, started.session.status) == (session.pk, user, "active")
    assert "late_start" in started.session.flags


def test_a_start_that_was_called_off_is_stopped_as_soon_as_it_begins() -> None:
    charger, user = make_online_charger(), make_user()
    session, _ = services.request_start(user=user, identity=charger.identity)
    services.request_stop(user=user)
    started = start(charger, id_tag=session.id_tag).session
    assert started.status == "stopping"
    assert started.stop_command is not None
    assert started.stop_command.params == {"transaction_id": started.transaction_id}


def test_a_card_at_the_charger_ends_the_wait_of_an_app() -> None:
    charger, user = make_online_charger(), make_user()
    waiting, _ = services.request_start(user=user, identity=charger.identity)
    start(charger, id_tag="CARD1")
    waiting.refresh_from_db()
    assert (waiting.status, waiting.error_code) == ("failed", "connector_busy")


def test_failing_a_session_that_has_begun_meanwhile_changes_nothing() -> None:
    session = make_session()
    ledger.fail(session, code="charger_timeout", message="")
    session.refresh_from_db()
    assert session.status == "active"


def test_readings_in_a_stop_are_stored_with_the_session() -> None:
    charger = make_charger()
    session = start(charger).session
    at = utcnow()
    ending = Reading(
        measured_at=at,
        received_at=at,
        context="Transaction.End",
        energy_wh=5000,
        sampled_values=b'{"value": "5000"}',
    )
    stop(charger, session.transaction_id, readings=[ending, ending])
    assert [r.energy_wh for r in session.readings.all()] == [5000]


def test_a_stop_before_its_start_by_the_clock_lasts_no_time() -> None:
    charger = make_charger()
    session = start(charger).session
    stopped = stop(charger, session.transaction_id, at=utcnow() - timedelta(hours=2))
    assert stopped.stopped_at == stopped.started_at
    assert "clock" in stopped.flags
