"""Local lists: what is sent to bring a charger in step, what its answers mean, and when it is asked."""

from datetime import timedelta
from typing import Any

import pytest

from chargers.commands import GET_CONFIGURATION, GET_LOCAL_LIST_VERSION, SEND_LOCAL_LIST
from chargers.errors import ChargerOffline
from chargers.events import utcnow
from chargers.models import Charger, Command
from sessions import local_lists, operations, services
from sessions.errors import InvalidParameter
from sessions.models import IdTag, LocalList
from tests.factories import make_charger, make_id_tag, make_online_charger

pytestmark = pytest.mark.django_db

ACCEPTED = {"status": "Accepted"}


@pytest.fixture(autouse=True)
def only_our_tags(db: None) -> None:
    """A list holds every tag there is, so there must be no others; flows leave theirs. Rolled back afterwards."""
    IdTag.objects.all().delete()
    LocalList.objects.all().delete()


def make_listed(**fields: Any) -> Charger:
    """Online, with limits that are known, and a list that is to be kept in step."""
    configuration = {"SendLocalListMaxLength": "50", "LocalAuthListMaxLength": "1000"}
    charger = make_online_charger(configuration=configuration | fields.pop("configuration", {}), **fields)
    LocalList.objects.create(charger=charger)
    return charger


def list_of(charger: Charger) -> LocalList:
    return LocalList.objects.get(charger=charger)


def asked(charger: Charger, action: str = SEND_LOCAL_LIST) -> Command:
    """What the charger is being asked; it must be one thing."""
    command = Command.objects.get(charger=charger, finished_at=None)
    assert command.action == action
    return command


def is_quiet(charger: Charger) -> bool:
    return not Command.objects.filter(charger=charger, finished_at=None).exists()


def answers(command: Command, answer: dict[str, Any], status: str = "accepted") -> None:
    services.finish_command(command.pk, status=status, answer=answer)


def says(charger: Charger, status: str) -> Command:
    """The charger's answer to the SendLocalList that it has; returns the command."""
    command = asked(charger)
    answers(command, {"status": status}, "accepted" if status == "Accepted" else "rejected")
    return command


def has_version(charger: Charger, version: int) -> None:
    answers(asked(charger, GET_LOCAL_LIST_VERSION), {"listVersion": version})


def tags_in(command: Command) -> dict[str, Any]:
    return {entry["idTag"]: entry.get("idTagInfo") for entry in command.params["entries"]}


def in_step(charger: Charger) -> LocalList:
    """Let everything be asked and taken."""
    local_lists.sync(charger)
    while not is_quiet(charger):
        says(charger, "Accepted")
    local = list_of(charger)
    assert local.state == "in_step"
    LocalList.objects.filter(pk=local.pk).update(asked_at=utcnow())
    return local


# --- what is sent ---


def test_a_charger_without_a_list_gets_all_of_it() -> None:
    """E42: the first version is 1"""
    parent = make_id_tag(value="GROUP")
    expires_at = utcnow() + timedelta(days=3)
    make_id_tag(value="CHILD", parent=parent, expires_at=expires_at)
    make_id_tag(value="LOST", is_blocked=True)
    make_id_tag(value="OLD", expires_at=utcnow() - timedelta(days=1))
    charger = make_listed()
    command = local_lists.sync(charger)
    assert command is not None
    assert (command.params["version"], command.params["update_type"]) == (1, "Full")
    tags = tags_in(command)
    until = expires_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert tags["CHILD"] == {"status": "Accepted", "expiryDate": until, "parentIdTag": "GROUP"}
    assert (tags["GROUP"], tags["LOST"]) == (ACCEPTED, {"status": "Blocked"})
    assert tags["OLD"]["status"] == "Expired"
    says(charger, "Accepted")
    local = list_of(charger)
    assert (local.state, local.version, local.reported_version, local.entries) == ("in_step", 1, 1, tags)


def test_a_card_is_blocked_with_its_parent() -> None:
    parent = make_id_tag(value="GROUP", is_blocked=True)
    make_id_tag(value="CHILD", parent=parent)
    command = local_lists.sync(make_listed())
    assert command and tags_in(command)["CHILD"] == {"status": "Blocked", "parentIdTag": "GROUP"}


def test_tags_that_no_charger_can_hold_stay_here() -> None:
    """E40"""
    make_id_tag(value="RINGS")
    IdTag.objects.update(value="WITH\x07BELL")
    make_id_tag(value="GOOD")
    command = local_lists.sync(make_listed())
    assert command and list(tags_in(command)) == ["GOOD"]


def test_what_changes_after_that_is_all_that_is_sent() -> None:
    """E42: OCPP 1.6 §7.1, a tag without idTagInfo is removed"""
    for value in ("A", "B", "C", "D"):
        make_id_tag(value=value)
    charger = make_listed()
    in_step(charger)
    IdTag.objects.get(value="A").delete()
    IdTag.objects.filter(value="B").update(is_blocked=True)
    make_id_tag(value="E")
    command = local_lists.sync(charger)
    assert command and (command.params["version"], command.params["update_type"]) == (2, "Differential")
    assert tags_in(command) == {"A": None, "B": {"status": "Blocked"}, "E": ACCEPTED}
    says(charger, "Accepted")
    local = list_of(charger)
    assert (local.version, set(local.entries), local.state) == (2, {"B", "C", "D", "E"}, "in_step")
    assert local_lists.sync(charger) is None


def test_when_most_has_changed_all_of_it_is_sent() -> None:
    for value in ("A", "B", "C"):
        make_id_tag(value=value)
    charger = make_listed()
    in_step(charger)
    IdTag.objects.exclude(value="C").update(is_blocked=True)
    command = local_lists.sync(charger)
    assert command and command.params["update_type"] == "Full"
    assert len(tags_in(command)) == 3


def test_a_long_list_goes_in_messages_the_charger_can_take() -> None:
    """SendLocalListMaxLength; the versions rise with each (E42)"""
    for number in range(7):
        make_id_tag(value=f"T{number}")
    charger = make_listed(configuration={"SendLocalListMaxLength": "3"})
    local_lists.sync(charger)
    sent = [says(charger, "Accepted") for _ in range(3)]
    assert [command.params["update_type"] for command in sent] == ["Full", "Differential", "Differential"]
    assert [command.params["version"] for command in sent] == [1, 2, 3]
    assert [len(command.params["entries"]) for command in sent] == [3, 3, 1]
    local = list_of(charger)
    assert is_quiet(charger)
    assert (local.state, len(local.entries), local.version) == ("in_step", 7, 3)


def test_a_small_charger_gets_first_those_that_may_charge() -> None:
    """LocalAuthListMaxLength"""
    make_id_tag(value="A", is_blocked=True)
    for value in ("B", "C"):
        make_id_tag(value=value)
    charger = make_listed(configuration={"LocalAuthListMaxLength": "2"})
    command = local_lists.sync(charger)
    assert command and set(tags_in(command)) == {"B", "C"}
    says(charger, "Accepted")
    assert "no room for 1" in list_of(charger).detail


def test_removals_go_before_what_needs_their_room() -> None:
    for value in ("A", "B", "C", "D"):
        make_id_tag(value=value)
    charger = make_listed(configuration={"LocalAuthListMaxLength": "4", "SendLocalListMaxLength": "4"})
    in_step(charger)
    IdTag.objects.get(value="D").delete()
    make_id_tag(value="AA")
    command = local_lists.sync(charger)
    assert command and command.params["entries"] == [
        {"idTag": "D"},
        {"idTag": "AA", "idTagInfo": ACCEPTED},
    ]


def test_a_list_that_is_to_be_empty_is_emptied() -> None:
    make_id_tag(value="A")
    charger = make_listed()
    in_step(charger)
    IdTag.objects.all().delete()
    command = local_lists.sync(charger)
    assert command and command.params == {"version": 2, "update_type": "Full", "entries": []}
    says(charger, "Accepted")
    assert (list_of(charger).entries, list_of(charger).state) == ({}, "in_step")


def test_a_tag_that_changes_while_a_message_is_under_way_follows_it() -> None:
    make_id_tag(value="A")
    charger = make_listed()
    local_lists.sync(charger)
    make_id_tag(value="B")
    assert local_lists.sync(charger) is None  # one at a time
    says(charger, "Accepted")
    assert tags_in(asked(charger)) == {"B": ACCEPTED}


def test_a_charger_that_is_away_gets_nothing() -> None:
    charger = make_charger()
    with pytest.raises(ChargerOffline):
        local_lists.sync(charger)
    LocalList.objects.filter(charger=charger).update(is_wanted=True)
    assert local_lists.sweep() == 0


# --- what it answers ---


def test_a_mismatch_brings_all_of_it_at_once_and_once() -> None:
    """E42: OCPP 1.6 §5.15"""
    for value in ("A", "B", "C"):
        make_id_tag(value=value)
    charger = make_listed()
    in_step(charger)
    make_id_tag(value="D")
    local_lists.sync(charger)
    differential = says(charger, "VersionMismatch")
    full = asked(charger)
    assert (full.params["update_type"], len(tags_in(full))) == ("Full", 4)
    assert full.params["version"] > differential.params["version"]
    says(charger, "VersionMismatch")
    assert is_quiet(charger)
    local = list_of(charger)
    assert (local.state, local.failures) == ("failed", 1)
    assert "VersionMismatch" in local.detail


def test_a_refusal_is_tried_again_after_a_pause_that_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    now = utcnow()
    monkeypatch.setattr(local_lists, "utcnow", lambda: now)
    make_id_tag(value="A")
    charger = make_listed()
    local_lists.sync(charger)
    says(charger, "Failed")
    local = list_of(charger)
    assert (local.state, local.entries) == ("failed", {})
    assert "Failed" in local.detail
    pauses = []
    for _ in range(12):
        retry_at = list_of(charger).retry_at
        assert retry_at is not None
        pauses.append(retry_at - now)
        assert local_lists.sweep() == 0  # not before its time
        now = retry_at
        assert local_lists.sweep() == 1
        has_version(charger, 0)
        assert asked(charger).params["update_type"] == "Full"
        says(charger, "Failed")
    minutes = [pause.total_seconds() / 60 for pause in pauses]
    assert minutes == [1, 2, 4, 8, 16, 32, 64, 128, 240, 240, 240, 240]
    now += local_lists.LONGEST_PAUSE
    assert local_lists.sweep() == 1
    has_version(charger, 0)
    says(charger, "Accepted")
    local = list_of(charger)
    assert (local.state, local.failures, local.retry_at) == ("in_step", 0, None)


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "NotSupported"},
        {"errorCode": "NotImplemented", "errorDescription": ""},
        {"errorCode": "NotSupported", "errorDescription": ""},
    ],
)
def test_a_charger_without_lists_is_not_asked_again_until_its_firmware_is_another(
    answer: dict[str, Any],
) -> None:
    make_id_tag(value="A")
    charger = make_listed(firmware_version="1.0")
    local_lists.sync(charger)
    services.finish_command(asked(charger).pk, status="rejected", answer=answer, error="NotSupported: ")
    assert list_of(charger).state == "unsupported"
    assert local_lists.sweep() == 0
    Charger.objects.filter(pk=charger.pk).update(booted_at=utcnow(), connected_at=utcnow())
    assert local_lists.sweep() == 0
    Charger.objects.filter(pk=charger.pk).update(firmware_version="2.0")
    assert local_lists.sweep() == 1
    asked(charger, GET_LOCAL_LIST_VERSION)


def test_a_version_of_minus_one_says_that_there_are_no_lists() -> None:
    charger = make_listed()
    local_lists.check(charger)
    has_version(charger, -1)
    local = list_of(charger)
    assert (local.state, local.reported_version) == ("unsupported", -1)
    assert local_lists.sweep() == 0


def test_a_version_that_is_not_ours_brings_all_of_it_above_that() -> None:
    """E42"""
    make_id_tag(value="A")
    charger = make_listed()
    in_step(charger)
    local_lists.check(charger)
    has_version(charger, 57)
    command = asked(charger)
    assert (command.params["version"], command.params["update_type"]) == (58, "Full")


def test_a_version_that_is_ours_brings_nothing() -> None:
    make_id_tag(value="A")
    charger = make_listed()
    version = in_step(charger).version
    local_lists.check(charger)
    has_version(charger, version)
    assert is_quiet(charger)
    assert list_of(charger).state == "in_step"


@pytest.mark.parametrize("version", [2**31 - 1, 10**30, None, "many", True])
def test_a_version_that_cannot_be_breaks_nothing(version: Any) -> None:
    make_id_tag(value="A")
    charger = make_listed()
    in_step(charger)
    local_lists.check(charger)
    answers(asked(charger, GET_LOCAL_LIST_VERSION), {"listVersion": version})
    assert list_of(charger).version < 100


def test_a_lost_answer_is_found_out_by_the_version() -> None:
    make_id_tag(value="A")
    charger = make_listed()
    in_step(charger)
    make_id_tag(value="B")
    command = local_lists.sync(charger)
    assert command is not None
    services.finish_command(command.pk, status="timed_out", error="charger_offline")
    local = list_of(charger)
    assert (local.state, set(local.entries), local.failures) == ("unknown", {"A"}, 0)
    assert local_lists.sweep() == 1
    has_version(charger, command.params["version"])  # it had taken it
    assert is_quiet(charger)
    assert (list_of(charger).state, set(list_of(charger).entries)) == ("in_step", {"A", "B"})


def test_a_message_that_was_not_taken_goes_on_as_changes() -> None:
    for value in ("A", "B"):
        make_id_tag(value=value)
    charger = make_listed()
    version = in_step(charger).version
    make_id_tag(value="C")
    command = local_lists.sync(charger)
    assert command is not None
    services.finish_command(command.pk, status="timed_out", error="charger_offline")
    local_lists.sweep()
    has_version(charger, version)
    again = asked(charger)
    assert (again.params["update_type"], tags_in(again)) == ("Differential", {"C": ACCEPTED})
    assert again.params["version"] > command.params["version"]


def test_an_answer_that_comes_late_still_counts() -> None:
    """E13"""
    make_id_tag(value="A")
    charger = make_listed()
    command = local_lists.sync(charger)
    assert command is not None
    services.finish_command(command.pk, status="timed_out", error="charger_timeout")
    assert list_of(charger).state == "failed"
    services.finish_command(command.pk, status="accepted", answer={"status": "Accepted"})
    assert (list_of(charger).state, set(list_of(charger).entries)) == ("in_step", {"A"})


# --- the sweep ---


def test_a_list_is_asked_for_after_each_connect_and_boot() -> None:
    charger = make_listed()
    assert local_lists.sweep() == 1
    has_version(charger, 0)
    assert (list_of(charger).state, is_quiet(charger)) == ("in_step", True)
    for column in ("connected_at", "booted_at"):
        assert local_lists.sweep() == 0
        Charger.objects.filter(pk=charger.pk).update(**{column: utcnow() + timedelta(seconds=1)})
        assert local_lists.sweep() == 1
        assert local_lists.sweep() == 0  # it is being asked
        has_version(charger, 0)
        Charger.objects.filter(pk=charger.pk).update(**{column: utcnow() - timedelta(seconds=1)})


def test_a_charger_that_never_said_how_much_it_takes_is_asked_that_too() -> None:
    charger = make_online_charger()
    LocalList.objects.create(charger=charger)
    local_lists.sweep()
    open_ones = Command.objects.filter(charger=charger).order_by("created_at")
    assert [command.action for command in open_ones] == [GET_CONFIGURATION, GET_LOCAL_LIST_VERSION]
    assert open_ones[0].params == {"keys": ["SendLocalListMaxLength", "LocalAuthListMaxLength"]}


@pytest.mark.parametrize("change", ["create", "block", "expire", "parent", "delete"])
def test_a_change_of_a_tag_reaches_every_list_with_the_next_sweep_in_one_message(change: str) -> None:
    parent, tag = make_id_tag(value="PARENT"), make_id_tag(value="CARD")
    make_id_tag(value="STAYS")
    make_id_tag(value="TOO")
    chargers = [make_listed() for _ in range(3)]
    for charger in chargers:
        in_step(charger)
    assert local_lists.sweep() == 0
    if change == "create":
        make_id_tag(value="NEW")
        make_id_tag(value="NEWER")
    elif change == "delete":
        tag.delete()
    else:
        tag.is_blocked = change == "block"
        tag.expires_at = utcnow() if change == "expire" else None
        tag.parent = parent if change == "parent" else None
        tag.save()
    assert local_lists.sweep() == 3
    for charger in chargers:
        command = says(charger, "Accepted")
        assert command.params["update_type"] == "Differential"
        assert set(tags_in(command)) == ({"NEW", "NEWER"} if change == "create" else {"CARD"})
        assert is_quiet(charger)
    assert local_lists.sweep() == 0


def test_a_list_that_is_not_wanted_is_left_alone() -> None:
    make_id_tag(value="A")
    charger = make_listed()
    LocalList.objects.filter(charger=charger).update(is_wanted=False)
    assert local_lists.sweep() == 0


def test_a_charger_that_is_not_accepted_is_left_alone() -> None:
    make_listed(registration="Pending")
    assert local_lists.sweep() == 0


# --- a message as somebody worded it ---


def worded(charger: Charger, **params: Any) -> Command:
    return operations.perform(charger=charger, action=SEND_LOCAL_LIST, params=params)


def entry(tag: str) -> dict[str, Any]:
    return {"idTag": tag, "idTagInfo": ACCEPTED}


def test_what_is_sent_by_hand_is_what_the_charger_knows() -> None:
    charger = make_online_charger()
    worded(charger, version=3, update_type="Full", entries=[entry("a"), entry("B")])
    says(charger, "Accepted")
    local = list_of(charger)
    assert not local.is_wanted
    assert (local.version, set(local.entries)) == (3, {"A", "B"})
    worded(charger, version=4, update_type="Differential", entries=[entry("C"), {"idTag": "b"}])
    says(charger, "Accepted")
    assert set(list_of(charger).entries) == {"A", "C"}
    assert is_quiet(charger)


def test_what_is_refused_by_hand_changes_nothing() -> None:
    charger = make_online_charger()
    worded(charger, version=1, update_type="Full", entries=[entry("A")])
    says(charger, "Accepted")
    worded(charger, version=2, update_type="Differential", entries=[entry("B")])
    says(charger, "VersionMismatch")
    assert (list_of(charger).state, is_quiet(charger)) == ("failed", True)  # not ours to mend
    assert set(list_of(charger).entries) == {"A"}


def test_a_list_in_step_is_mended_after_what_is_sent_by_hand() -> None:
    make_id_tag(value="OURS")
    charger = make_listed()
    in_step(charger)
    worded(charger, version=9, update_type="Differential", entries=[entry("THEIRS")])
    says(charger, "Accepted")
    assert tags_in(asked(charger)) == {"THEIRS": None}
    assert asked(charger).params["version"] == 10


@pytest.mark.parametrize("version", [-1, 0, 1, 2**31])
def test_a_version_only_grows(version: int) -> None:
    """E42: errata 3.52"""
    make_id_tag(value="A")
    charger = make_listed()
    in_step(charger)
    with pytest.raises(InvalidParameter):
        worded(charger, version=version, update_type="Full", entries=[])


def test_a_full_list_has_each_tag_once_and_whole() -> None:
    charger = make_online_charger()
    for entries in ([entry("A"), entry("a")], [{"idTag": "A"}]):
        with pytest.raises(InvalidParameter):
            worded(charger, version=1, update_type="Full", entries=entries)
    assert is_quiet(charger)


def test_a_version_asked_by_hand_is_written_down() -> None:
    charger = make_online_charger()
    operations.perform(charger=charger, action=GET_LOCAL_LIST_VERSION, params={})
    has_version(charger, 12)
    local = list_of(charger)
    assert (local.reported_version, local.is_wanted, local.state) == (12, False, "unknown")
    assert is_quiet(charger)


def test_an_old_message_answered_late_does_not_undo_a_newer_one() -> None:
    """E13"""
    charger = make_online_charger()
    first = worded(charger, version=1, update_type="Full", entries=[entry("A")])
    services.finish_command(first.pk, status="timed_out", error="charger_timeout")
    worded(charger, version=2, update_type="Full", entries=[entry("B")])
    says(charger, "Accepted")
    services.finish_command(first.pk, status="accepted", answer={"status": "Accepted"})
    assert (set(list_of(charger).entries), list_of(charger).held_version) == ({"B"}, 2)


def test_a_version_told_while_a_message_is_under_way_sends_no_other() -> None:
    make_id_tag(value="A")
    charger = make_listed()
    question = local_lists.check(charger)
    assert question is not None
    worded(charger, version=5, update_type="Full", entries=[entry("A")])
    answers(question, {"listVersion": 0})
    assert asked(charger).params["version"] == 5
    says(charger, "Accepted")
    assert (list_of(charger).state, is_quiet(charger)) == ("in_step", True)
