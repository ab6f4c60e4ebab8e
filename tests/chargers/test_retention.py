"""What is left of commands and security events as they grow old."""

from datetime import timedelta
from typing import Any

import pytest

from chargers import retention
from chargers.events import utcnow
from chargers.models import Charger, Command, SecurityEvent
from tests.factories import make_charger, make_session

pytestmark = pytest.mark.django_db


def ended(charger: Charger, days_ago: float, action: str = "clear_cache") -> Command:
    at = utcnow() - timedelta(days=days_ago)
    command = Command.objects.create(charger=charger, action=action, status="accepted", finished_at=at)
    Command.objects.filter(pk=command.pk).update(created_at=at, sent_at=at)
    return command


def told(charger: Charger, days_ago: float) -> SecurityEvent:
    """By a charger whose clock is wrong."""
    at = utcnow() - timedelta(days=days_ago)
    return SecurityEvent.objects.create(
        charger=charger, kind="ResetOrReboot", occurred_at=at + timedelta(days=500), received_at=at
    )


def test_old_commands_go_but_for_those_of_sessions(settings: Any) -> None:
    settings.COMMANDS_DAYS = 365
    charger = make_charger()
    start, stop = ended(charger, 400, "remote_start"), ended(charger, 400, "remote_stop")
    session = make_session(charger=charger, start_command=start, stop_command=stop)
    young, unfinished = ended(charger, 364), Command.objects.create(charger=charger, action="reset")
    ended(charger, 366)
    assert retention.forget_commands() == 1
    assert set(Command.objects.all()) == {start, stop, young, unfinished}
    session.refresh_from_db()
    assert session.start_command == start
    assert retention.forget_commands() == 0


def test_old_security_events_go_by_our_clock(settings: Any) -> None:
    settings.SECURITY_EVENTS_DAYS = 365
    charger = make_charger()
    told(charger, 366)
    young = told(charger, 364)
    assert retention.forget_security_events() == 1
    assert list(SecurityEvent.objects.all()) == [young]


def test_a_share_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    charger = make_charger()
    for _ in range(3):
        ended(charger, 400)
    assert (retention.forget_commands(), retention.forget_commands()) == (2, 1)


def test_nought_is_never(settings: Any) -> None:
    settings.COMMANDS_DAYS = settings.SECURITY_EVENTS_DAYS = 0
    charger = make_charger()
    ended(charger, 4000)
    told(charger, 4000)
    assert retention.forget_commands() == retention.forget_security_events() == 0
