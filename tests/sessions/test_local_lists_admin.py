"""The page of local lists."""

import pytest

from chargers.models import Command
from sessions import local_lists
from sessions.models import IdTag, LocalList
from tests.factories import make_charger, make_id_tag, make_online_charger
from tests.operators import (
    act,
    assert_no_query_per_row,
    list_of,
    messages_of,
    operator,
    page_of,
    staff,
    text_of,
    walk_through,
)

pytestmark = pytest.mark.django_db


def make_list(**fields: object) -> LocalList:
    charger = make_online_charger(configuration={"SendLocalListMaxLength": "50"})
    return LocalList.objects.create(charger=charger, **fields)


def test_page_shows_what_the_charger_knows_and_what_it_was_sent() -> None:
    IdTag.objects.all().delete()
    parent = make_id_tag(value="GROUP")
    make_id_tag(value="CARD", parent=parent, is_blocked=True)
    local = make_list()
    local_lists.sync(local.charger)
    page = text_of(operator().get(page_of(local)))
    assert "Not known: it has not accepted a list of ours yet" in page
    assert "Full, version 1, 2 id tags" in page
    LocalList.objects.filter(pk=local.pk).update(
        entries=local_lists.tags_now().infos, held_version=1, state="in_step"
    )
    page = text_of(operator().get(page_of(local)))
    for text in ("CARD", "Blocked", "GROUP", "in step", "2 id tags", local.charger.identity):
        assert text in page


def test_send_again_asks_first_and_send_in_full_sends_all() -> None:
    local = make_list()
    client = operator()
    act(client, "send_again", local)
    command = Command.objects.get(charger=local.charger)
    assert command.action == "get_local_list_version"
    assert command.requested_by is not None
    response = act(client, "send_in_full", local)
    assert messages_of(response) == [f"{local.charger}: a message is under way already."]
    Command.objects.all().delete()
    act(client, "send_in_full", local)
    command = Command.objects.get(charger=local.charger)
    assert (command.action, command.params["update_type"]) == ("send_local_list", "Full")


def test_a_charger_that_is_away_is_named() -> None:
    local = LocalList.objects.create(charger=make_charger())
    response = act(operator(), "send_again", local)
    assert messages_of(response) == [f"{local.charger}: The charger is not connected"]


def test_a_list_is_begun_for_a_charger_and_left_alone_by_two_clicks() -> None:
    charger, client = make_charger(), operator()
    client.post(f"{list_of(LocalList)}add/", {"charger": charger.pk, "is_wanted": "on"})
    local = LocalList.objects.get(charger=charger)
    assert local.is_wanted
    LocalList.objects.filter(pk=local.pk).update(version=7)
    client.post(page_of(local), {})
    local.refresh_from_db()
    assert (local.is_wanted, local.version) == (False, 7)
    again = client.post(f"{list_of(LocalList)}add/", {"charger": charger.pk, "is_wanted": "on"})
    assert "already exists" in text_of(again)


def test_only_who_may_send_commands_can_send() -> None:
    local = make_list()
    client = staff("charging.view_locallist")
    assert "Send in full" not in text_of(client.get(page_of(local)))
    act(client, "send_in_full", local)
    assert not Command.objects.exists()


def test_list_can_be_sorted_narrowed_and_searched_and_asks_no_query_per_row() -> None:
    client = operator()
    for state in LocalList.State:
        make_list(state=state, version=1, reported_version=-1)
    walk_through(client, LocalList)
    LocalList.objects.all().delete()
    assert_no_query_per_row(client, LocalList, make_list, "is_wanted__exact=1")
