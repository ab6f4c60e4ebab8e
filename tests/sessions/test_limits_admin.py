"""The operators' pages of charging profiles, and what they do with limits from the pages of chargers and sessions."""

import re
from datetime import timedelta
from typing import Any

import pytest

from chargers.admin.chargers import ChargerAdmin
from chargers.events import utcnow
from chargers.models import Charger, Command
from sessions import services
from sessions.models import ChargingProfile
from tests.factories import make_charger, make_online_charger, make_session
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

pytestmark = pytest.mark.django_db


def make_profile(**fields: Any) -> ChargingProfile:
    charger = fields.pop("charger", None) or make_charger()
    values = {
        "charger": charger,
        "connector_number": 1,
        "purpose": "TxDefaultProfile",
        "kind": "Absolute",
        "unit": "A",
        "periods": [{"start_s": 0, "limit": 16}, {"start_s": 3600, "limit": 6.5, "phases": 1}],
        "state": "active",
        "starts_at": utcnow(),
    }
    return ChargingProfile.objects.create(**{**values, **fields})


def limit(**fields: Any) -> dict[str, Any]:
    return {f"order-{name}": value for name, value in {"rate": "10", "unit": "A", **fields}.items()}


def only_profile(charger: Charger) -> ChargingProfile:
    return ChargingProfile.objects.get(charger=charger)


# --- the pages ---


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"kind": "Relative", "starts_at": None, "duration_s": 90},
        {"kind": "Recurring", "recurrency": "Daily", "duration_s": 8 * 3600, "min_rate": 6},
        {"kind": "Recurring", "recurrency": "Weekly", "valid_to": utcnow(), "unit": "W"},
        {"state": "rejected", "detail": "The charger refused it", "periods": [{"start_s": 0, "limit": 0}]},
    ],
)
def test_a_profile_is_shown_with_its_schedule_and_what_all_come_to(fields: dict[str, Any]) -> None:
    row = make_profile(**fields)
    page = text_of(operator().get(page_of(row)))
    assert page.count('<svg class="ev-steps"') == 2
    assert row.charger.identity in page
    assert row.detail in page
    assert row.charger.identity in text_of(operator().get(list_of(ChargingProfile)))


def test_the_picture_has_a_step_for_each_period_and_none_without_a_limit() -> None:
    row = make_profile(duration_s=7200)
    own, expected = text_of(operator().get(page_of(row))).split('<svg class="ev-steps"')[1:]
    assert own.count('class="ev-step"') == 2
    assert "6.5 A" in own
    assert "on 1 of 3 phases" in own
    assert expected.count('class="ev-step"') == 2
    assert "no limit" in expected
    for picture in (own, expected):  # anything else in it would end it there
        inside = picture.partition("</svg>")[0]
        assert set(re.findall(r"</?(\w+)", inside)) == {"rect", "line", "text"}


def test_profiles_are_facts() -> None:
    row, client = make_profile(), operator()
    assert client.get(page_of(row, "delete")).status_code == 403
    assert client.get(f"{list_of(ChargingProfile)}add/").status_code == 403
    assert client.post(page_of(row), {"state": "ended"}).status_code == 403


def test_the_list_can_be_sorted_narrowed_and_searched() -> None:
    row = make_profile(session=make_session())
    client = operator()
    walk_through(client, ChargingProfile)
    for query in (f"charger={row.charger_id}", f"session={row.session_id}", f"q={row.pk}"):
        assert row.charger.identity in text_of(client.get(f"{list_of(ChargingProfile)}?{query}"))


def test_the_list_takes_no_query_for_each_row() -> None:
    client, charger = operator(), make_charger()
    assert_no_query_per_row(
        client,
        ChargingProfile,
        lambda: make_profile(charger=charger, session=make_session(), state="ended"),
        f"charger={charger.pk}",
    )


# --- on chargers ---


def test_power_is_limited_on_chargers() -> None:
    one, two, away = make_online_charger(), make_online_charger(), make_charger()
    client = operator()
    question = text_of(act(client, "limit_chargers", one, two, away))
    assert "At most" in question
    assert not Command.objects.exists()
    response = confirm(client, "limit_chargers", one, two, away, **limit(connector_id=0, rate="10.5"))
    assert messages_of(response) == [f"{away}: The charger is not connected"]
    for charger in (one, two):
        row = only_profile(charger)
        assert (row.purpose, row.connector_number, row.unit) == ("TxDefaultProfile", 0, "A")
        assert row.periods == [{"start_s": 0, "limit": 10.5}]
        assert row.requested_by is not None
        assert row.requested_by == row.command.requested_by  # type: ignore[union-attr]


def test_kilowatts_become_watts_and_a_time_becomes_a_duration() -> None:
    charger = make_online_charger()
    until = utcnow() + timedelta(hours=2)
    confirm(
        operator(),
        "limit_chargers",
        charger,
        **limit(connector_id=2, rate="7.4", unit="kW", ends_at=f"{until:%Y-%m-%dT%H:%M}"),
    )
    row = only_profile(charger)
    assert (row.connector_number, row.unit, row.periods[0]["limit"]) == (2, "W", 7400.0)
    assert row.duration_s == pytest.approx(7200, abs=61)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"rate": "-1"}, "greater than or equal to 0"),
        ({"rate": "10.25"}, "at most one decimal"),
        ({"rate": ""}, "required"),
        ({"unit": "V"}, "valid choice"),
        ({"ends_at": "2020-01-01T00:00"}, "over already"),
        ({"connector_id": "7"}, "valid choice"),
    ],
)
def test_what_cannot_be_is_asked_again(fields: dict[str, Any], words: str) -> None:
    charger = make_online_charger()
    response = confirm(operator(), "limit_chargers", charger, **limit(**{"connector_id": 0, **fields}))
    assert words in text_of(response)
    assert not Command.objects.exists()


def test_what_the_charger_cannot_take_is_said_in_words() -> None:
    charger = make_online_charger(configuration={"ChargingScheduleAllowedChargingRateUnit": "Power"})
    response = confirm(operator(), "limit_chargers", charger, **limit(connector_id=0))
    [message] = messages_of(response)
    assert "the charger wants limits in W" in message


def test_limits_are_cleared_on_chargers() -> None:
    charger = make_online_charger()
    row, client = make_profile(charger=charger), operator()
    assert "planned schedules too" in text_of(act(client, "clear_chargers", charger))
    confirm(client, "clear_chargers", charger)
    command = Command.objects.get()
    assert (command.action, command.params) == ("clear_charging_profile", {})
    services.finish_command(command.pk, status="accepted", answer={"status": "Accepted"})
    row.refresh_from_db()
    assert row.state == "cleared"


def test_a_charger_is_asked_for_its_schedule() -> None:
    charger = make_online_charger()
    confirm(operator(), "ask_for_schedule", charger, **{"order-hours": "2", "order-connector_id": "1"})
    command = Command.objects.get()
    assert (command.action, command.params) == (
        "get_composite_schedule",
        {"connector_id": 1, "duration_s": 7200},
    )


def test_a_chargers_page_has_the_buttons() -> None:
    page = text_of(operator().get(page_of(make_online_charger())))
    for name in ("limit_chargers", "clear_chargers", "ask_for_schedule"):
        assert f'value="{name}"' in page
    assert len({name for name, _, _ in ChargerAdmin.menu}) == len(ChargerAdmin.menu)


# --- on sessions ---


def test_power_is_limited_on_a_running_session_and_cleared_again() -> None:
    session, client = make_session(charger=make_online_charger()), operator()
    page = text_of(client.get(page_of(session)))
    assert 'value="limit_sessions"' in page
    assert 'value="clear_sessions"' in page
    confirm(client, "limit_sessions", session, **limit())
    row = only_profile(session.charger)
    assert (row.purpose, row.session, row.connector_number) == ("TxProfile", session, 1)
    confirm(client, "clear_sessions", session)
    command = Command.objects.get(action="clear_charging_profile")
    assert command.params == {"connector_id": 1, "purpose": "TxProfile"}


def test_a_session_that_is_over_is_not_limited() -> None:
    session, client = make_session(charger=make_online_charger(), status="completed"), operator()
    assert 'value="limit_sessions"' not in text_of(client.get(page_of(session)))
    [message] = messages_of(confirm(client, "limit_sessions", session, **limit()))
    assert "Nothing is being charged" in message


def test_a_limit_is_never_set_for_another_transaction_at_the_same_connector() -> None:
    charger = make_online_charger()
    old, _ = make_session(charger=charger, status="completed"), make_session(charger=charger)
    [message] = messages_of(confirm(operator(), "limit_sessions", old, **limit()))
    assert "does not run at connector 1" in message


# --- who may ---


def test_who_may_only_look_can_send_nothing() -> None:
    session = make_session(charger=make_online_charger())
    client = staff("chargers.view_charger", "charging.view_chargingsession", "charging.view_chargingprofile")
    row = make_profile(charger=session.charger)
    assert client.get(page_of(row)).status_code == 200
    for name, target in (
        ("limit_chargers", session.charger),
        ("clear_chargers", session.charger),
        ("ask_for_schedule", session.charger),
        ("limit_sessions", session),
        ("clear_sessions", session),
    ):
        confirm(client, name, target, **limit(connector_id=0))
    assert not Command.objects.exists()
    assert 'value="limit_' not in text_of(client.get(page_of(session)))
    assert 'value="limit_' not in text_of(client.get(page_of(session.charger)))
    assert staff("chargers.view_charger").get(page_of(row)).status_code == 403
