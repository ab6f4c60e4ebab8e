"""The operators' pages of stations, chargers, connectors and commands."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from chargers import commands, passwords
from chargers.admin import sending
from chargers.admin.orders import ORDERS
from chargers.cells import Position, group_of
from chargers.events import utcnow
from chargers.models import WORDS, Charger, Command, Connector, Station
from tests.factories import (
    make_charger,
    make_online_charger,
    make_session,
    make_station,
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

OnCommit = Any  # pytest-django's fixture that runs what waits for a commit
Published = list[tuple[str, dict[str, Any]]]


def make_command(**fields: Any) -> Command:
    charger = fields.pop("charger", None) or make_charger()
    return Command.objects.create(**{"charger": charger, "action": commands.RESET, **fields})


def save(client: Client, charger: Charger, **changes: Any) -> Any:
    """Save the charger's page with these fields changed."""
    form = {
        "identity": charger.identity,
        "station": charger.station_id or "",
        "registration": charger.registration,
        "security_profile": charger.security_profile,
        "connectors-TOTAL_FORMS": 0,
        "connectors-INITIAL_FORMS": 0,
    }
    response = client.post(page_of(charger), {**form, **changes}, follow=True)
    charger.refresh_from_db()
    return response


def heard(published: Published, kind: str) -> list[dict[str, Any]]:
    return [message for _, message in published if message["type"] == kind]


# --- all lists ---


def test_site_is_named_evcharge() -> None:
    assert (admin.site.site_header, admin.site.site_title) == ("evcharge", "evcharge")
    assert "evcharge" in text_of(operator().get("/admin/"))


@pytest.mark.parametrize("model", [Station, Charger, Connector, Command])
def test_every_order_and_every_filter_of_a_list_works(model: type[Any]) -> None:
    station = make_station(is_under_maintenance=True, maintenance_reason="Works")
    make_command(charger=make_charger(station=station, firmware_version="1.2", ocpp_version="ocpp1.6"))
    walk_through(operator(), model)


def _charger(prefix: str) -> Charger:
    station = make_station(name=unique(prefix), is_under_maintenance=True)
    return make_online_charger(identity=unique(prefix), station=station)


def _command(prefix: str) -> None:
    make_command(charger=_charger(prefix), requested_by=make_user(), status="sent", sent_at=utcnow())


@pytest.mark.parametrize(
    ("model", "make"), [(Station, _charger), (Charger, _charger), (Connector, _charger), (Command, _command)]
)
def test_list_takes_no_query_per_row(model: type[Any], make: Callable[[str], object]) -> None:
    prefix = unique("N")
    assert_no_query_per_row(operator(), model, lambda: make(prefix), f"q={prefix}")


def test_page_of_a_charger_takes_no_query_per_command_or_connector() -> None:
    client = operator()

    def queries(charger: Charger) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(page_of(charger)).status_code == 200
        return len(captured)

    small, large = make_charger(connectors=1), make_charger(connectors=8)
    make_command(charger=small, requested_by=make_user())
    for _ in range(12):
        make_command(charger=large, requested_by=make_user())
    queries(small)
    assert queries(small) == queries(large)


@pytest.mark.parametrize(
    "query", ["station=x", "station=999999", "o=99", "ids=x", "charger=x", "requested_by=x", "connector=x"]
)
@pytest.mark.parametrize("model", [Charger, Connector, Command])
def test_nonsense_in_the_address_is_no_server_error(model: type[Any], query: str) -> None:
    assert operator().get(f"{list_of(model)}?{query}", follow=True).status_code == 200


def test_list_finds_a_charger_by_identity_serial_number_and_station() -> None:
    charger = make_charger(serial_number=unique("SN"), station=make_station(name=unique("Quay ")))
    assert charger.station
    client = operator()
    for text in (charger.identity, charger.serial_number, charger.station.name.split()[1]):
        assert charger.identity in text_of(client.get(list_of(Charger), {"q": text}))
    assert charger.identity not in text_of(client.get(list_of(Charger), {"q": unique("other")}))


def test_list_leads_from_charger_to_sessions_commands_and_readings() -> None:
    charger = make_charger()
    for url in (page_of(charger), f"{list_of(Charger)}?q={charger.identity}"):
        text = text_of(operator().get(url))
        for place in ("charging/chargingsession", "chargers/command", "charging/meterreading"):
            assert f"/admin/{place}/?charger={charger.pk}" in text


def test_narrowed_list_says_to_what_and_offers_all() -> None:
    command = make_command()
    make_command()
    text = text_of(operator().get(list_of(Command), {"charger": command.charger_id}))
    assert "By charger" in text
    assert text.count('class="field-word"') == 1


def test_list_says_in_words_who_is_online_and_what_connectors_do() -> None:
    charger = make_online_charger(status="Charging", connectors=2)
    text = text_of(operator().get(list_of(Charger), {"q": charger.identity}))
    assert re.search(r"●</span> online", text)
    assert "2 Charging" in text


def test_chargers_that_wait_are_announced_above_the_list_to_those_who_may_decide() -> None:
    make_charger(registration="Pending")
    assert "?registration__exact=Pending" in text_of(operator().get(list_of(Charger)))
    viewer = text_of(staff("chargers.view_charger").get(list_of(Charger)))
    assert "to be accepted" not in viewer


# --- facts ---


@pytest.mark.parametrize("make", [make_command, lambda: make_charger().connectors.get(number=1)])
def test_facts_are_not_added_changed_or_deleted_by_hand(make: Callable[[], Any]) -> None:
    client, fact = operator(), make()
    model = type(fact)
    assert client.get(page_of(fact)).status_code == 200
    assert client.get(f"{list_of(model)}add/").status_code == 403
    assert client.post(page_of(fact), {"status": "accepted"}).status_code == 403
    assert client.post(page_of(fact, "delete"), {"post": "yes"}).status_code == 403
    act(client, "delete_selected", fact, post="yes")
    assert model._default_manager.filter(pk=fact.pk).exists()


# --- a charger's page ---


def test_password_is_stored_as_hash_and_never_shown() -> None:
    charger, client = make_charger(), operator()
    save(client, charger, new_password="correct horse battery")
    assert passwords.matches(b"correct horse battery", charger.password_hash)
    text = text_of(client.get(page_of(charger)))
    assert "A password is set" in text
    assert "correct horse battery" not in text
    assert charger.password_hash not in text


def test_password_in_hexadecimal_is_the_bytes_it_stands_for() -> None:
    """E8: 20 bytes, not all of them text."""
    charger = make_charger()
    save(operator(), charger, new_password="ff" * 20, is_hexadecimal="on")
    assert passwords.matches(b"\xff" * 20, charger.password_hash)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"new_password": "x" * 15}, "Too short"),
        ({"new_password": "x" * 41}, "Too long"),
        ({"new_password": "ff" * 15, "is_hexadecimal": "on"}, "Too short"),
        ({"new_password": "not hex at all", "is_hexadecimal": "on"}, "hexadecimal digits"),
        ({"new_password": "it is long enough", "clear_password": "on"}, "not both"),
    ],
)
def test_password_that_will_not_do_is_refused(fields: dict[str, str], complaint: str) -> None:
    charger = make_charger()
    assert complaint in text_of(save(operator(), charger, **fields))
    assert charger.password_hash == ""


def test_password_stays_when_the_field_is_left_empty_and_goes_when_asked() -> None:
    charger, client = make_charger(password_hash="kept"), operator()
    save(client, charger, registration="Pending")
    assert charger.password_hash == "kept"
    save(client, charger, clear_password="on")
    assert charger.password_hash == ""


def test_saving_writes_only_what_the_form_changed() -> None:
    """The charger's socket writes the same row at any moment: an older copy must not bring back its channel."""
    charger = make_online_charger()
    with CaptureQueriesContext(connection) as queries:
        save(operator(), charger, new_password="it is long enough", station=make_station().pk)
    updates = [q["sql"] for q in queries if q["sql"].startswith('UPDATE "chargers_charger"')]
    assert len(updates) == 1
    assert "channel_name" not in updates[0].partition("WHERE")[0]


def test_identity_is_fixed_once_the_charger_has_dialled_in() -> None:
    client, fresh, known = operator(), make_charger(), make_charger(connected_at=utcnow())
    before, better = known.identity, unique("CP")
    save(client, fresh, identity=better)
    save(client, known, identity=unique("CP"))
    assert (fresh.identity, known.identity) == (better, before)


def test_identity_that_no_charger_can_send_is_refused() -> None:
    assert "characters that cannot be shown" in text_of(
        operator().post(
            f"{list_of(Charger)}add/",
            {"identity": "CP\u200b1", "registration": "Accepted", "station": ""},
            follow=True,
        )
    )


def test_pages_work_for_those_who_may_only_look() -> None:
    charger = make_charger(registration="Pending")
    text = text_of(staff("chargers.view_charger").get(page_of(charger)))
    assert 'name="new_password"' not in text
    assert "accept_selected" not in text
    assert "hard_reset" not in text


# --- chargers come and go ---


def test_added_charger_is_announced(
    published: Published, django_capture_on_commit_callbacks: OnCommit
) -> None:
    identity = unique("CP")
    with django_capture_on_commit_callbacks(execute=True):
        operator().post(
            f"{list_of(Charger)}add/",
            {
                "identity": identity,
                "registration": "Accepted",
                "security_profile": "0",
                "station": "",
                "new_password": "it is long enough",
            },
        )
    assert passwords.matches(b"it is long enough", Charger.objects.get(identity=identity).password_hash)
    (event,) = heard(published, "charger_list_update")
    assert (event["action"], event["data"]["chargers"][0]["chargers"][0]["charger_id"]) == ("added", identity)


def test_pending_charger_added_by_hand_is_not_announced(
    published: Published, django_capture_on_commit_callbacks: OnCommit
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        operator().post(
            f"{list_of(Charger)}add/",
            {"identity": unique("CP"), "registration": "Pending", "security_profile": "0", "station": ""},
        )
    assert published == []


def test_moved_charger_is_announced_at_its_new_station(
    published: Published, django_capture_on_commit_callbacks: OnCommit
) -> None:
    charger, station = make_charger(), make_station()
    left = charger.station_id
    with django_capture_on_commit_callbacks(execute=True):
        save(operator(), charger, station=station.pk)
    told = [
        (group, message["action"], message["data"]["chargers"][0]["station_id"])
        for group, message in published
        if message["type"] == "charger_list_update"
    ]
    assert told == [
        (f"station.{left}", "removed", left),
        ("chargers.all", "added", station.pk),
        (f"station.{station.pk}", "added", station.pk),
    ]


def test_a_station_that_is_put_elsewhere_on_the_map_takes_its_chargers_along(
    published: Published, django_capture_on_commit_callbacks: OnCommit
) -> None:
    station = make_station(latitude=48.1, longitude=11.5)
    charger = make_charger(station=station)
    make_charger(station=station, registration="Pending")
    with django_capture_on_commit_callbacks(execute=True):
        place = {"name": station.name, "latitude": "50.1", "longitude": "11.5"}
        assert operator().post(page_of(station), place).status_code == 302
    told = [(group, m["action"]) for group, m in published if m["type"] == "charger_list_update"]
    assert told == [
        (group_of(Position(48.1, 11.5)), "removed"),
        ("chargers.all", "added"),
        (f"station.{station.pk}", "added"),
        (group_of(Position(50.1, 11.5)), "added"),
    ]
    [listed] = heard(published, "charger_list_update")[0]["data"]["chargers"]
    assert (listed["location"]["latitude"], listed["chargers"][0]["charger_id"]) == (48.1, charger.identity)


@pytest.mark.parametrize("in_bulk", [False, True])
def test_deleted_charger_is_announced_and_its_socket_closed(
    in_bulk: bool, published: Published, django_capture_on_commit_callbacks: OnCommit
) -> None:
    charger, client = make_online_charger(), operator()
    make_command(charger=charger)
    question = text_of(client.get(page_of(charger, "delete")))
    assert "Commands: 1" in question
    with django_capture_on_commit_callbacks(execute=True):
        if in_bulk:
            act(client, "delete_selected", charger, post="yes")
        else:
            client.post(page_of(charger, "delete"), {"post": "yes"})
    assert not Charger.objects.filter(pk=charger.pk).exists()
    assert {m["action"] for m in heard(published, "charger_list_update")} == {"removed"}
    assert (charger.channel_name, {"type": "charger.removed"}) in published


def test_charger_with_sessions_cannot_be_deleted_and_the_page_says_why() -> None:
    charger, client = make_charger(), operator()
    make_session(charger=charger)
    make_session(charger=charger, connector=charger.connectors.get(number=2))
    for answer in (
        client.get(page_of(charger, "delete")),
        client.post(page_of(charger, "delete"), {"post": "yes"}),
        act(client, "delete_selected", charger, make_charger(), post="yes"),
    ):
        assert f"2 charging sessions of {charger}" in text_of(answer)
        assert "reject it instead" in text_of(answer)
    assert Charger.objects.filter(pk=charger.pk).exists()


# --- the inbox ---


def test_accepting_a_connected_charger_asks_it_to_boot_before_it_counts_as_accepted(
    published: Published, django_capture_on_commit_callbacks: OnCommit
) -> None:
    """E44: an accepted charger must not be asked to boot; §4.2: a pending one says nothing until it is asked."""
    charger = make_online_charger(registration="Pending")
    with django_capture_on_commit_callbacks(execute=True):
        response = act(operator(), "accept_selected", charger)
    charger.refresh_from_db()
    assert charger.registration == "Accepted"
    command = charger.commands.get()
    assert (command.action, command.params) == ("trigger_message", {"message": "BootNotification"})
    assert heard(published, "charger_list_update")[0]["action"] == "added"
    assert "asked to boot" in messages_of(response)[0]
    assert LogEntry.objects.filter(object_id=str(charger.pk), change_message="Accepted.").exists()


def test_accepting_by_one_who_may_not_send_commands_sends_none() -> None:
    charger = make_online_charger(registration="Pending")
    response = act(staff("chargers.view_charger", "chargers.change_charger"), "accept_selected", charger)
    charger.refresh_from_db()
    assert charger.registration == "Accepted"
    assert not charger.commands.exists()
    assert "when it boots next" in messages_of(response)[0]


def test_rejected_charger_is_announced_as_removed_and_its_socket_closed(
    published: Published, django_capture_on_commit_callbacks: OnCommit
) -> None:
    charger, client = make_online_charger(), operator()
    assert "Please confirm" in text_of(act(client, "reject_selected", charger))
    with django_capture_on_commit_callbacks(execute=True):
        confirm(client, "reject_selected", charger)
    charger.refresh_from_db()
    assert charger.registration == "Rejected"
    assert (charger.channel_name, {"type": "charger.removed"}) in published


def test_stranger_is_rejected_without_a_question() -> None:
    stranger = make_charger(registration="Pending")
    response = act(operator(), "reject_selected", stranger, from_page="yes")
    assert messages_of(response) == [f"{stranger} is rejected and can no longer connect."]
    assert response.request["PATH_INFO"] == page_of(stranger)
    stranger.refresh_from_db()
    assert stranger.registration == "Rejected"


@pytest.mark.parametrize(
    ("before", "after", "action"), [("Pending", "Accepted", "added"), ("Accepted", "Pending", "removed")]
)
def test_registration_changed_in_the_form_means_the_same_as_the_action(
    before: str,
    after: str,
    action: str,
    published: Published,
    django_capture_on_commit_callbacks: OnCommit,
) -> None:
    charger = make_charger(registration=before)
    with django_capture_on_commit_callbacks(execute=True):
        save(operator(), charger, registration=after, new_password="it is long enough")
    assert charger.registration == after
    assert charger.password_hash
    assert {m["action"] for m in heard(published, "charger_list_update")} == {action}


# --- stations ---


def test_maintenance_goes_through_the_service(
    published: Published, django_capture_on_commit_callbacks: OnCommit
) -> None:
    station = make_station()
    charger = make_charger(station=station)
    form = {"name": station.name, "is_under_maintenance": "on", "maintenance_reason": "Cable works"}
    with django_capture_on_commit_callbacks(execute=True):
        operator().post(page_of(station), form)
    event = next(m for m in heard(published, "charger_update") if m["event"] == "maintenance_mode")
    assert event["charger_id"] == charger.identity
    assert event["data"]["maintenance_reason"] == "Cable works"
    published.clear()
    with django_capture_on_commit_callbacks(execute=True):
        operator().post(page_of(station), {"name": "Renamed", "maintenance_reason": "Cable works"})
    station.refresh_from_db()
    assert (station.name, station.is_under_maintenance, station.maintenance_reason) == ("Renamed", False, "")
    assert heard(published, "charger_update")


def test_station_saved_without_a_change_of_maintenance_announces_none(
    published: Published, django_capture_on_commit_callbacks: OnCommit
) -> None:
    station = make_charger().station
    assert station
    with django_capture_on_commit_callbacks(execute=True):
        operator().post(page_of(station), {"name": "Renamed"})
    assert published == []


def test_place_needs_both_coordinates() -> None:
    station = make_station()
    answer = operator().post(page_of(station), {"name": station.name, "latitude": "52"})
    assert "both latitude and longitude" in text_of(answer)


def test_chargers_of_a_deleted_station_stay_and_are_announced_without_it(
    published: Published, django_capture_on_commit_callbacks: OnCommit
) -> None:
    station = make_station()
    charger = make_charger(station=station)
    with django_capture_on_commit_callbacks(execute=True):
        operator().post(page_of(station, "delete"), {"post": "yes"})
    charger.refresh_from_db()
    assert charger.station is None
    removed, added = heard(published, "charger_list_update")
    assert (removed["action"], added["action"]) == ("removed", "added")
    assert added["data"]["chargers"][0]["station_id"] is None


# --- commands ---

ASKED: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    (
        "remote_start",
        {"order-id_tag": " tag1 ", "order-connector_id": 2},
        "remote_start",
        {"id_tag": "TAG1", "connector_id": 2},
    ),
    ("unlock_connector", {"order-connector_id": 1}, "unlock_connector", {"connector_id": 1}),
    (
        "make_operative",
        {"order-connector_id": 0},
        "change_availability",
        {"type": "Operative", "connector_id": 0},
    ),
    (
        "make_inoperative",
        {"order-connector_id": 2},
        "change_availability",
        {"type": "Inoperative", "connector_id": 2},
    ),
    ("get_configuration", {}, "get_configuration", {}),
    (
        "change_configuration",
        {"order-key": "HeartbeatInterval", "order-value": "60"},
        "change_configuration",
        {"key": "HeartbeatInterval", "value": "60"},
    ),
    (
        "trigger_message",
        {"order-message": "MeterValues", "order-connector_id": ""},
        "trigger_message",
        {"message": "MeterValues"},
    ),
    (
        "data_transfer",
        {"order-vendor_id": "com.example", "order-data": "x"},
        "data_transfer",
        {"vendor_id": "com.example", "data": "x"},
    ),
    ("clear_cache", {}, "clear_cache", {}),
    ("soft_reset", {}, "reset", {"type": "Soft"}),
    ("hard_reset", {}, "reset", {"type": "Hard"}),
]


@pytest.mark.parametrize(("name", "form", "action", "params"), ASKED, ids=[row[0] for row in ASKED])
def test_order_sends_its_command_and_leads_to_the_answer(
    name: str,
    form: dict[str, Any],
    action: str,
    params: dict[str, Any],
    published: Published,
    django_capture_on_commit_callbacks: OnCommit,
) -> None:
    charger, client = make_online_charger(), operator()
    with django_capture_on_commit_callbacks(execute=True):
        response = confirm(client, name, charger, follow=False, **form)
    command = charger.commands.get()
    assert (command.action, command.params) == (action, params)
    assert command.requested_by_id == int(client.session["_auth_user_id"])
    assert (charger.channel_name, {"type": "command.ready", "id": str(command.pk)}) in published
    assert response.url == page_of(command)


def test_every_order_is_tested() -> None:
    assert [order.name for order in ORDERS] == [row[0] for row in ASKED]


@pytest.mark.parametrize("order", [order for order in ORDERS if order.asks], ids=lambda order: order.name)
def test_order_with_parameters_or_consequences_asks_before_it_sends(order: Any) -> None:
    charger = make_online_charger()
    text = text_of(act(operator(), order.name, charger))
    assert 'name="confirmed"' in text
    assert f'name="_selected_action" value="{charger.pk}"' in text
    if order.warning:
        assert order.warning in text
    assert not charger.commands.exists()


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("remote_start", {"order-id_tag": "", "order-connector_id": 1}),
        ("remote_start", {"order-id_tag": "TOOLONG" * 3, "order-connector_id": 1}),
        ("unlock_connector", {"order-connector_id": 9}),
        ("unlock_connector", {"order-connector_id": 0}),
        ("trigger_message", {"order-message": "Nonsense"}),
        ("change_configuration", {"order-value": "60"}),
    ],
)
def test_order_with_wrong_parameters_asks_again(name: str, form: dict[str, Any]) -> None:
    charger = make_online_charger()
    assert "errorlist" in text_of(confirm(operator(), name, charger, **form))
    assert not charger.commands.exists()


def test_charger_that_told_of_no_connectors_is_asked_for_by_number() -> None:
    charger = make_online_charger(connectors=0)
    assert 'type="number"' in text_of(act(operator(), "make_inoperative", charger))
    confirm(operator(), "make_inoperative", charger, **{"order-connector_id": 0})
    assert charger.commands.get().params == {"type": "Inoperative", "connector_id": 0}


def test_accepted_charger_cannot_be_asked_to_boot() -> None:
    """E44, errata 3.40."""
    accepted, pending, client = make_online_charger(), make_online_charger(registration="Pending"), operator()
    assert "BootNotification" in text_of(act(client, "trigger_message", pending))
    assert "BootNotification" not in text_of(act(client, "trigger_message", accepted))
    confirm(client, "trigger_message", accepted, **{"order-message": "BootNotification"})
    assert not accepted.commands.exists()


def test_offline_chargers_are_named_and_the_others_get_their_command() -> None:
    up, also_up, down = make_online_charger(), make_online_charger(), make_charger()
    response = act(operator(), "clear_cache", up, down, also_up)
    assert messages_of(response) == [f"{down}: The charger is not connected"]
    assert (up.commands.count(), also_up.commands.count(), down.commands.count()) == (1, 1, 0)
    assert response.request["PATH_INFO"] == list_of(Command)
    assert text_of(response).count('class="field-word"') == 2


def test_pending_charger_starts_nothing_and_the_page_of_the_charger_says_so() -> None:
    """E20."""
    charger = make_online_charger(registration="Pending")
    form = {"order-id_tag": "TAG", "order-connector_id": 1}
    response = confirm(operator(), "remote_start", charger, from_page="yes", **form)
    assert response.request["PATH_INFO"] == page_of(charger)
    assert messages_of(response) == [f"{charger}: The charger is not accepted yet"]


def test_so_many_chargers_at_a_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "MAX_AT_ONCE", 1)
    chargers = [make_online_charger(), make_online_charger()]
    response = act(operator(), "clear_cache", *chargers)
    assert messages_of(response) == ["Choose at most 1 at a time."]
    assert not Command.objects.filter(charger__in=chargers).exists()


def test_commands_are_for_those_who_may_send_them() -> None:
    charger = make_online_charger()
    looks = staff("chargers.view_charger", "chargers.change_charger", "chargers.view_command")
    for url in (list_of(Charger), page_of(charger)):
        assert 'value="hard_reset"' not in text_of(looks.get(url))
    confirm(looks, "hard_reset", charger)
    assert not charger.commands.exists()
    sends = staff("chargers.view_charger", "chargers.send_command")
    for url in (list_of(Charger), page_of(charger)):
        assert 'value="hard_reset"' in text_of(sends.get(url))
    response = confirm(sends, "hard_reset", charger)
    assert charger.commands.get().params == {"type": "Hard"}
    assert response.request["PATH_INFO"] == list_of(Charger), "the answer is not for these eyes"


def test_who_may_send_one_word_is_offered_and_can_do_that_one_alone() -> None:
    charger = make_online_charger()
    sends = staff("chargers.view_charger", "chargers.view_command", "chargers.send_clear_cache")
    for url in (list_of(Charger), page_of(charger)):
        text = text_of(sends.get(url))
        assert 'value="clear_cache"' in text
        for other in ("hard_reset", "limit_chargers", "update_firmware", "new_password"):
            assert f'value="{other}"' not in text
    confirm(sends, "hard_reset", charger)
    confirm(sends, "new_password", charger)
    assert not charger.commands.exists()
    act(sends, "clear_cache", charger)
    assert charger.commands.get().action == "clear_cache"


def test_every_button_that_sends_asks_for_the_permission_of_its_word() -> None:
    """`send_command` is for all; a button that named it alone would be shut to those who have its word."""
    named = set()
    for page in admin.site._registry.values():
        for action in page.actions or ():
            named |= {p for p in getattr(action, "allowed_permissions", ()) if p.startswith("send_")}
    words = {f"send_{word}" for word in WORDS}
    assert named < words
    # Sent by the server of itself, by other pages, or by the API only.
    unoffered = {"certificate_signed", "get_local_list_version", "reserve_now"}
    assert words - named == {f"send_{word}" for word in unoffered}


def test_pages_are_for_staff() -> None:
    client = Client()
    client.force_login(make_user())
    assert client.get(list_of(Charger)).status_code == 302
    confirm(client, "clear_cache", charger := make_online_charger())
    assert not charger.commands.exists()


def test_page_of_a_command_shows_the_answer_and_looks_again_until_it_has_one() -> None:
    user, client = make_user(), operator()
    command = make_command(requested_by=user, params={"type": "Hard"}, status="sent", sent_at=utcnow())
    for url in (page_of(command), f"{list_of(Command)}?ids={command.pk}"):
        text = text_of(client.get(url))
        assert 'data-refresh="1"' in text
        assert "live.js" in text
    Command.objects.filter(pk=command.pk).update(
        status="rejected", answer={"status": "Rejected", "note": "<script>"}, finished_at=utcnow()
    )
    text = text_of(client.get(page_of(command)))
    assert "data-refresh" not in text
    for part in (
        "rejected",
        "Rejected",
        user.username,
        str(command.pk),
        "&lt;script&gt;",
        "&quot;Hard&quot;",
    ):
        assert part in text
    assert "<script>&quot;" not in text


@pytest.mark.parametrize(
    ("error", "sentence"),
    [("charger_timeout", "did not answer in time"), ("NotImplemented: Reset", "NotImplemented: Reset")],
)
def test_page_of_a_command_says_why_it_failed(error: str, sentence: str) -> None:
    command = make_command(status="timed_out", error=error, finished_at=utcnow())
    assert sentence in text_of(operator().get(page_of(command)))


def test_command_is_found_by_its_message_id_and_by_who_asked() -> None:
    command, client = make_command(requested_by=make_user()), operator()
    assert command.requested_by
    for text in (str(command.pk), command.requested_by.username, command.charger.identity):
        assert text_of(client.get(list_of(Command), {"q": text})).count('class="field-word"') == 1


def test_password_of_a_charger_is_not_shown_as_a_value_of_its_configuration() -> None:
    charger = make_charger(configuration={"AuthorizationKey": "53cr37", "HeartbeatInterval": "60"})
    command = make_command(
        charger=charger, action="change_configuration", params={"key": "AuthorizationKey", "value": "53cr37"}
    )
    client = operator()
    for url in (page_of(charger), page_of(command), f"{list_of(Command)}?q={charger.identity}"):
        text = text_of(client.get(url))
        assert "AuthorizationKey" in text
        assert "53cr37" not in text
