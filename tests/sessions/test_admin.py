"""The operators' pages of sessions, readings, id tags and tariffs, and the way to them from a user's page."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from chargers.admin.pages import CappedPaginator
from chargers.events import utcnow
from chargers.models import Command
from sessions.models import ChargingSession, IdTag, MeterReading, Tariff
from tests.factories import (
    make_charger,
    make_id_tag,
    make_online_charger,
    make_session,
    make_station,
    make_tariff,
    make_user,
    unique,
)
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

PRICE = {
    "currency": "EUR",
    "price_per_kwh": Decimal("0.50"),
    "price_per_minute": Decimal(0),
    "price_per_session": Decimal(1),
}


def make_reading(session: ChargingSession, *, seconds_ago: int = 0, **fields: Any) -> MeterReading:
    at = utcnow() - timedelta(seconds=seconds_ago)
    values = {
        "session": session,
        "charger": session.charger,
        "connector_number": 1,
        "measured_at": at,
        "received_at": at,
        "sampled_values": [{"value": "3000"}],
        "digest": seconds_ago,
    }
    return MeterReading.objects.create(**{**values, **fields})


def make_ended(**fields: Any) -> ChargingSession:
    return make_session(
        **{"status": "completed", "stopped_at": utcnow(), "energy_wh": 4000, "meter_stop_wh": 5000, **fields}
    )


def rows_of(client: Client, **query: Any) -> list[str]:
    """The sessions of the list, top to bottom."""
    changes = client.get(list_of(ChargingSession), query).context["cl"]
    return [str(session) for session in changes.result_list]


# --- all lists ---


@pytest.mark.parametrize("model", [ChargingSession, MeterReading, IdTag, Tariff])
def test_every_order_and_every_filter_of_a_list_works(model: type[Any]) -> None:
    session = make_session(user=make_user(), flags=["late"], **PRICE)
    make_reading(session, energy_wh=3000, power_w=7000.0, current_a=16.0, voltage_v=230.0, soc_percent=50.0)
    make_id_tag(user=session.user, parent=make_id_tag(is_blocked=True), expires_at=utcnow())
    make_tariff(stations=[session.charger.station])
    walk_through(operator(), model)


def _session(prefix: str) -> ChargingSession:
    command = Command.objects.create(charger=make_charger(), action="remote_start")
    charger = make_charger(identity=unique(prefix))
    session = make_session(charger=charger, user=make_user(), start_command=command, flags=["late"], **PRICE)
    for seconds in range(3):
        make_reading(session, seconds_ago=seconds, energy_wh=3000)
    return session


@pytest.mark.parametrize(
    ("model", "make"),
    [
        (ChargingSession, _session),
        (
            MeterReading,
            lambda prefix: make_reading(make_session(charger=make_charger(identity=unique(prefix)))),
        ),
        (IdTag, lambda prefix: make_id_tag(note=prefix, user=make_user(), parent=make_id_tag())),
        (Tariff, lambda prefix: make_tariff(name=unique(prefix), stations=[make_station(), make_station()])),
    ],
)
def test_list_takes_no_query_per_row(model: type[Any], make: Callable[[str], object]) -> None:
    prefix = unique("N")
    assert_no_query_per_row(operator(), model, lambda: make(prefix), f"q={prefix}")


@pytest.mark.parametrize(
    "query", ["charger=x", "user=x", "session=x", "station=x", "connector=x", "start_command=x", "parent=x"]
)
@pytest.mark.parametrize("model", [ChargingSession, MeterReading, IdTag])
def test_nonsense_in_the_address_is_no_server_error(model: type[Any], query: str) -> None:
    assert operator().get(f"{list_of(model)}?{query}", follow=True).status_code == 200


# --- sessions ---


def test_running_session_shows_energy_and_cost_by_its_newest_reading() -> None:
    session = make_session(user=make_user(), **PRICE)
    make_reading(session, seconds_ago=20, energy_wh=2000)
    make_reading(session, seconds_ago=10, energy_wh=3000)
    make_reading(session, seconds_ago=5, power_w=7400.0)  # the register is not in every message
    client = operator()
    for url in (f"{list_of(ChargingSession)}?q={session.id_tag}", page_of(session)):
        text = text_of(client.get(url))
        assert "2.000 kWh" in text
        assert "2.00 EUR" in text
        assert "data-refresh" in text
    assert "7.40 kW" in text_of(client.get(page_of(session)))


def test_ended_session_shows_what_was_billed_and_is_not_looked_at_again() -> None:
    session = make_ended(**PRICE, cost=Decimal("3"), stop_reason="EVDisconnected", flags=["late"])
    make_reading(session, energy_wh=9000)
    client = operator()
    for url in (f"{list_of(ChargingSession)}?q={session.id_tag}", page_of(session)):
        text = text_of(client.get(url))
        for part in ("4.000 kWh", "3.00 EUR", "EVDisconnected", "late", "completed"):
            assert part in text
        assert "data-refresh" not in text


@pytest.mark.parametrize(
    ("amount", "currency", "text"), [("300", "JPY", "300 JPY"), ("1.234", "KWD", "1.234 KWD")]
)
def test_money_has_the_digits_of_its_currency(amount: str, currency: str, text: str) -> None:
    session = make_ended(cost=Decimal(amount), currency=currency)
    assert text in text_of(operator().get(page_of(session)))


def test_list_is_sorted_by_energy_with_running_sessions_in_their_place() -> None:
    charger = make_charger(connectors=3)
    small = make_ended(charger=charger, energy_wh=1000)
    running = make_session(charger=charger, connector=charger.connectors.get(number=2))
    make_reading(running, energy_wh=3000)
    large = make_ended(charger=charger, energy_wh=9000)
    column = 5
    client = operator()
    assert rows_of(client, charger=charger.pk, o=column) == [str(small), str(running), str(large)]
    assert rows_of(client, charger=charger.pk, o=-column) == [str(large), str(running), str(small)]


def test_session_is_found_by_all_its_names() -> None:
    charger = make_charger(serial_number=unique("SN"))
    command = Command.objects.create(charger=charger, action="remote_start")
    session = make_session(charger=charger, user=make_user(), start_command=command)
    assert session.user
    client = operator()
    names = (charger.identity, charger.serial_number, session.user.username, session.id_tag, str(command.pk))
    for name in names:
        assert rows_of(client, q=name) == [str(session)]
    assert str(session) in rows_of(client, q=str(session.transaction_id))


def test_list_is_narrowed_to_charger_station_connector_user_tag_and_command() -> None:
    charger = make_charger()
    command = Command.objects.create(charger=charger, action="remote_stop")
    session = make_session(charger=charger, user=make_user(), stop_command=command)
    make_session()
    client = operator()
    for query in (
        {"charger": charger.pk},
        {"station": charger.station_id},
        {"connector": session.connector_id},
        {"user": session.user_id},
        {"id_tag": session.id_tag},
        {"stop_command": command.pk},
    ):
        assert rows_of(client, **query) == [str(session)]


def test_pages_lead_from_session_to_charger_user_commands_and_readings_and_back() -> None:
    charger = make_charger()
    start = Command.objects.create(charger=charger, action="remote_start", params={"id_tag": "EV1"})
    stop = Command.objects.create(charger=charger, action="remote_stop")
    session = make_session(charger=charger, user=make_user(), start_command=start, stop_command=stop)
    make_reading(session, energy_wh=2000)
    assert session.user
    client = operator()
    text = text_of(client.get(page_of(session)))
    for row in (charger, session.user, start, stop):
        assert f'href="{page_of(row)}"' in text
    assert f'href="{list_of(MeterReading)}?session={session.pk}"' in text
    assert f"?charger={charger.pk}&amp;id_tag=EV1" in text_of(client.get(page_of(start)))
    assert f"?stop_command={stop.pk}" in text_of(client.get(page_of(stop)))
    user_page = text_of(client.get(page_of(session.user)))
    assert f'href="{list_of(ChargingSession)}?user={session.user_id}"' in user_page
    assert f'href="{list_of(Command)}?requested_by={session.user_id}"' in user_page


@pytest.mark.parametrize("make", [make_ended, lambda: make_reading(make_session())])
def test_facts_are_not_added_changed_or_deleted_by_hand(make: Callable[[], Any]) -> None:
    client, fact = operator(), make()
    model = type(fact)
    assert client.get(page_of(fact)).status_code == 200
    assert client.get(f"{list_of(model)}add/").status_code == 403
    assert client.post(page_of(fact), {"cost": "0"}).status_code == 403
    assert client.post(page_of(fact, "delete"), {"post": "yes"}).status_code == 403
    act(client, "delete_selected", fact, post="yes")
    assert model._default_manager.filter(pk=fact.pk).exists()


# --- stopping ---


def test_remote_stop_asks_then_goes_through_the_service_and_leads_to_the_answer() -> None:
    session = make_session(charger=make_online_charger(), user=make_user())
    client = operator()
    question = text_of(act(client, "remote_stop", session))
    assert "Please confirm" in question
    assert not Command.objects.filter(charger=session.charger).exists()
    response = confirm(client, "remote_stop", session, follow=False)
    session.refresh_from_db()
    assert session.status == "stopping"
    assert session.stop_command
    assert session.stop_command.params == {"transaction_id": session.transaction_id}
    assert response.url == page_of(session.stop_command)


def test_session_that_has_not_begun_is_called_off() -> None:
    session = make_session(status="pending", user=make_user(), started_at=None)
    response = confirm(operator(), "remote_stop", session)
    session.refresh_from_db()
    assert (session.status, session.error_code) == ("failed", "cancelled")
    assert messages_of(response) == [f"{session} is called off."]


def test_what_cannot_be_stopped_is_said_and_the_others_are_asked() -> None:
    up, down, ended = make_session(charger=make_online_charger()), make_session(), make_ended()
    response = confirm(operator(), "remote_stop", up, down, ended)
    assert set(messages_of(response)) == {
        f"{down} at {down.charger}: The charger is not connected",
        f"{ended} has ended already.",
    }
    assert Command.objects.filter(charger=up.charger, action="remote_stop").count() == 1


def test_stop_is_a_button_on_the_page_of_an_open_session_for_those_who_may() -> None:
    running, ended = make_session(), make_ended()
    assert 'value="remote_stop"' in text_of(operator().get(page_of(running)))
    assert 'value="remote_stop"' not in text_of(operator().get(page_of(ended)))
    looks = staff("charging.view_chargingsession")
    assert 'value="remote_stop"' not in text_of(looks.get(page_of(running)))
    assert 'value="remote_stop"' not in text_of(looks.get(list_of(ChargingSession)))
    confirm(looks, "remote_stop", running)
    running.refresh_from_db()
    assert running.status == "active"


def test_running_session_at_a_charger_that_is_offline_says_so() -> None:
    assert "charger offline" in text_of(operator().get(page_of(make_session())))
    online = make_session(charger=make_online_charger())
    assert "charger offline" not in text_of(operator().get(page_of(online)))


# --- readings ---


def test_list_of_readings_is_counted_no_further_than_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CappedPaginator, "CAP", 3)
    session = make_session()
    for seconds in range(5):
        make_reading(session, seconds_ago=seconds)
    changes = operator().get(list_of(MeterReading), {"session": session.pk}).context["cl"]
    assert changes.paginator.count == 3
    assert changes.full_result_count is None


def test_reading_is_shown_as_understood_and_as_sent() -> None:
    reading = make_reading(make_session(), energy_wh=3210, power_w=7400.0, soc_percent=51.0)
    text = text_of(operator().get(page_of(reading)))
    for part in ("3.210 kWh", "7.40 kW", "51.0 %", "&quot;3000&quot;"):
        assert part in text


# --- id tags ---


def add_tag(client: Client, **fields: Any) -> Any:
    form = {"value": "", "user": "", "parent": "", "expires_at_0": "", "expires_at_1": "", **fields}
    return client.post(f"{list_of(IdTag)}add/", form, follow=True)


def test_id_tag_is_stored_in_capitals_and_is_unique_so() -> None:
    """E40."""
    client, value = operator(), unique("tag")
    add_tag(client, value=f" {value.lower()} ")
    assert IdTag.objects.filter(value=value.upper()).count() == 1
    assert "already exists" in text_of(add_tag(client, value=value.lower()))
    assert "no characters" in text_of(add_tag(client, value="\u200b"))


def test_id_tag_has_a_parent_but_not_itself_and_no_grandparent() -> None:
    client, parent = operator(), make_id_tag()
    child = make_id_tag(parent=parent)

    def answer(tag: IdTag, above: IdTag) -> str:
        return text_of(client.post(page_of(tag), {"value": tag.value, "parent": above.pk}))

    assert "not its own parent" in answer(child, child)
    assert "one level is all there is" in answer(make_id_tag(), child)
    assert "one level is all there is" in answer(parent, make_id_tag())


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "Accepted"),
        ({"is_blocked": True}, "Blocked"),
        ({"expires_at": utcnow() - timedelta(days=1)}, "Expired"),
        ({"expires_at": utcnow() + timedelta(days=1)}, "Accepted"),
    ],
)
def test_id_tag_shows_what_a_charger_is_told(fields: dict[str, Any], told: str) -> None:
    assert f">{told}</span>" in text_of(operator().get(page_of(make_id_tag(**fields))))


def test_child_of_a_blocked_tag_shows_as_blocked() -> None:
    tag = make_id_tag(parent=make_id_tag(is_blocked=True))
    assert "Blocked by its parent" in text_of(operator().get(page_of(tag)))


def test_id_tags_are_blocked_and_unblocked_in_bulk_by_those_who_may() -> None:
    tag, other = make_id_tag(), make_id_tag(is_blocked=True)

    def is_blocked() -> bool:
        return IdTag.objects.get(pk=tag.pk).is_blocked

    act(staff("charging.view_idtag"), "block", tag)
    assert not is_blocked()
    response = act(operator(), "block", tag, other)
    assert is_blocked()
    assert messages_of(response) == [f"Blocked {tag}."]
    act(operator(), "unblock", tag)
    assert not is_blocked()


# --- tariffs ---


def tariff_form(**fields: Any) -> dict[str, Any]:
    prices = {"price_per_kwh": "0.49", "price_per_minute": "0", "price_per_session": "0"}
    return {"name": unique("Tariff "), "currency": "eur", **prices, **fields}


def test_tariff_is_added_with_its_currency_in_capitals() -> None:
    form = tariff_form(stations=[make_station().pk])
    operator().post(f"{list_of(Tariff)}add/", form)
    assert Tariff.objects.get(name=form["name"]).currency == "EUR"


@pytest.mark.parametrize("currency", ["E", "EURO", "1€2"])
def test_tariff_needs_a_currency_code(currency: str) -> None:
    assert "errorlist" in text_of(operator().post(f"{list_of(Tariff)}add/", tariff_form(currency=currency)))


def test_station_has_one_tariff_of_its_own() -> None:
    tariff = make_tariff(stations=[station := make_station()])
    client = operator()
    text = text_of(client.post(f"{list_of(Tariff)}add/", tariff_form(stations=[station.pk])))
    assert f"already: {station.name}" in text
    client.post(page_of(tariff), tariff_form(name="Renamed", stations=[station.pk]))
    tariff.refresh_from_db()
    assert tariff.name == "Renamed"
