"""Who may connect, without a wire: profiles, refusals, passwords that follow one another, security events."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from chargers import commands, security
from chargers import services as charger_services
from chargers.errors import PasswordChangeOpen, UnfitPassword
from chargers.events import utcnow
from chargers.models import Certificate, Charger, Command, ConnectionRefusal, SecurityEvent
from chargers.passwords import hash_password, matches, new_authorization_key
from chargers.security import Admission, Arrival, Refused
from sessions import services
from tests.certificates import Authority, Pair
from tests.factories import make_charger, make_online_charger, unique
from tests.operators import confirm, operator, page_of, staff, text_of, walk_through

pytestmark = pytest.mark.django_db

KEY = bytes.fromhex("0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF")  # as in OCPP-J §6.2.2
HERE, THERE = "192.0.2.1", "192.0.2.2"


def arrival(charger: Charger, password: bytes | None = None, **more: Any) -> Arrival:
    credentials = None if password is None else charger.identity.encode() + b":" + password
    return Arrival(charger.identity, more.pop("address", HERE), credentials=credentials, **more)


def dial(charger: Charger, password: bytes | None = None, **more: Any) -> Admission:
    """Come in, all the way."""
    admission = security.admit(arrival(charger, password, **more))
    channel = unique("specific.")
    ownership = services.charger_connected(
        charger_id=charger.pk, channel_name=channel, ocpp_version="ocpp1.6"
    )
    security.entered(admission, ownership.charger)
    charger.refresh_from_db()
    return admission


def refusal(charger: Charger, password: bytes | None = None, **more: Any) -> str:
    with pytest.raises(Refused) as caught:
        security.admit(arrival(charger, password, **more))
    return "too soon" if caught.value.retry_after_s else caught.value.reason


# --- profiles ---


@pytest.mark.parametrize(
    ("password", "given", "is_encrypted", "profile"),
    [("", None, False, 0), ("", None, True, 0), (KEY, KEY, False, 1), (KEY, KEY, True, 2)],
)
def test_the_profile_used_is_what_the_charger_came_with(
    password: Any, given: bytes | None, is_encrypted: bool, profile: int
) -> None:
    charger = make_charger(password_hash=hash_password(password) if password else "")
    assert dial(charger, given, is_encrypted=is_encrypted).profile == profile
    assert charger.used_security_profile == profile


def test_a_charger_does_not_fall_below_what_it_used() -> None:
    """E10: A05.FR.09"""
    charger = make_charger(password_hash=hash_password(KEY))
    dial(charger, KEY)
    dial(charger, KEY, is_encrypted=True)
    assert refusal(charger, KEY) == "not_encrypted"
    dial(charger, KEY, is_encrypted=True)
    Charger.objects.filter(pk=charger.pk).update(password_hash="")
    assert refusal(charger, is_encrypted=True) == "no_password_set"


def test_a_profile_counts_as_used_only_once_the_charger_is_in() -> None:
    """E10: one that was turned away at the last step is no prisoner of it."""
    charger = make_charger(password_hash=hash_password(KEY))
    security.admit(arrival(charger, KEY, is_encrypted=True))
    charger.refresh_from_db()
    assert charger.used_security_profile == 0
    dial(charger, KEY)


def test_an_operator_lets_a_charger_begin_again_lower_and_it_is_on_record() -> None:
    """E10: A00.FR.005, by another way than OCPP."""
    charger, client = make_charger(password_hash=hash_password(KEY), used_security_profile=2), operator()
    assert "used 2" in text_of(client.post("/admin/chargers/charger/", _chosen("begin_lower", charger)))
    confirm(client, "begin_lower", charger)
    dial(charger, KEY)
    assert charger.used_security_profile == 1
    assert "below security profile 2" in text_of(client.get(page_of(charger, "history")))


def _chosen(action: str, charger: Charger) -> dict[str, Any]:
    return {"action": action, "_selected_action": [str(charger.pk)]}


@pytest.mark.parametrize("by", ["charger", "installation"])
def test_the_least_profile_is_the_chargers_or_the_installations(settings: Settings, by: str) -> None:
    charger = make_charger(password_hash=hash_password(KEY))
    if by == "installation":
        settings.MIN_SECURITY_PROFILE = 2
    else:
        Charger.objects.filter(pk=charger.pk).update(security_profile=2)
    assert refusal(charger, KEY) == "not_encrypted"
    assert dial(charger, KEY, is_encrypted=True).profile == 2


@pytest.fixture
def ca(settings: Settings, tmp_path: Path) -> Authority:
    authority = Authority()
    settings.TLS_CLIENT_CA = [authority.save(tmp_path, "client-ca")[0]]
    return authority


def with_certificate(pair: Pair) -> dict[str, Any]:
    return {"is_encrypted": True, "certificate": pair.certificate}


def test_a_certificate_of_the_chargers_own_is_profile_3(ca: Authority) -> None:
    charger = make_charger(security_profile=3)
    own = ca.issue(charger.identity)
    assert dial(charger, **with_certificate(own)).profile == 3
    row = charger.certificates.get()
    assert (row.state, row.kind) == ("installed", "ChargePointCertificate")
    assert refusal(charger, KEY, is_encrypted=True) == "no_certificate"  # E10
    assert refusal(charger, certificate=own.certificate) == "not_encrypted"


def test_a_certificate_names_the_serial_number_as_well(ca: Authority) -> None:
    """A00.FR.405"""
    charger = make_charger(serial_number=unique("SN"))
    assert dial(charger, **with_certificate(ca.issue(charger.serial_number))).profile == 3


def test_a_certificate_that_is_not_the_chargers_is_refused(ca: Authority, settings: Settings) -> None:
    """A00.FR.403, A00.FR.404, A00.FR.405"""
    charger, other = make_charger(security_profile=3), make_charger()
    settings.CPO_NAME = "Operator"

    def why(pair: Pair) -> str:
        ConnectionRefusal.objects.all().delete()
        return refusal(charger, **with_certificate(pair))

    good: dict[str, Any] = {"organisation": "Operator"}
    assert why(ca.issue(other.identity, **good)) == "foreign_certificate"
    assert why(ca.issue(charger.identity, organisation="Somebody")) == "foreign_certificate"
    assert why(ca.issue(charger.identity, days=-1, **good)) == "untrusted_certificate"
    assert why(ca.issue(charger.identity, for_servers=True, **good)) == "untrusted_certificate"
    assert why(Authority("Another").issue(charger.identity, **good)) == "untrusted_certificate"
    # A certificate is no authority, even though an authority signed it.
    leaf = ca.issue(other.identity, **good)
    sub = Authority("Sub")
    sub.certificate, sub.key = leaf.certificate, leaf.key
    assert why(sub.issue(charger.identity, **good)) == "untrusted_certificate"
    dial(charger, **with_certificate(ca.issue(charger.identity, **good)))


def test_a_certificate_on_file_is_known_by_its_fingerprint(ca: Authority) -> None:
    """Such as a manufacturer's, whatever it names; and to the charger it is on file for, alone."""
    charger, other = make_charger(), make_charger()
    made = ca.issue(other.identity)
    row = Certificate.objects.create(
        charger=charger,
        kind="ChargePointCertificate",
        state="installed",
        fingerprint=made.certificate.fingerprint(_sha256()).hex(),
    )
    assert dial(charger, **with_certificate(made)).profile == 3
    other.security_profile = 3
    other.save()
    assert refusal(other, **with_certificate(made)) == "foreign_certificate"
    row.state = "deleted"
    row.save()
    assert refusal(charger, **with_certificate(made)) == "withdrawn_certificate"


def _sha256() -> Any:
    from cryptography.hazmat.primitives import hashes

    return hashes.SHA256()


def test_a_password_over_tls_will_do_where_a_certificate_is_not_demanded(ca: Authority) -> None:
    charger = make_charger(password_hash=hash_password(KEY))
    factory = Authority("Factory").issue("whoever")
    assert dial(charger, KEY, **with_certificate(factory)).profile == 2


def test_the_user_is_the_charger_whatever_else_it_brings(ca: Authority) -> None:
    """E9"""
    charger = make_charger()
    brought = Arrival(
        charger.identity,
        HERE,
        is_encrypted=True,
        credentials=b"somebody:else",
        certificate=ca.issue(charger.identity).certificate,
    )
    with pytest.raises(Refused, match="wrong_user"):
        security.admit(brought)


# --- refusals ---


def test_refusals_are_counted_with_what_to_do_about_them() -> None:
    charger = make_charger(password_hash=hash_password(KEY))
    for _ in range(3):
        assert refusal(charger, b"wrong") == "wrong_password"
    assert refusal(charger) == "no_credentials"
    rows = {row.reason: row for row in ConnectionRefusal.objects.filter(charger=charger)}
    assert rows["wrong_password"].count == 3
    assert rows["no_credentials"].count == 1
    assert "AuthorizationKey" in rows["wrong_password"].detail
    with pytest.raises(Refused):
        security.admit(Arrival("nobody", HERE))
    assert ConnectionRefusal.objects.get(identity="nobody").reason == "unknown_identity"


def test_who_fails_often_is_slowed_more_and_more_and_only_where_it_is() -> None:
    charger = make_charger(password_hash=hash_password(KEY))
    for _ in range(security.FREE_ATTEMPTS):
        assert refusal(charger, b"wrong") == "wrong_password"
    delays = []
    for _ in range(4):
        assert refusal(charger, b"wrong") == "wrong_password"
        row = ConnectionRefusal.objects.get(charger=charger)
        assert row.slowed_until
        delays.append(round((row.slowed_until - row.last_at).total_seconds()))
        before = row.slowed_until
        assert refusal(charger, KEY) == "too soon"  # nothing is even checked, and the wait does not grow
        row.refresh_from_db()
        assert row.slowed_until == before
        ConnectionRefusal.objects.update(slowed_until=F("last_at") - timedelta(seconds=1))
    assert delays == [1, 2, 4, 8]
    ConnectionRefusal.objects.update(slowed_until=utcnow() + timedelta(hours=1))
    dial(charger, KEY, address=THERE)  # the true one, elsewhere
    assert refusal(charger, KEY) == "too soon"


def test_a_right_password_ends_the_streak() -> None:
    charger = make_charger(password_hash=hash_password(KEY))
    for _ in range(security.FREE_ATTEMPTS):
        refusal(charger, b"wrong")
    dial(charger, KEY)
    for _ in range(security.FREE_ATTEMPTS):
        assert refusal(charger, b"wrong") == "wrong_password"
    dial(charger, KEY)


def test_a_streak_ends_when_it_has_been_quiet_for_long() -> None:
    charger = make_charger(password_hash=hash_password(KEY))
    for _ in range(security.FREE_ATTEMPTS):
        refusal(charger, b"wrong")
    long_ago = utcnow() - security.WINDOW - timedelta(seconds=1)
    ConnectionRefusal.objects.update(first_at=long_ago, last_at=long_ago)
    refusal(charger, b"wrong")
    assert ConnectionRefusal.objects.get(charger=charger).streak == 1


def test_a_new_password_by_an_operator_ends_the_wait() -> None:
    charger = make_charger(password_hash=hash_password(KEY))
    for _ in range(security.FREE_ATTEMPTS + 1):
        refusal(charger, b"right and long enough")
    assert refusal(charger, b"right and long enough") == "too soon"
    operator().post(
        page_of(charger),
        {
            "identity": charger.identity,
            "station": charger.station_id,
            "registration": "Accepted",
            "security_profile": "0",
            "new_password": "right and long enough",
            "connectors-TOTAL_FORMS": 0,
            "connectors-INITIAL_FORMS": 0,
        },
    )
    dial(charger, b"right and long enough")


def test_so_many_refusals_are_kept_and_strangers_push_out_strangers(settings: Settings) -> None:
    settings.MAX_REFUSALS = 5
    charger = make_charger(password_hash=hash_password(KEY))
    refusal(charger, b"wrong")
    for number in range(9):
        with pytest.raises(Refused):
            security.admit(Arrival(f"made up {number}", HERE))
    kept = ConnectionRefusal.objects.values_list("identity", flat=True)
    assert len(kept) == 5
    assert {charger.identity, "made up 8"} <= set(kept)
    assert "made up 0" not in kept


def test_so_many_strangers_may_wait(settings: Settings) -> None:
    settings.UNKNOWN_CHARGERS, settings.MAX_UNKNOWN_CHARGERS = "inbox", 2
    for number in range(2):
        assert security.admit(Arrival(f"stranger {number}", HERE)).charger.registration == "Pending"
    with pytest.raises(Refused, match="inbox_full"):
        security.admit(Arrival("stranger 2", HERE))
    security.admit(Arrival("stranger 0", HERE))  # is known by now


# --- one password after another ---


def asked_to_change(charger: Charger, key: str) -> Command:
    return commands.send_command(
        charger=charger,
        action=commands.CHANGE_CONFIGURATION,
        params={"key": "AuthorizationKey", "value": key},
    )


OLD = b"the old password"


@pytest.fixture
def changing() -> tuple[Charger, Command, bytes]:
    """A connected charger that is about to be told its new password."""
    charger = make_charger(password_hash=hash_password(OLD))
    dial(charger, OLD)
    key = new_authorization_key()
    return charger, asked_to_change(charger, key), bytes.fromhex(key)


def ended(command: Command, status: str, answer: str = "") -> None:
    if status != "failed":
        Command.objects.filter(pk=command.pk).update(status="sent", sent_at=utcnow())
    commands.finish_command(command.pk, status=status, answer={"status": answer} if answer else None)


@pytest.mark.parametrize("answer", ["Accepted", "RebootRequired"])
def test_a_new_password_counts_alone_once_the_charger_comes_with_it(changing: Any, answer: str) -> None:
    charger, command, new = changing
    ended(command, "accepted", answer)
    dial(charger, OLD)  # before its restart
    dial(charger, new)
    assert refusal(charger, OLD) == "wrong_password"
    assert matches(new, charger.password_hash)
    assert charger.next_password_hash == ""


@pytest.mark.parametrize("status", ["rejected", "failed"])
def test_a_new_password_that_is_not_taken_is_dropped(changing: Any, status: str) -> None:
    """A01.FR.04"""
    charger, command, new = changing
    ended(command, status, "NotSupported" if status == "rejected" else "")
    assert refusal(charger, new) == "wrong_password"
    dial(charger, OLD)


@pytest.mark.parametrize("came_with", ["old", "new"])
def test_an_unknown_outcome_is_told_by_what_the_charger_comes_with(changing: Any, came_with: str) -> None:
    charger, command, new = changing
    ended(command, "timed_out")
    right, wrong = (OLD, new) if came_with == "old" else (new, OLD)
    dial(charger, right)
    assert refusal(charger, wrong) == "wrong_password"


@pytest.mark.parametrize("came_with", ["old", "new"])
def test_a_line_lost_half_way_locks_nobody_out(changing: Any, came_with: str) -> None:
    """The charger's next connection ends the command that was sent; which password it has, it shows."""
    charger, command, new = changing
    Command.objects.filter(pk=command.pk).update(status="sent", sent_at=utcnow())
    right, wrong = (OLD, new) if came_with == "old" else (new, OLD)
    dial(charger, right)
    command.refresh_from_db()
    assert command.status == "timed_out"
    assert command.params["value"] == "[hidden]"
    assert refusal(charger, wrong) == "wrong_password"
    dial(charger, right)


def test_a_change_not_yet_sent_stays_open_over_a_reconnect(changing: Any) -> None:
    charger, command, new = changing
    dial(charger, OLD)  # the newer socket is the one that sends it
    ended(command, "accepted", "Accepted")
    dial(charger, new)


def test_an_answer_that_comes_after_the_charger_has_come_with_the_old_one(changing: Any) -> None:
    charger, command, new = changing
    Command.objects.filter(pk=command.pk).update(status="sent", sent_at=utcnow())
    Charger.objects.filter(pk=charger.pk).update(next_password_hash="")  # as if it had been settled
    ended(command, "accepted", "Accepted")
    dial(charger, new)


def test_a_late_no_to_one_change_does_not_undo_the_next(changing: Any) -> None:
    """E13"""
    charger, command, _ = changing
    ended(command, "timed_out")
    dial(charger, OLD)
    key = new_authorization_key()
    second = asked_to_change(charger, key)
    commands.finish_command(command.pk, status="rejected", answer={"status": "Rejected"})
    ended(second, "accepted", "Accepted")
    dial(charger, bytes.fromhex(key))


def test_a_second_change_waits_for_the_end_of_the_first(changing: Any) -> None:
    """Else the charger might keep the one that is overwritten here."""
    charger, command, _ = changing
    with pytest.raises(PasswordChangeOpen):
        asked_to_change(charger, new_authorization_key())
    ended(command, "timed_out")
    with pytest.raises(PasswordChangeOpen):
        asked_to_change(charger, new_authorization_key())
    dial(charger, OLD)
    asked_to_change(charger, new_authorization_key())


@pytest.mark.parametrize("value", ["", "00" * 15, "short", "x" * 41, "00" * 21])
def test_a_new_password_has_the_length_of_the_book(value: str) -> None:
    """A00.FR.205: 16 bytes at least; of 40 hexadecimal digits, or as many characters."""
    charger = make_online_charger()
    with pytest.raises(UnfitPassword):
        asked_to_change(charger, value)
    assert not charger.commands.exists()


def test_a_short_password_of_old_goes_on() -> None:
    charger = make_charger(password_hash=hash_password("short"))
    dial(charger, b"short")


def test_a_charger_that_sends_its_keys_digits_is_understood() -> None:
    """E8: some send the 40 characters instead of the 20 bytes."""
    charger = make_charger(password_hash=hash_password(KEY))
    dial(charger, KEY.hex().encode())
    assert refusal(charger, KEY.hex().encode()[:-2] + b"00") == "wrong_password"


def test_a_new_password_by_the_button_is_shown_to_nobody(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    charger, client = make_online_charger(), operator()
    response = confirm(client, "new_password", charger)
    command = charger.commands.get()
    value = command.params["value"]
    assert len(bytes.fromhex(value)) == 20
    assert value not in text_of(response) + text_of(client.get(page_of(charger)))
    charger.refresh_from_db()
    assert matches(bytes.fromhex(value), charger.next_password_hash)


# --- what chargers notice ---


def test_a_security_event_is_stored_once_and_weighed() -> None:
    charger, at = make_charger(), datetime(2026, 1, 1, tzinfo=UTC)
    for kind in ("TamperDetectionActivated", "InvalidMessages", "TamperDetectionActivated"):
        security.record_event(charger_id=charger.pk, kind=kind, tech_info="x" * 300, occurred_at=at)
    events = dict(SecurityEvent.objects.filter(charger=charger).values_list("kind", "is_critical"))
    assert events == {"TamperDetectionActivated": True, "InvalidMessages": False}
    security.record_event(charger_id=charger.pk, kind="k" * 60, tech_info="", occurred_at=None)
    assert charger.security_events.count() == 3


# --- the pages ---


@pytest.mark.parametrize("model", [ConnectionRefusal, SecurityEvent, Certificate])
def test_lists_can_be_sorted_filtered_and_searched(model: Any) -> None:
    charger = make_charger(password_hash=hash_password(KEY))
    refusal(charger, b"wrong")
    security.record_event(charger_id=charger.pk, kind="ResetOrReboot", tech_info="", occurred_at=None)
    Certificate.objects.create(charger=charger, kind="ChargePointCertificate", state="requested")
    walk_through(operator(), model)
    row = model.objects.filter(charger=charger).get()
    assert charger.identity in text_of(operator().get(page_of(row)))


def test_the_chargers_page_shows_who_was_refused_and_what_was_noticed() -> None:
    charger = make_charger(password_hash=hash_password(KEY), used_security_profile=1)
    refusal(charger, b"wrong")
    security.record_event(
        charger_id=charger.pk, kind="TamperDetectionActivated", tech_info="", occurred_at=None
    )
    for client in (operator(), staff("chargers.view_charger")):
        text = text_of(client.get(page_of(charger)))
        assert "wrong password" in text
        assert "1 event, 1 critical" in text
        assert "1 – Basic auth" in text


def test_only_who_may_change_chargers_decides_about_their_security() -> None:
    charger = make_charger(used_security_profile=2)
    confirm(staff("chargers.view_charger"), "begin_lower", charger)
    charger.refresh_from_db()
    assert charger.used_security_profile == 2
    assert charger_services.charger_for_handshake(charger.identity) is not None
