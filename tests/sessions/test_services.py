"""What drivers ask for, and the end of what nobody answers."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from pytest_django import Settings

from chargers import commands
from chargers.errors import ChargerOffline, ChargerPending, ConnectorBusy, ConnectorUnavailable, NotFound
from chargers.events import utcnow
from chargers.models import Charger, Command
from sessions import services, sweeping
from sessions.errors import ActiveSessionExists, NoActiveSession
from sessions.models import ChargingSession
from tests.factories import make_charger, make_online_charger, make_session, make_station, make_user
from tests.races import begun_and_waiting

pytestmark = pytest.mark.django_db


def start(user: User, charger: Charger, number: int = 1, **more: Any) -> services.Requested:
    return services.request_start(user=user, identity=charger.identity, connector_number=number, **more)


def test_a_start_writes_a_pending_session_and_its_command() -> None:
    charger, user, command_id = make_online_charger(), make_user(), uuid.uuid4()
    session, command = start(user, charger, command_id=command_id)
    assert command is not None
    assert (command.pk, command.action, command.status) == (command_id, "remote_start", "queued")
    assert command.params == {"connector_id": 1, "id_tag": session.id_tag}
    assert len(session.id_tag) <= 20
    assert (session.status, session.start_command) == ("pending", command)


def test_a_start_that_cannot_be_says_why() -> None:
    user = make_user()
    closed = make_station(is_under_maintenance=True, maintenance_reason="new cables")
    cases: list[tuple[type[Exception], Charger]] = [
        (ChargerOffline, make_charger()),
        (ChargerPending, make_online_charger(registration="Pending")),
        (ConnectorUnavailable, make_online_charger(status="Faulted")),
        (ConnectorUnavailable, make_online_charger(station=closed)),
        (ConnectorBusy, make_online_charger(status="Charging")),
    ]
    for error, charger in cases:
        with pytest.raises(error):
            start(user, charger)
    with pytest.raises(NotFound):
        services.request_start(user=user, identity="nowhere")
    with pytest.raises(NotFound):
        start(user, make_online_charger(), number=9)
    assert not ChargingSession.objects.filter(user=user).exists()


def test_a_charger_that_told_of_no_connectors_yet_can_be_started() -> None:
    charger = make_online_charger(connectors=0)
    session, _ = start(make_user(), charger)
    assert session.connector == charger.connectors.get()


def test_a_second_tap_is_the_first_start() -> None:
    """E34"""
    charger, user = make_online_charger(), make_user()
    first, second = start(user, charger), start(user, charger)
    assert first == second
    assert charger.commands.count() == 1


def test_another_driver_finds_the_connector_busy() -> None:
    """E34"""
    charger = make_online_charger()
    start(make_user(), charger)
    with pytest.raises(ConnectorBusy):
        start(make_user(), charger)


def test_one_session_a_user_unless_the_setting_allows_more(settings: Settings) -> None:
    user = make_user()
    start(user, make_online_charger())
    with pytest.raises(ActiveSessionExists):
        start(user, make_online_charger())
    settings.MAX_ACTIVE_SESSIONS_PER_USER = 2
    start(user, make_online_charger())
    with pytest.raises(ActiveSessionExists):
        start(user, make_online_charger())


def test_a_place_is_free_again_after_the_end(settings: Settings) -> None:
    user, charger = make_user(), make_online_charger()
    start(user, charger)
    services.request_stop(user=user)
    start(user, charger)
    assert ChargingSession.objects.filter(user=user, status="pending").count() == 1


def test_a_stop_asks_the_charger_by_transaction() -> None:
    user, charger = make_user(), make_online_charger()
    session = make_session(user=user, charger=charger)
    stopping, command = services.request_stop(user=user)
    assert command is not None
    assert (stopping.pk, stopping.status) == (session.pk, "stopping")
    assert (command.action, command.params) == ("remote_stop", {"transaction_id": session.transaction_id})


def test_nobody_stops_somebody_elses_session() -> None:
    """E48"""
    session = make_session(user=make_user(), charger=make_online_charger())
    with pytest.raises(NoActiveSession):
        services.request_stop(user=make_user(), identity=session.charger.identity)
    with pytest.raises(NotFound):
        services.request_stop(user=make_user(), identity="nowhere")


@pytest.mark.parametrize(
    ("ended", "code"),
    [("rejected", "charger_rejected"), ("failed", "charger_offline"), ("timed_out", "charger_timeout")],
)
def test_a_start_that_failed_frees_the_connector(ended: str, code: str) -> None:
    charger, user = make_online_charger(), make_user()
    session, command = start(user, charger)
    assert command is not None
    services.finish_command(command.pk, status=ended)
    session.refresh_from_db()
    assert (session.status, session.error_code) == ("failed", code)
    start(make_user(), charger)


def test_a_start_of_unknown_outcome_waits_for_the_field() -> None:
    """E32"""
    charger, user = make_online_charger(), make_user()
    session, command = start(user, charger)
    assert command is not None
    services.finish_command(command.pk, status="unknown", error="charger_timeout")
    session.refresh_from_db()
    assert session.status == "pending"
    services.connector_reported(charger_id=charger.pk, number=1, status="Available")
    session.refresh_from_db()
    assert (session.status, session.error_code) == ("failed", "charger_timeout")


def test_a_late_answer_still_settles_a_command() -> None:
    """E13"""
    charger = make_online_charger()
    command = commands.send_command(charger=charger, action="reset", params={"type": "Soft"})
    services.finish_command(command.pk, status="timed_out", error="charger_timeout")
    assert services.finish_command(command.pk, status="accepted", answer={"status": "Accepted"}) is not None
    assert services.finish_command(command.pk, status="rejected") is None
    command.refresh_from_db()
    assert command.status == "accepted"


def test_a_stop_that_failed_leaves_the_session_running() -> None:
    user = make_user()
    session = make_session(user=user, charger=make_online_charger())
    _, command = services.request_stop(user=user)
    assert command is not None
    services.finish_command(command.pk, status="rejected")
    session.refresh_from_db()
    assert session.status == "active"


def test_a_lost_connection_ends_what_was_asked() -> None:
    """E4"""
    charger, user = make_online_charger(), make_user()
    session, _ = start(user, charger)
    services.charger_disconnected(charger_id=charger.pk, channel_name="an older one")
    session.refresh_from_db()
    assert session.status == "pending"
    services.charger_disconnected(charger_id=charger.pk, channel_name=charger.channel_name)
    session.refresh_from_db()
    assert (session.status, session.error_code) == ("failed", "charger_offline")


def test_a_part_of_the_sweep_that_fails_keeps_no_other_from_its_work(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, settings: Settings
) -> None:
    """And it is not hushed up: who called hears of it when the rest is done."""

    def broken() -> int:
        raise RuntimeError("a list that cannot be")

    monkeypatch.setitem(sweeping.PARTS, "local_lists", broken)
    settings.START_TIMEOUT_S = 0
    charger = make_online_charger()
    session, command = start(make_user(), charger)
    assert command is not None
    commands.claim_command(command.pk, channel_name=charger.channel_name)
    services.finish_command(command.pk, status=Command.Status.ACCEPTED)
    with pytest.raises(RuntimeError, match="a list that cannot be"):
        sweeping.sweep()
    session.refresh_from_db()
    assert session.status == "failed"
    assert "local_lists" in caplog.text


def test_the_sweep_ends_a_start_nobody_plugged_in_for(settings: Settings) -> None:
    """E31"""
    session, command = start(make_user(), make_online_charger())
    assert command is not None
    services.finish_command(command.pk, status="accepted")
    assert sweeping.sweep()["starts"] == 0
    past = utcnow() - timedelta(seconds=settings.START_TIMEOUT_S + 1)
    ChargingSession.objects.filter(pk=session.pk).update(requested_at=past)
    assert sweeping.sweep()["starts"] == 1
    session.refresh_from_db()
    assert (session.status, session.error_code) == ("failed", "charger_timeout")


@pytest.mark.parametrize(
    ("action", "was", "becomes"),
    [
        ("remote_start", "sent", "unknown"),
        ("reset", "sent", "timed_out"),
        ("reset", "queued", "failed"),
        ("remote_start", "queued", "failed"),
    ],
)
def test_the_sweep_ends_commands_whose_process_died(
    settings: Settings, action: str, was: str, becomes: str
) -> None:
    command = commands.send_command(charger=make_online_charger(), action=action, params={})
    past = utcnow() - timedelta(seconds=settings.COMMAND_TIMEOUT_S + commands.SWEEP_GRACE_S + 1)
    Command.objects.filter(pk=command.pk).update(
        status=was, created_at=past, sent_at=past if was == "sent" else None
    )
    sweeping.sweep()
    command.refresh_from_db()
    assert (command.status, command.is_finished) == (becomes, True)


def test_the_sweep_frees_chargers_of_a_process_that_died(settings: Settings) -> None:
    charger = make_online_charger()
    past = utcnow() - timedelta(seconds=3 * settings.PRESENCE_INTERVAL_S + 1)
    Charger.objects.filter(pk=charger.pk).update(last_seen_at=past)
    sweeping.sweep()
    charger.refresh_from_db()
    assert not charger.is_connected


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer")
def test_the_sweep_holds_no_charger_while_it_waits_for_the_next() -> None:
    """E17: who has that one may be waiting for the others."""
    first, second = (make_online_charger() for _ in range(2))
    Charger.objects.update(last_seen_at=utcnow() - timedelta(hours=1))
    with ThreadPoolExecutor(1) as other:
        with transaction.atomic():
            Charger.objects.select_for_update().get(pk=second.pk)
            swept = begun_and_waiting(other, sweeping.PARTS["commands"])
            free = Charger.objects.select_for_update(skip_locked=True).filter(pk=first.pk).first()
            assert free is not None and not free.is_connected
        swept.result(20)
    second.refresh_from_db()
    assert not second.is_connected
