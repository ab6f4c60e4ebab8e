"""What a person decides about odd sessions, without a page."""

import io
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django import DjangoCaptureOnCommitCallbacks

from chargers.events import user_group, utcnow
from sessions import accounts, ledger, reviews
from sessions.admin.timeline import MAX_READINGS
from sessions.errors import NothingToReview, SessionNotEnded, SessionNotRunning
from sessions.models import ChargingSession, WaitingSession
from tests.factories import make_charger, make_id_tag, make_session, make_tariff, make_user
from tests.operators import (
    act,
    assert_no_query_per_row,
    confirm,
    list_of,
    messages_of,
    operator,
    page_of,
    staff,
    text_of,
    walk_through,
)
from tests.sessions.test_ledger import read, start, stop

pytestmark = pytest.mark.django_db


def make_suspect() -> ChargingSession:
    """At 0.50 a kWh; the stop's register is below the start's, the readings tell 2 kWh."""
    charger = make_charger()
    make_tariff(stations=[charger.station])
    tag = make_id_tag(user=make_user()).value
    session = start(charger, id_tag=tag, at=utcnow() - timedelta(minutes=2)).session
    read(session, 3000, at=utcnow() - timedelta(minutes=1))
    session = stop(charger, session.transaction_id, meter_stop_wh=10)
    assert (session.review, session.energy_wh) == ("waiting", 2000)
    return session


def again(session: ChargingSession) -> ChargingSession:
    return ChargingSession.objects.get(pk=session.pk)


def test_accepted_as_it_stands() -> None:
    session, person = make_suspect(), make_user()
    reviews.accept(session=session, decided_by=person, reason="seen the log")
    assert (again(session).review, again(session).energy_wh) == ("accepted", 2000)
    decision = session.decisions.get()
    assert (decision.verdict, decision.reason, decision.decided_by) == ("accepted", "seen the log", person)
    assert (decision.before["review"], decision.after["review"]) == ("waiting", "accepted")
    with pytest.raises(NothingToReview):
        reviews.accept(session=session, decided_by=person)


def test_a_correction_is_billed_and_survives_every_reckoning() -> None:
    """E38"""
    session = make_suspect()
    reviews.correct(session=session, decided_by=make_user(), reason="by the meter's display", energy_wh=3000)
    for _ in range(2):
        corrected = again(session)
        assert (corrected.energy_wh, corrected.cost, corrected.review) == (3000, Decimal("1.50"), "corrected")
        assert accounts.differences(corrected) == {}
        assert ledger.recompute(corrected, write=True) == {}
    decision = session.decisions.get()
    assert (decision.before["energy_wh"], decision.after["energy_wh"]) == (2000, 3000)
    assert decision.after["given"] == {"energy_wh": 3000}


def test_a_later_correction_adds_to_an_earlier_one() -> None:
    session, person = make_suspect(), make_user()
    end = utcnow() - timedelta(seconds=90)
    reviews.correct(session=session, decided_by=person, reason="one", energy_wh=3000)
    reviews.correct(session=session, decided_by=person, reason="two", cost=Decimal("1.25"), stopped_at=end)
    corrected = again(session)
    assert (corrected.energy_wh, corrected.cost, corrected.stopped_at) == (3000, Decimal("1.25"), end)


def test_of_a_voided_one_nothing_is_owed_and_its_facts_stay() -> None:
    session, person = make_suspect(), make_user()
    reviews.void(session=session, decided_by=person, reason="a test of the fitter's")
    voided = again(session)
    assert (voided.cost, voided.energy_wh, voided.review) == (Decimal(0), 2000, "voided")
    assert voided.meter_stop_wh == 10
    reviews.correct(session=session, decided_by=person, reason="it was none", energy_wh=2000)
    assert again(session).cost == Decimal("1.00")


def test_the_driver_hears_of_totals_that_changed_and_of_no_others(
    published: list[tuple[str, dict[str, Any]]],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    session, person = make_suspect(), make_user()
    with django_capture_on_commit_callbacks(execute=True):
        reviews.accept(session=session, decided_by=person)
        reviews.correct(session=session, decided_by=person, reason="the same", energy_wh=2000)
    assert published == []
    with django_capture_on_commit_callbacks(execute=True):
        reviews.correct(session=session, decided_by=person, reason="less", energy_wh=1000)
    assert [(group, m["event"], m["data"]["cost"]) for group, m in published] == [
        (user_group(session.user_id or 0), "session_completed", 0.5)
    ]


def test_a_stale_transaction_is_ended_by_hand_and_amended_by_its_own_stop() -> None:
    """E36, E27"""
    charger, person = make_charger(), make_user()
    session = start(charger, at=utcnow() - timedelta(minutes=3)).session
    read(session, 2500, at=utcnow() - timedelta(minutes=1))
    reviews.close_stale(session=session, decided_by=person, reason="the charger was taken away")
    closed = again(session)
    assert (closed.status, closed.energy_wh, closed.flags, closed.review) == (
        "completed",
        1500,
        ["closed"],
        "",
    )
    assert session.decisions.get().verdict == "closed"
    stopped = stop(charger, session.transaction_id, meter_stop_wh=4000)
    assert (stopped.energy_wh, stopped.review) == (3000, "waiting")
    with pytest.raises(SessionNotRunning):
        reviews.close_stale(session=session, decided_by=person, reason="again")


def test_a_stop_told_after_a_correction_waits_for_a_person_and_does_not_undo_it() -> None:
    charger, person = make_charger(), make_user()
    session = start(charger).session
    reviews.close_stale(session=session, decided_by=person, reason="stale")
    reviews.correct(session=session, decided_by=person, reason="by the display", energy_wh=700)
    stopped = stop(charger, session.transaction_id, meter_stop_wh=4000)
    assert (stopped.energy_wh, stopped.meter_stop_wh, stopped.review) == (700, 4000, "waiting")


@pytest.mark.parametrize("status", ["pending", "active", "failed"])
def test_only_ended_sessions_are_decided_about(status: str) -> None:
    session, person = make_session(status=status), make_user()
    for decide in (reviews.accept, reviews.correct, reviews.void):
        with pytest.raises(SessionNotEnded):
            decide(session=session, decided_by=person, reason="too early")


def test_the_command_shows_what_differs_and_changes_it_only_if_told() -> None:
    session = make_suspect()
    ChargingSession.objects.filter(pk=session.pk).update(energy_wh=9999)
    for options in ([], ["--write"], []):
        out = io.StringIO()
        call_command("recompute", str(session.pk), *options, stdout=out)
        if options or again(session).energy_wh == 9999:
            assert f"{session}: energy_wh is 9999, its facts give 2000" in out.getvalue()
        else:
            assert out.getvalue() == "1 sessions reckoned, 0 differ; changed nothing.\n"
    assert again(session).energy_wh == 2000


# --- the pages ---

MAY = ("charging.view_chargingsession", "charging.add_decision")


def test_who_may_only_look_is_offered_no_decision_and_can_make_none() -> None:
    session = make_suspect()
    onlooker = staff("charging.view_chargingsession")
    assert "The register fell" in text_of(onlooker.get(list_of(WaitingSession)))
    page = text_of(onlooker.get(page_of(session)))
    for word in ("accept", "correct", "void", "recompute"):
        assert f'value="{word}"' not in page
        act(onlooker, word, session)
    assert again(session).review == "waiting"
    assert staff().get(list_of(WaitingSession)).status_code == 403


def test_who_may_decide_accepts_from_the_page_and_returns_to_it() -> None:
    session = make_suspect()
    client = staff(*MAY)
    assert 'value="accept"' in text_of(client.get(page_of(session)))
    response = act(client, "accept", session, from_page="yes")
    assert response.redirect_chain[-1][0] == page_of(session)
    assert messages_of(response) == [f"{session}: accepted."]
    assert again(session).review == "accepted"
    assert messages_of(act(client, "accept", session)) == [
        f"{session}: Nothing about this session waits for a decision"
    ]


@pytest.mark.parametrize(
    ("fields", "error"),
    [({}, "Give at least one"), ({"energy_kwh": "-1"}, "greater than or equal"), ({"cost": "x"}, "Enter a")],
)
def test_a_correction_must_be_one(fields: dict[str, str], error: str) -> None:
    session = make_suspect()
    values = {f"review-{name}": value for name, value in {"reason": "why", **fields}.items()}
    assert error in text_of(confirm(operator(), "correct", session, **values))
    assert again(session).review == "waiting"


def test_recompute_shows_what_differs_first() -> None:
    session, client = make_suspect(), operator()
    assert messages_of(act(client, "recompute", session)) == ["All of the totals are what their facts give."]
    ChargingSession.objects.filter(pk=session.pk).update(energy_wh=9999)
    assert "energy_wh 9999 → 2000" in text_of(act(client, "recompute", session))
    assert again(session).energy_wh == 9999
    confirm(client, "recompute", session)
    assert again(session).energy_wh == 2000


def test_the_queue_has_what_waits_and_leads_to_the_sessions_own_page() -> None:
    session, other = make_suspect(), make_suspect()
    reviews.accept(session=other, decided_by=make_user())
    client = operator()
    page = text_of(client.get(list_of(WaitingSession)))
    assert page_of(session) in page and page_of(other) not in page
    waiting = WaitingSession.objects.get(pk=session.pk)
    assert client.get(page_of(waiting), follow=True).redirect_chain == [(page_of(session), 302)]


def test_the_queues_orders_and_filters_work_and_it_makes_no_query_per_row() -> None:
    make_suspect()
    walk_through(operator(), WaitingSession)
    ChargingSession.objects.update(review="")
    assert_no_query_per_row(operator(), WaitingSession, make_suspect, "")


def test_of_a_long_session_the_timeline_shows_some_readings_and_all_that_are_suspect() -> None:
    session = make_session(started_at=utcnow() - timedelta(hours=3))
    for number in range(1, 121):
        read(session, 1000 + number, at=utcnow() - timedelta(minutes=121 - number))
    session.readings.filter(energy_wh__in=(1007, 1008)).update(is_suspect=True)
    page = text_of(operator().get(page_of(session)))
    timeline = page.partition("ev-timeline")[2]
    assert 20 <= timeline.count(">reading<") <= MAX_READINGS + 2
    assert timeline.count(">suspect<") == 2
