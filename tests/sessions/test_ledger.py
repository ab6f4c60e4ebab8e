"""Facts from the field, without a wire."""

from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoCaptureOnCommitCallbacks

from chargers.events import user_group, utcnow
from chargers.models import Charger, Command
from sessions import accounts, ledger, oddities, reviews, services, unheard
from sessions.metering import Metered, Metering, metered, record_readings
from sessions.models import ChargingSession, MeterReading, Oddity
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


def test_a_stop_without_number_ends_a_session_whose_start_came_with_a_wrong_clock() -> None:
    """E25, E34: the start has the time of its receipt, and the stop's clock is right again"""
    charger = make_charger()
    session = start(charger, at=datetime(1973, 1, 9, tzinfo=UTC)).session
    stopped = stop(charger, -1, at=utcnow() - timedelta(seconds=8), id_tag="card1")
    assert (stopped.pk, stopped.status, stopped.energy_wh) == (session.pk, "completed", 4000)


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


def flag_of(session: ChargingSession, flag: str) -> Oddity:
    return session.oddities.get(flag=flag)


# --- what is odd ---


def test_what_is_odd_is_said_in_words_with_its_message_and_waits_for_a_person() -> None:
    """E26"""
    charger = make_charger()
    session = stop(charger, 424242, frame='[2,"1","StopTransaction",{}]')
    oddity = flag_of(session, "recovered")
    assert oddity.reason == "A stop of transaction 424242 was told, 5000 Wh, and no start"
    assert oddity.frame == '[2,"1","StopTransaction",{}]'
    assert session.review == "waiting"


def test_a_late_replay_is_flagged_and_needs_nobody() -> None:
    """E28"""
    session = start(make_charger(), at=utcnow() - timedelta(hours=5)).session
    assert (session.flags, session.review) == (["late"], "")
    assert flag_of(session, "late").reason == "Its start was told 5 hours after it happened"


def test_the_same_oddity_told_again_adds_nothing_and_does_not_wait_again() -> None:
    """E25, E27"""
    charger, at = make_charger(), utcnow()
    session = start(charger, at=at).session
    stop(charger, -1, at=at, id_tag="CARD1")
    reviews.accept(session=session, decided_by=make_user())
    stop(charger, -1, at=at, id_tag="CARD1")
    session.refresh_from_db()
    assert (session.review, session.oddities.count()) == ("accepted", 1)


@pytest.mark.parametrize(("reported", "told"), [("1970-01-01T00:00:00Z", "the time"), ("", "no time")])
def test_a_time_that_cannot_be_is_flagged(reported: str, told: str) -> None:
    """E41: the time of receipt counts"""
    session = start(make_charger(), reported_at=None, reported=reported).session
    assert session.flags == ["clock"]
    assert flag_of(session, "clock").reason.startswith(f"Its start was told with {told}")


def test_what_was_said_before_does_not_bring_back_what_was_decided() -> None:
    """E25: each of a charger's meter values may say it again"""
    session = make_session()
    assert oddities.note(session, "reconciled", "the same")
    session.review = "accepted"
    assert not oddities.note(session, "reconciled", "the same")
    assert (session.review, session.oddities.count()) == ("accepted", 1)
    assert oddities.note(session, "reconciled", "another")
    assert session.review == "waiting"


def test_every_flag_that_is_raised_stands_in_the_table() -> None:
    with pytest.raises(KeyError):
        oddities.note(make_session(), "peculiar", "no reason")


def test_a_second_stop_with_another_register_is_kept_for_a_person_and_changes_nothing() -> None:
    """E27"""
    charger, at = make_charger(), utcnow()
    session = start(charger, at=at).session
    stop(charger, session.transaction_id, at=at)
    again = stop(charger, session.transaction_id, at=at, meter_stop_wh=9000, frame="[2]")
    again.refresh_from_db()
    assert (again.energy_wh, again.flags, again.review) == (4000, ["second_stop"], "waiting")
    assert flag_of(again, "second_stop").frame == "[2]"


# --- whose it is ---


def test_a_stop_without_a_time_and_a_start_is_recovered_once() -> None:
    """E26, E27: by the message itself"""
    charger = make_charger()
    told: dict[str, Any] = {
        "reported_at": None,
        "reported": "",
        "frame": '[2,"9","StopTransaction",{"meterStop":5000}]',
    }
    first = stop(charger, 424242, **told)
    assert stop(charger, 424242, **told).pk == first.pk


def test_a_stop_of_a_start_from_an_app_that_was_given_up_is_that_users() -> None:
    """E26, E31: its StartTransaction was lost, its one-time tag says whose it was"""
    charger, user = make_online_charger(), make_user()
    make_tariff(stations=[charger.station], price_per_session=1)
    session, _ = services.request_start(user=user, identity=charger.identity)
    ledger.fail(session, code="charger_timeout", message="too late")
    stopped = stop(charger, -1, id_tag=session.id_tag)
    assert (stopped.pk, stopped.user, stopped.status, stopped.error_code) == (
        session.pk,
        user,
        "completed",
        "",
    )
    assert stopped.flags == ["recovered"]
    assert stopped.transaction_id == session.pk


def test_of_two_open_ones_of_one_tag_the_stop_ends_the_one_whose_meter_it_fits() -> None:
    """E25: transaction 0, the same card on both connectors"""
    charger = make_charger()
    first = start(charger, meter_start_wh=1000).session
    second = start(charger, connector_number=2, meter_start_wh=900).session
    read(first, 4900)
    read(second, 2100)
    assert stop(charger, 0, id_tag="CARD1", meter_stop_wh=5000).pk == first.pk
    assert stop(charger, 0, id_tag="CARD1", meter_stop_wh=5100).pk == second.pk


@pytest.mark.parametrize("transaction_id", [-(2**62), 2**62])
def test_numbers_of_any_size_are_looked_up(transaction_id: int) -> None:
    """E25"""
    assert stop(make_charger(), transaction_id, id_tag="OTHER").flags == ["recovered"]


def test_the_energy_of_a_stop_without_register_is_that_of_its_readings() -> None:
    """E38: transactionData, without meterStop"""
    charger = make_charger()
    session = start(charger).session
    at = utcnow()
    ending = Reading(measured_at=at, received_at=at, energy_wh=4000, sampled_values=b"{}")
    stopped = stop(charger, session.transaction_id, meter_stop_wh=None, readings=[ending])
    assert (stopped.energy_wh, stopped.flags, stopped.review) == (3000, ["suspect"], "waiting")


def test_registers_with_a_stop_that_lie_outside_its_ends_are_suspect() -> None:
    """E38"""
    charger = make_charger()
    session = start(charger).session
    at = utcnow()
    values = [
        Reading(measured_at=at, received_at=at, energy_wh=wh, sampled_values=str(wh).encode())
        for wh in (1000, 3000, 9_000_000)
    ]
    assert stop(charger, session.transaction_id, readings=values).energy_wh == 4000
    assert [row.is_suspect for row in session.readings.order_by("energy_wh")] == [False, False, True]


# --- ends that were never told ---


def lose_power(charger: Charger, session: ChargingSession) -> None:
    """The session began a while ago; then the charger restarted."""
    ago = utcnow() - timedelta(minutes=20)
    ChargingSession.objects.filter(pk=session.pk).update(created_at=ago, started_at=ago)
    read(session, 3000, at=utcnow() - timedelta(minutes=10))
    Charger.objects.filter(pk=charger.pk).update(booted_at=utcnow() - timedelta(minutes=5))


def report(charger: Charger, status: str, at: datetime | None = None) -> None:
    services.connector_reported(charger_id=charger.pk, number=1, status=status, reported_at=at)


def test_a_boot_and_a_free_connector_end_a_session_with_what_was_last_known() -> None:
    """E36"""
    charger = make_online_charger()
    session = start(charger).session
    lose_power(charger, session)
    report(charger, "Available")
    session.refresh_from_db()
    last = session.readings.get()
    assert (session.status, session.energy_wh, session.stopped_at) == ("completed", 2000, last.measured_at)
    assert (session.flags, session.review, session.stop_reason) == (["power_loss"], "waiting", "PowerLoss")


def test_the_stop_of_a_session_ended_by_power_loss_amends_it_and_clears_the_doubt() -> None:
    """E36"""
    charger = make_online_charger()
    session = start(charger).session
    lose_power(charger, session)
    report(charger, "Available")
    at = utcnow() - timedelta(minutes=7)
    stopped = stop(charger, session.transaction_id, at=at, meter_stop_wh=3500, reason="HardReset")
    assert (stopped.energy_wh, stopped.stopped_at, stopped.stop_reason) == (2500, at, "HardReset")
    assert (stopped.review, "power_loss" in stopped.flags, "amended" in stopped.flags) == ("", False, True)
    assert stopped.oddities.filter(flag="power_loss").exists()


def test_a_free_connector_without_a_boot_ends_nothing() -> None:
    """E36: the charger only reconnected; its stop is on its way"""
    charger = make_online_charger()
    session = start(charger).session
    report(charger, "Available")
    session.refresh_from_db()
    assert session.status == "active"


@pytest.mark.parametrize("sign", ["Charging", "SuspendedEV", "reading"])
def test_a_charger_that_goes_on_after_a_boot_ends_nothing(sign: str) -> None:
    """E36: it resumed the transaction"""
    charger = make_online_charger()
    session = start(charger).session
    lose_power(charger, session)
    if sign == "reading":
        read(session, 3100, at=utcnow() - timedelta(minutes=1))
    else:
        report(charger, sign)
    report(charger, "Available")
    unheard.sweep()
    session.refresh_from_db()
    assert session.status == "active"
    assert session.review == ""


def test_a_start_replayed_after_the_boot_was_not_cut_off_by_it() -> None:
    """E36, E28: its stop is still in the charger's queue"""
    charger = make_online_charger()
    Charger.objects.filter(pk=charger.pk).update(booted_at=utcnow() - timedelta(seconds=5))
    session = start(charger, at=utcnow() - timedelta(hours=1)).session
    report(charger, "Available")
    session.refresh_from_db()
    assert session.status == "active"


def test_a_connector_that_was_free_before_the_last_reading_ends_nothing() -> None:
    """E36, E28: news from the past"""
    charger = make_online_charger()
    session = start(charger).session
    lose_power(charger, session)
    report(charger, "Available", at=utcnow() - timedelta(minutes=15))
    session.refresh_from_db()
    assert session.status == "active"


def test_the_sweep_ends_what_a_restart_left_waiting_for_a_car(settings: Any) -> None:
    """E36: after the restart the connector is Preparing, and stays so"""
    charger = make_online_charger()
    session = start(charger).session
    lose_power(charger, session)
    charger.connectors.filter(number=1).update(status="Preparing")
    settings.START_TIMEOUT_S = 3600
    assert unheard.sweep() == 0
    settings.START_TIMEOUT_S = 120
    assert unheard.sweep() == 1
    session.refresh_from_db()
    assert (session.status, session.flags) == ("completed", ["power_loss"])


def refuse_stop(session: ChargingSession) -> Command:
    command = services.stop(session=session, requested_by=make_user()).command
    assert command is not None
    services.finish_command(command.pk, status="rejected", answer={"status": "Rejected"})
    return command


def test_a_refused_stop_asks_how_the_connector_is_and_ends_nothing_yet() -> None:
    """E35"""
    charger = make_online_charger()
    session = start(charger).session
    refuse_stop(session)
    asked = charger.commands.filter(action="trigger_message").order_by("created_at")
    assert [command.params for command in asked] == [
        {"message": "StatusNotification", "connector_id": 1},
        {"message": "MeterValues", "connector_id": 1},
    ]
    session.refresh_from_db()
    assert session.status == "active"


def test_a_refused_stop_and_a_free_connector_end_the_session() -> None:
    """E35"""
    charger = make_online_charger()
    session = start(charger).session
    read(session, 3000)
    refuse_stop(session)
    report(charger, "Available")
    session.refresh_from_db()
    assert (session.status, session.energy_wh) == ("completed", 2000)
    assert (session.flags, session.review) == (["lost_stop"], "waiting")


def test_a_refused_stop_of_one_that_charges_leaves_it_running(settings: Any) -> None:
    """E35"""
    settings.START_TIMEOUT_S = 0
    charger = make_online_charger()
    session = start(charger).session
    refuse_stop(session)
    charger.connectors.filter(number=1).update(status="Charging")
    report(charger, "Charging")
    assert unheard.sweep() == 0
    session.refresh_from_db()
    assert session.status == "active"


def test_the_sweep_ends_what_was_refused_and_heard_of_no_more(settings: Any) -> None:
    """E35: a charger without TriggerMessage"""
    settings.START_TIMEOUT_S = 0
    charger = make_online_charger()
    silent, heard = start(charger).session, start(charger, connector_number=2).session
    for session in (silent, heard):
        refuse_stop(session)
    read(heard, 3000)
    assert unheard.sweep() == 1
    silent.refresh_from_db()
    heard.refresh_from_db()
    assert (silent.status, silent.flags, heard.status) == ("completed", ["lost_stop"], "active")


def test_the_sweep_leaves_a_charger_alone_that_is_away(settings: Any) -> None:
    """E35, E36"""
    settings.START_TIMEOUT_S = 0
    charger = make_online_charger()
    session = start(charger).session
    refuse_stop(session)
    Charger.objects.filter(pk=charger.pk).update(channel_name="")
    assert unheard.sweep() == 0


# --- the same totals at any time ---


def test_readings_that_come_after_an_end_that_was_not_told_still_count() -> None:
    """E30, E29"""
    charger = make_charger()
    old = start(charger, at=utcnow() - timedelta(minutes=4)).session
    start(charger, id_tag="CARD2", meter_start_wh=3600)
    where = metered(charger_id=charger.pk, connector_number=1, transaction_id=old.transaction_id)
    at = utcnow() - timedelta(minutes=1)
    late = Reading(measured_at=at, received_at=utcnow(), energy_wh=3500, sampled_values=b"{}")
    hear(where, late)
    old.refresh_from_db()
    assert (old.status, old.energy_wh, old.stopped_at) == ("completed", 2500, at)


def hear(where: Metered, value: Reading) -> None:
    """As the charger's door does."""
    record_readings([Metering(where, [value])])
    if where.has_ended:
        assert where.session_id is not None
        ledger.recount_ended(charger_id=where.charger_id, session_id=where.session_id)


happenings = st.lists(
    st.tuples(
        st.sampled_from(
            ["start", "meter", "meter", "meter", "stop", "stop -1", "boot", "free", "close", "void"]
        ),
        st.integers(1, 2),
        st.integers(-5000, 60_000),
    ),
    max_size=14,
)


@hypothesis.settings(max_examples=40, deadline=None)
@given(happenings)
def test_whatever_happened_the_totals_reckoned_anew_are_the_stored_ones(
    history: list[tuple[str, int, int]],
) -> None:
    """E27, E38: no order of events leaves totals that the facts do not give"""
    charger, user = make_online_charger(), make_user()
    make_tariff(stations=[charger.station])
    meter = 100_000
    begun = utcnow() - timedelta(hours=2)
    for step, (what, number, wh) in enumerate(history):
        at = begun + timedelta(minutes=5 * step)
        meter += max(0, wh) // 20
        running = charger.sessions.filter(
            connector__number=number, status__in=ChargingSession.RUNNING
        ).first()
        last = charger.sessions.filter(connector__number=number).order_by("-pk").first()
        if what == "start":
            start(charger, at=at, connector_number=number, id_tag=f"C{number}", meter_start_wh=meter)
        elif what == "meter" and last:
            where = metered(
                charger_id=charger.pk, connector_number=number, transaction_id=last.transaction_id
            )
            raw = str(step).encode()
            value = Reading(measured_at=at, received_at=utcnow(), energy_wh=meter + wh, sampled_values=raw)
            hear(where, value)
        elif what == "stop":
            stop(charger, last.transaction_id if last else 77, at=at, meter_stop_wh=meter + wh)
        elif what == "stop -1":
            stop(charger, -1, at=at, id_tag=f"C{number}", meter_stop_wh=meter)
        elif what == "boot":
            Charger.objects.filter(pk=charger.pk).update(booted_at=utcnow())
        elif what == "free":
            services.connector_reported(
                charger_id=charger.pk, number=number, status="Available", reported_at=at
            )
        elif what == "close" and running:
            reviews.close_stale(session=running, decided_by=user, reason="test")
        elif what == "void" and last and last.status == "completed":
            reviews.void(session=last, decided_by=user, reason="test")
        for session in charger.sessions.all():
            assert accounts.differences(session) == {}, (step, session.pk)
    billed = [session.energy_wh for session in charger.sessions.filter(status="completed")]
    assert all(wh is None or 0 <= wh < 10**6 for wh in billed)
