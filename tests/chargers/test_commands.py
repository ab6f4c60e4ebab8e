"""The life of a command, without a wire."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from pytest_django import DjangoCaptureOnCommitCallbacks

from chargers import commands, passwords
from chargers.errors import ChargerOffline, ChargerPending
from chargers.events import utcnow
from chargers.models import Command
from tests.conftest import stack
from tests.factories import make_charger, make_online_charger

pytestmark = pytest.mark.django_db


def test_nothing_is_kept_for_a_charger_that_is_offline() -> None:
    """E32"""
    charger = make_charger()
    with pytest.raises(ChargerOffline):
        commands.send_command(charger=charger, action=commands.RESET, params={"type": "Soft"})
    assert not charger.commands.exists()


def test_a_pending_charger_may_be_configured_but_not_started() -> None:
    """E20"""
    charger = make_online_charger(registration="Pending")
    with pytest.raises(ChargerPending):
        commands.send_command(charger=charger, action=commands.REMOTE_START, params={})
    commands.send_command(charger=charger, action=commands.GET_CONFIGURATION, params={})


def test_a_command_is_claimed_once_and_by_the_owner_only() -> None:
    charger = make_online_charger()
    command = commands.send_command(charger=charger, action=commands.CLEAR_CACHE, params={})
    assert commands.claim_command(command.pk, channel_name="another") is None
    assert commands.claim_command(command.pk, channel_name=charger.channel_name) is not None
    assert commands.claim_command(command.pk, channel_name=charger.channel_name) is None


@pytest.mark.skipif(stack() != "real", reason="SQLite has one writer")
@pytest.mark.django_db(transaction=True)
def test_a_command_that_ends_while_it_is_being_claimed_is_not_sent() -> None:
    charger = make_online_charger()
    command = commands.send_command(charger=charger, action=commands.CLEAR_CACHE, params={})
    with ThreadPoolExecutor(1) as other:
        with transaction.atomic():
            commands.finish_command(command.pk, status="failed", error="charger_offline")
            claim = other.submit(_claimed, command.pk, charger.channel_name)
            while not _someone_waits():
                assert not claim.done()
        assert claim.result() is None


def _claimed(command_id: uuid.UUID, channel_name: str) -> Command | None:
    try:
        return commands.claim_command(command_id, channel_name=channel_name)
    finally:
        connection.close()


def _someone_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return cursor.fetchone()[0] > 0


def test_a_command_ends_no_sooner_than_it_was_sent_whatever_the_clocks_say() -> None:
    """E41: it was sent by a process whose clock is ahead of ours, or ours was set back since."""
    charger = make_online_charger()
    command = commands.send_command(charger=charger, action=commands.CLEAR_CACHE, params={})
    ahead = utcnow() + timedelta(seconds=3)
    Command.objects.filter(pk=command.pk).update(status="sent", sent_at=ahead)
    ended = commands.finish_command(command.pk, status="accepted", answer={"status": "Accepted"})
    assert ended is not None
    assert (ended.status, ended.finished_at) == ("accepted", ahead)


def test_what_nobody_waits_for_is_never_sent() -> None:
    charger = make_online_charger()
    command = commands.send_command(charger=charger, action=commands.CLEAR_CACHE, params={})
    commands.abandon_command(command.pk)
    assert commands.claim_command(command.pk, channel_name=charger.channel_name) is None


def test_configuration_is_remembered_as_last_read_or_written() -> None:
    charger = make_online_charger()
    read = commands.send_command(charger=charger, action=commands.GET_CONFIGURATION, params={})
    entries = [{"key": "HeartbeatInterval", "readonly": False, "value": "60"}, {"key": 5}]
    commands.finish_command(read.pk, status="accepted", answer={"configurationKey": entries})
    params = {"key": "MeterValueSampleInterval", "value": "10"}
    write = commands.send_command(charger=charger, action=commands.CHANGE_CONFIGURATION, params=params)
    commands.finish_command(write.pk, status="accepted", answer={"status": "Accepted"})
    charger.refresh_from_db()
    assert charger.configuration == {"HeartbeatInterval": "60", "MeterValueSampleInterval": "10"}


@pytest.mark.parametrize("ended", ["accepted", "rejected"])
def test_a_chargers_new_password_is_taken_over_and_shown_to_nobody(
    ended: str,
    published: list[tuple[str, dict[str, Any]]],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    charger, key = make_online_charger(), "0123456789abcdef" * 2
    with django_capture_on_commit_callbacks(execute=True):
        command = commands.send_command(
            charger=charger,
            action=commands.CHANGE_CONFIGURATION,
            params={"key": "AuthorizationKey", "value": key},
        )
        commands.finish_command(command.pk, status=ended, answer={"status": "Accepted"})
    charger.refresh_from_db()
    command.refresh_from_db()
    assert not charger.password_hash  # until it comes with the new one
    assert passwords.matches(bytes.fromhex(key), charger.next_password_hash) is (ended == "accepted")
    assert key not in f"{charger.configuration}{command.params}{published}"
