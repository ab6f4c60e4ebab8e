"""Stops that come when their sessions had been ended without one, and chargers whose clock runs ahead of ours."""

from datetime import timedelta

import pytest

from chargers.events import utcnow
from chargers.models import Charger
from sessions import ledger, unheard
from sessions.models import ChargingSession, MeterReading
from sessions.readings import Reading
from tests.factories import make_charger, make_id_tag, make_online_charger

pytestmark = pytest.mark.django_db


def start(
    charger: Charger, id_tag: str, *, minutes_ago: float, meter_wh: int = 1_000, connector: int = 1
) -> ChargingSession:
    at = utcnow() - timedelta(minutes=minutes_ago)
    return ledger.start_session(
        charger_id=charger.pk,
        connector_number=connector,
        id_tag=id_tag,
        meter_start_wh=meter_wh,
        reported_at=at,
        reported=at.isoformat(),
    ).session


def nameless_stop(
    charger: Charger, id_tag: str, *, minutes_ago: float, meter_wh: int, begun_at_wh: int | None = None
) -> ChargingSession:
    """`begun_at_wh`: its transaction data say that the transaction began with this register, five minutes before."""
    at = utcnow() - timedelta(minutes=minutes_ago)
    begun = Reading(
        measured_at=at - timedelta(minutes=5),
        received_at=utcnow(),
        context="Transaction.Begin",
        energy_wh=begun_at_wh,
        sampled_values=b"[]",
    )
    return ledger.stop_session(
        charger_id=charger.pk,
        transaction_id=-1,
        meter_stop_wh=meter_wh,
        reported_at=at,
        reported=at.isoformat(),
        id_tag=id_tag,
        readings=[] if begun_at_wh is None else [begun],
    )


def test_nameless_stop_amends_the_session_of_its_tag_that_was_ended_without_one() -> None:
    """E25, E36: −1, and it had been taken for cut off: still one session, with the energy of the stop."""
    charger, tag = make_charger(), make_id_tag().value
    session = start(charger, tag, minutes_ago=10)
    ledger.end_unheard(session, flag="power_loss", reason="The charger restarted")
    stopped = nameless_stop(charger, tag, minutes_ago=5, meter_wh=1_500)
    assert (stopped.pk, stopped.energy_wh, stopped.meter_stop_wh) == (session.pk, 500, 1_500)
    assert ChargingSession.objects.filter(charger=charger).count() == 1
    assert "power_loss" not in stopped.flags
    assert {"amended", "reconciled"} <= set(stopped.flags)


def test_nameless_stop_from_after_the_next_start_is_not_the_one_befores() -> None:
    """E26."""
    charger, tag = make_charger(), make_id_tag().value
    session = start(charger, tag, minutes_ago=60)
    ledger.end_unheard(session, flag="power_loss", reason="The charger restarted")
    other = start(charger, make_id_tag().value, minutes_ago=30, meter_wh=2_000)
    ledger.end_unheard(other, flag="power_loss", reason="The charger restarted")
    stopped = nameless_stop(charger, tag, minutes_ago=5, meter_wh=3_000)
    assert stopped.pk not in (session.pk, other.pk)
    assert "recovered" in stopped.flags


def test_nameless_stop_without_a_tag_amends_the_only_session_that_was_ended_without_one() -> None:
    """E25, E36: the answer to its start was lost, so that its stop names neither transaction nor tag."""
    charger = make_charger()
    session = start(charger, make_id_tag().value, minutes_ago=10)
    ledger.end_unheard(session, flag="power_loss", reason="The charger restarted")
    stopped = nameless_stop(charger, "", minutes_ago=5, meter_wh=1_500)
    assert (stopped.pk, stopped.energy_wh) == (session.pk, 500)
    assert {"amended", "reconciled"} <= set(stopped.flags)


def test_nameless_stop_without_a_tag_that_could_be_of_two_sessions_is_neithers() -> None:
    """E26."""
    charger = make_charger()
    for number in (1, 2):
        session = start(charger, make_id_tag().value, minutes_ago=10, connector=number)
        ledger.end_unheard(session, flag="power_loss", reason="The charger restarted")
    assert "recovered" in nameless_stop(charger, "", minutes_ago=5, meter_wh=1_500).flags


def test_stop_of_a_transaction_of_before_our_time_amends_none_of_ours() -> None:
    """E26: it names a transaction, and no tag."""
    charger = make_charger()
    session = start(charger, make_id_tag().value, minutes_ago=10)
    ledger.end_unheard(session, flag="power_loss", reason="The charger restarted")
    at = utcnow() - timedelta(minutes=5)
    stopped = ledger.stop_session(
        charger_id=charger.pk,
        transaction_id=424242,
        meter_stop_wh=1_500,
        reported_at=at,
        reported=at.isoformat(),
    )
    assert stopped.pk != session.pk and "recovered" in stopped.flags


def test_nameless_stop_of_another_meter_is_not_the_only_open_sessions() -> None:
    """E25, E26: its data say with which register its transaction began, and that is not this one's."""
    charger = make_charger()
    running = start(charger, make_id_tag().value, minutes_ago=10)
    stopped = nameless_stop(charger, "", minutes_ago=5, meter_wh=6_500_000, begun_at_wh=6_499_000)
    assert stopped.pk != running.pk and "recovered" in stopped.flags
    running.refresh_from_db()
    assert running.status == "active" and "reconciled" not in running.flags


def test_nameless_stop_finds_its_session_by_how_it_began_though_its_register_fell() -> None:
    """E25, E38: the meter was reset in its midst."""
    charger, tag = make_charger(), make_id_tag().value
    running = start(charger, tag, minutes_ago=10, meter_wh=800_000)
    stopped = nameless_stop(charger, tag, minutes_ago=5, meter_wh=100, begun_at_wh=800_000)
    assert (stopped.pk, stopped.status) == (running.pk, "completed")
    assert {"reconciled", "suspect"} <= set(stopped.flags)


def test_nameless_stop_finds_which_of_two_it_is_by_how_it_began() -> None:
    """E25: two run, and its data are in kWh that do not say so."""
    charger = make_charger()
    first = start(charger, make_id_tag().value, minutes_ago=10, meter_wh=8_164_721)
    other = start(charger, make_id_tag().value, minutes_ago=10, meter_wh=2_000_000, connector=2)
    stopped = nameless_stop(charger, "", minutes_ago=5, meter_wh=8_164_900, begun_at_wh=8_165)
    assert (stopped.pk, stopped.energy_wh) == (first.pk, 179)
    other.refresh_from_db()
    assert other.status == "active"


@pytest.mark.parametrize("is_same_tag", [False, True])
def test_nameless_stop_of_the_next_one_is_not_the_one_befores_that_delivered_next_to_nothing(
    is_same_tag: bool,
) -> None:
    """E26: their registers differ by less than chargers round by."""
    charger, tag = make_charger(), make_id_tag().value
    before = start(charger, tag, minutes_ago=30, meter_wh=9_060_753)
    ledger.end_unheard(before, flag="power_loss", reason="The charger restarted")
    running = start(charger, make_id_tag().value, minutes_ago=20, meter_wh=9_060_770)
    stopped = nameless_stop(
        charger,
        tag if is_same_tag else make_id_tag().value,
        minutes_ago=5,
        meter_wh=9_060_843,
        begun_at_wh=9_060_821,
    )
    assert (stopped.flags[0], stopped.meter_stop_wh) == ("recovered", 9_060_843)
    for other in (before, running):
        other.refresh_from_db()
        assert other.stop_told_at is None


def test_nameless_stop_that_began_later_is_not_the_only_open_sessions() -> None:
    """E26: a charger that forgot the one before in a power cut, and could not tell of its next start; in kWh that do
    not say so, and then its register fell."""
    charger = make_charger()
    forgotten = start(charger, make_id_tag().value, minutes_ago=11, meter_wh=4_502_456)
    stopped = nameless_stop(charger, "", minutes_ago=5, meter_wh=3_702_985, begun_at_wh=4_503)
    assert (stopped.flags[0], stopped.meter_stop_wh) == ("recovered", 3_702_985)
    forgotten.refresh_from_db()
    assert forgotten.stop_told_at is None


def test_nameless_stop_of_the_only_open_session_may_begin_with_a_rounded_register() -> None:
    """E25: of its own tag and sampled late, or at its time and by another card."""
    charger, tag = make_charger(), make_id_tag().value
    for other_tag, minutes_ago in ((tag, 12), (make_id_tag().value, 10)):
        session = start(charger, tag, minutes_ago=minutes_ago, meter_wh=9_060_753)
        stopped = nameless_stop(charger, other_tag, minutes_ago=5, meter_wh=9_061_753, begun_at_wh=9_060_793)
        assert (stopped.pk, stopped.energy_wh) == (session.pk, 1_000)


def test_nameless_stop_by_another_card_of_its_driver_is_known_by_the_register_it_began_with() -> None:
    """E25"""
    charger = make_charger()
    session = start(charger, make_id_tag().value, minutes_ago=30, meter_wh=9_060_753)
    ledger.end_unheard(session, flag="power_loss", reason="The charger restarted")
    stopped = nameless_stop(
        charger, make_id_tag().value, minutes_ago=5, meter_wh=9_061_753, begun_at_wh=9_060_753
    )
    assert (stopped.pk, stopped.energy_wh) == (session.pk, 1_000)


def test_nameless_stop_of_the_one_before_is_known_though_the_clock_was_set_back() -> None:
    """E25: by its times the next one began before it ended."""
    charger, tag = make_charger(), make_id_tag().value
    session = start(charger, tag, minutes_ago=10, meter_wh=500_000)
    start(charger, make_id_tag().value, minutes_ago=9, meter_wh=500_600)
    stopped = nameless_stop(charger, tag, minutes_ago=8, meter_wh=500_600, begun_at_wh=500_000)
    assert (stopped.pk, stopped.energy_wh) == (session.pk, 600)


def test_nameless_stop_is_known_by_how_it_began_though_by_its_time_it_ended_before() -> None:
    """E25: the clock was set back in its midst; its data have the start's own time and register."""
    charger, tag = make_charger(), make_id_tag().value
    session = start(charger, tag, minutes_ago=5, meter_wh=500_000)
    assert session.started_at is not None
    at = session.started_at - timedelta(minutes=20)
    begun = Reading(
        measured_at=session.started_at,
        received_at=utcnow(),
        context="Transaction.Begin",
        energy_wh=500_000,
        sampled_values=b"[]",
    )
    stopped = ledger.stop_session(
        charger_id=charger.pk,
        transaction_id=-1,
        meter_stop_wh=500_600,
        reported_at=at,
        reported=at.isoformat(),
        id_tag=tag,
        readings=[begun],
    )
    assert (stopped.pk, stopped.energy_wh, stopped.stopped_at) == (session.pk, 600, session.started_at)
    assert {"reconciled", "clock"} <= set(stopped.flags)


def test_nameless_stop_of_a_meter_that_begins_at_zero_is_the_only_open_sessions() -> None:
    """E25"""
    charger = make_charger()
    running = start(charger, make_id_tag().value, minutes_ago=10, meter_wh=0)
    stopped = nameless_stop(charger, "", minutes_ago=5, meter_wh=1_000, begun_at_wh=0)
    assert (stopped.pk, stopped.energy_wh) == (running.pk, 1_000)


def test_a_beginning_in_another_unit_says_nothing() -> None:
    """E25: kWh that do not say so; such a beginning does not fit its own end."""
    charger, tag = make_charger(), make_id_tag().value
    running = start(charger, tag, minutes_ago=10, meter_wh=800_000_000)
    stopped = nameless_stop(charger, tag, minutes_ago=5, meter_wh=800_001_000, begun_at_wh=800_000)
    assert (stopped.pk, stopped.energy_wh) == (running.pk, 1_000)


@pytest.mark.parametrize("is_told", [False, True])
def test_reading_committed_after_its_session_was_ended_counts(is_told: bool) -> None:
    """E30: it was being written by one process while another ended the session; nobody sent it again."""
    charger = make_charger()
    session = start(charger, make_id_tag().value, minutes_ago=10)
    if is_told:  # with a register that cannot be right
        session = nameless_stop(charger, session.id_tag, minutes_ago=0.5, meter_wh=90_000_000)
    else:
        ledger.end_unheard(session, flag="power_loss", reason="The charger restarted")
    MeterReading.objects.create(
        session=session,
        charger=charger,
        connector_number=1,
        measured_at=utcnow() - timedelta(minutes=1),
        received_at=utcnow(),
        energy_wh=1_300,
        sampled_values=[],
        digest=1,
    )
    unheard.sweep()
    session.refresh_from_db()
    assert not session.energy_wh  # more may still be on its way
    ChargingSession.objects.filter(pk=session.pk).update(updated_at=utcnow() - timedelta(seconds=30))
    unheard.sweep()
    session.refresh_from_db()
    assert (session.energy_wh, "amended" in session.flags) == (300, True)


def test_a_doubt_is_said_once_with_what_it_comes_to_now() -> None:
    """E38: what comes after the end changes what the readings support, not why the stop cannot be right."""
    charger = make_charger()
    session = start(charger, make_id_tag().value, minutes_ago=10)
    nameless_stop(charger, session.id_tag, minutes_ago=5, meter_wh=90_000_000)
    for minute, wh in enumerate((1_100, 1_200, 1_300)):
        MeterReading.objects.create(
            session=session,
            charger=charger,
            connector_number=1,
            measured_at=utcnow() - timedelta(minutes=9 - minute),
            received_at=utcnow(),
            energy_wh=wh,
            sampled_values=[],
            digest=wh,
        )
        ledger.recount_ended(charger_id=charger.pk, session_id=session.pk)
    (doubt,) = session.oddities.filter(flag="suspect")
    assert doubt.reason.endswith("the readings support 0.300 kWh")


def test_restart_ends_a_session_whose_charger_has_a_clock_that_runs_ahead() -> None:
    """E36: what we heard before the boot was before it, whatever the charger's clock said."""
    charger = make_online_charger()
    session = start(charger, make_id_tag().value, minutes_ago=-2)  # two minutes from now, as it says
    now = utcnow()
    ChargingSession.objects.filter(pk=session.pk).update(created_at=now - timedelta(minutes=9))
    MeterReading.objects.create(
        session=session,
        charger=charger,
        connector_number=1,
        measured_at=now + timedelta(minutes=2.5),
        received_at=now - timedelta(minutes=8),
        energy_wh=1_200,
        sampled_values=[],
        digest=1,
    )
    Charger.objects.filter(pk=charger.pk).update(booted_at=now - timedelta(minutes=5))
    charger.connectors.update(status="Available")
    assert unheard.sweep() == 1
    session.refresh_from_db()
    assert (session.status, session.energy_wh) == ("completed", 200)
    assert "power_loss" in session.flags
