"""What a driver hears of a command: each state once, in order, whatever comes first."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from pytest_django import Settings

from chargers import commands
from chargers.events import utcnow
from chargers.models import Charger, Command, Connector
from sessions import ledger, reservations, services, sweeping
from sessions.models import ChargingSession, FeedEntry
from tests.factories import make_online_charger, make_operator, make_session, make_user
from tests.races import begun_and_waiting

pytestmark = pytest.mark.django_db


def updates(user: User) -> list[dict[str, Any]]:
    bodies = FeedEntry.objects.filter(user=user).order_by("seq").values_list("body", flat=True)
    return [event for body in bodies if (event := json.loads(body))["type"] == "command_update"]


def states(user: User) -> list[str]:
    return [event["state"] for event in updates(user)]


def last(user: User) -> tuple[str, str | None, str]:
    event = updates(user)[-1]
    return event["state"], event["code"], event["message"]


class Story:
    """A driver at a charger, and what happens to the start."""

    def __init__(self) -> None:
        self.user, self.charger = make_user(), make_online_charger()
        self.session, command = services.request_start(user=self.user, identity=self.charger.identity)
        assert command is not None
        self.command = command

    def sent(self) -> "Story":
        channel = self.charger.channel_name
        assert services.claim_command(self.command.pk, channel_name=channel) is not None
        assert services.claim_command(self.command.pk, channel_name=channel) is None
        return self

    def answered(self, status: str, error: str = "") -> "Story":
        services.finish_command(self.command.pk, status=status, error=error)
        return self

    def begins(self) -> ChargingSession:
        now = utcnow()
        return ledger.start_session(
            charger_id=self.charger.pk,
            connector_number=1,
            id_tag=self.session.id_tag,
            meter_start_wh=1000,
            reported_at=now,
            reported=now.isoformat(),
        ).session

    def is_asked_to_stop(self) -> Command:
        requested = services.request_stop(user=self.user)
        assert requested.command is not None
        self.command = requested.command
        return self.command


def ends(charger: Charger, session: ChargingSession) -> None:
    now = utcnow()
    ledger.stop_session(
        charger_id=charger.pk,
        transaction_id=session.transaction_id,
        meter_stop_wh=5000,
        reported_at=now,
        reported=now.isoformat(),
    )


def test_a_charge_from_tap_to_end() -> None:
    story = Story()
    start = story.command
    session = story.sent().answered("accepted").begins()
    story.is_asked_to_stop()
    story.sent().answered("accepted")
    ends(story.charger, session)
    told = updates(story.user)
    assert [(each["command"], each["state"], each["code"], each["message"]) for each in told] == [
        ("start_charging", "queued", None, "Waiting for the charger"),
        ("start_charging", "sent", None, "Waiting for the charger"),
        ("start_charging", "accepted", None, "Plug in your car"),
        ("start_charging", "effective", None, "Charging"),
        ("stop_charging", "queued", None, "Waiting for the charger"),
        ("stop_charging", "sent", None, "Waiting for the charger"),
        ("stop_charging", "accepted", None, "The charger is ending the session"),
        ("stop_charging", "effective", None, "Charging has ended"),
    ]
    ids = [
        (each["command_id"], each["session_id"], each["charger_id"], each["connector_id"]) for each in told
    ]
    assert ids[0] == (str(start.pk), session.pk, story.charger.identity, 1)
    assert ids[4] == (str(story.command.pk), session.pk, story.charger.identity, 1)
    assert len(set(ids)) == 2


def test_a_car_that_is_plugged_in_is_not_asked_for() -> None:
    story = Story().sent()
    Connector.objects.filter(charger=story.charger, number=1).update(status="Preparing")
    story.answered("accepted")
    assert last(story.user) == ("accepted", None, "Charging is about to begin")


def test_an_answer_after_the_fact_is_no_news() -> None:
    """E33"""
    story = Story().sent()
    session = story.begins()
    story.answered("accepted")
    story.is_asked_to_stop()
    story.sent()
    ends(story.charger, session)
    story.answered("rejected")
    assert states(story.user) == ["queued", "sent", "effective"] * 2


@pytest.mark.parametrize(
    ("status", "error", "told"),
    [
        ("rejected", "", ("rejected", "charger_rejected", "The charger refused to start")),
        ("failed", "charger_offline", ("failed", "charger_offline", "The charger could not be reached")),
        ("timed_out", "charger_timeout", ("timed_out", "charger_timeout", "The charger did not answer")),
        (
            "unknown",
            "charger_timeout",
            ("unknown", "charger_timeout", "The charger has not answered; charging may still begin"),
        ),
    ],
)
def test_a_start_that_failed_says_why_once(status: str, error: str, told: tuple[str, str, str]) -> None:
    """E32"""
    story = Story().sent().answered(status, error).answered(status, error)
    assert last(story.user) == told
    assert states(story.user) == ["queued", "sent", status]
    story.begins()  # all the same: it is this driver's, and the fact counts (E31)
    assert states(story.user) == ["queued", "sent", status, "effective"]


def test_an_accepted_start_that_never_began_has_failed(settings: Settings) -> None:
    """E31"""
    story = Story().sent().answered("accepted")
    long_ago = utcnow() - timedelta(seconds=settings.START_TIMEOUT_S + 1)
    ChargingSession.objects.filter(pk=story.session.pk).update(requested_at=long_ago)
    sweeping.sweep()
    assert last(story.user) == (
        "failed",
        "charger_timeout",
        "Charging did not begin in time; was the car plugged in?",
    )
    assert states(story.user) == ["queued", "sent", "accepted", "failed"]


def test_a_start_called_off_is_told_once_whatever_the_charger_answers() -> None:
    unsent, sent = Story(), Story().sent()
    for story in (unsent, sent):
        services.request_stop(user=story.user)
        story.answered("accepted")
    assert states(unsent.user) == ["queued", "failed"]
    assert states(sent.user) == ["queued", "sent", "failed"]
    assert last(sent.user)[1:] == ("cancelled", "The start was called off before charging began")


def test_a_stop_that_failed_says_why_and_a_late_answer_still_counts(settings: Settings) -> None:
    """E13"""
    story = Story().sent().answered("accepted")
    session = story.begins()
    story.is_asked_to_stop()
    story.sent().answered("timed_out", "charger_timeout")
    assert last(story.user) == (
        "timed_out",
        "charger_timeout",
        "The charger did not answer; charging may go on",
    )
    story.answered("accepted")
    assert last(story.user)[0] == "accepted"
    settings.COMMAND_TIMEOUT_S = 0.001  # the charger agreed long ago, and went on
    story.is_asked_to_stop()
    settings.COMMAND_TIMEOUT_S = 30
    story.sent().answered("rejected")
    assert last(story.user) == ("rejected", "charger_rejected", "The charger refused to stop")
    before = states(story.user)
    ends(story.charger, session)  # at the charger, since it refused
    assert states(story.user) == before


def test_the_charger_goes_away_with_the_command() -> None:
    story = Story()
    services.charger_disconnected(charger_id=story.charger.pk, channel_name=story.charger.channel_name)
    assert states(story.user) == ["queued", "failed"]
    assert last(story.user)[1] == "charger_offline"


def test_what_others_ask_for_is_told_to_nobody() -> None:
    operator, driver = make_operator(), make_user()
    session = make_session(user=driver, charger=make_online_charger())
    _, command = services.stop(session=session, requested_by=operator)
    assert command is not None
    services.finish_command(command.pk, status=Command.Status.ACCEPTED)
    ends(session.charger, session)
    reset = commands.send_command(
        charger=make_online_charger(), action="reset", params={"type": "Soft"}, requested_by=driver
    )
    services.finish_command(reset.pk, status=Command.Status.ACCEPTED)
    assert (updates(operator), updates(driver)) == ([], [])


def test_a_reservation_of_the_drivers_own() -> None:
    user, charger = make_user(), make_online_charger()
    reservation = reservations.reserve(
        charger=charger,
        connector_number=1,
        expires_at=utcnow() + timedelta(hours=1),
        user=user,
        requested_by=user,
    )
    assert reservation.command is not None
    services.claim_command(reservation.command.pk, channel_name=charger.channel_name)
    services.finish_command(reservation.command.pk, status="accepted", answer={"status": "Accepted"})
    cancelling = reservations.cancel(reservation, requested_by=user)
    services.finish_command(cancelling.pk, status="rejected", answer={"status": "Rejected"})
    told = updates(user)
    assert [(each["command"], each["state"], each["message"]) for each in told] == [
        ("reserve", "queued", "Waiting for the charger"),
        ("reserve", "sent", "Waiting for the charger"),
        ("reserve", "accepted", "The charger keeps a connector for you"),
        ("cancel_reservation", "queued", "Waiting for the charger"),
        ("cancel_reservation", "rejected", "The charger refused"),
    ]
    assert {(each["session_id"], each["connector_id"]) for each in told} == {(None, 1)}


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer: nobody races")
def test_an_answer_waits_while_the_fact_is_being_written() -> None:
    """E33: on two connections. Read a moment too early, the session would still be waiting for what is told already."""
    story = Story().sent()
    with ThreadPoolExecutor(1) as other:
        with transaction.atomic():
            session = story.begins()
            answer = begun_and_waiting(other, partial(story.answered, "accepted"))
        answer.result(20)
        story.is_asked_to_stop()
        story.sent()
        with transaction.atomic():
            ends(story.charger, session)
            answer = begun_and_waiting(other, partial(story.answered, "rejected"))
        answer.result(20)
    assert states(story.user) == ["queued", "sent", "effective"] * 2
    session.refresh_from_db()
    assert session.status == "completed"
