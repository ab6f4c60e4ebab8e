"""Charging profiles from the wish to their end, and what may not even be wished for."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chargers import services as charger_services
from chargers.errors import ChargerOffline, NotFound
from chargers.events import utcnow
from chargers.models import Charger, Command
from gateway.ocpp.v16_commands import check
from sessions import ledger, profiles, services, smart_charging
from sessions.errors import InvalidProfile
from sessions.models import ChargingProfile, ChargingSession
from sessions.operations import perform
from tests.factories import make_charger, make_online_charger, make_operator, make_session, unique

pytestmark = pytest.mark.django_db

AT = "2026-03-01T00:00:00Z"


def payload(purpose: str = "TxDefaultProfile", *limits: float, **more: Any) -> dict[str, Any]:
    """OCPP's ChargingProfile; names with a dot go into its schedule: `payload(**{"schedule.duration": 60})`."""
    schedule = {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [
            {"startPeriod": 60 * i, "limit": limit} for i, limit in enumerate(limits or (16,))
        ],
    }
    schedule |= {name.split(".")[1]: value for name, value in more.items() if "." in name}
    return {
        "chargingProfileId": 4711,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        **{name: value for name, value in more.items() if "." not in name},
        "chargingSchedule": schedule,
    }


def ask(charger: Charger, connector: int | None = 1, **profile: Any) -> ChargingProfile:
    """SetChargingProfile, as a client of the API sends it."""
    params = {"connector_id": connector, "profile": payload(**profile)}
    command = perform(charger=charger, action="set_charging_profile", params=params)
    return ChargingProfile.objects.get(command=command)


def answer(row: ChargingProfile | Command, status: str = "Accepted") -> None:
    """The charger's answer to the command, or to the one that carries the profile."""
    command = row if isinstance(row, Command) else row.command
    assert command is not None
    ended = Command.Status.ACCEPTED if status == "Accepted" else Command.Status.REJECTED
    services.finish_command(command.pk, status=ended, answer={"status": status})
    row.refresh_from_db()


def active(charger: Charger, connector: int = 1, **profile: Any) -> ChargingProfile:
    row = ask(charger, connector, **profile)
    answer(row)
    assert row.state == "active"
    return row


def clear(charger: Charger, **criteria: Any) -> Command:
    return perform(charger=charger, action="clear_charging_profile", params=criteria)


def states(*rows: ChargingProfile) -> list[str]:
    return [ChargingProfile.objects.get(pk=row.pk).state for row in rows]


# --- setting ---


def test_what_is_sent_has_the_rows_key_and_fits_the_schema() -> None:
    """A client's own id would clash with another's: it is replaced."""
    charger, operator, command_id = make_online_charger(), make_operator(), uuid.uuid4()
    wanted = payload(
        "TxDefaultProfile",
        16.1,
        6,
        stackLevel=2,
        chargingProfileKind="Recurring",
        recurrencyKind="Daily",
        validFrom="2026-03-01T01:00:00.5+01:00",
        validTo="2026-04-01T00:00:00Z",
        **{"schedule.startSchedule": AT, "schedule.duration": 3600, "schedule.minChargingRate": 6.1},
    )
    wanted["chargingSchedule"]["chargingSchedulePeriod"][1]["numberPhases"] = 1
    command = perform(
        charger=charger,
        action="set_charging_profile",
        params={"connector_id": 1, "profile": wanted},
        requested_by=operator,
        command_id=command_id,
    )
    row = ChargingProfile.objects.get(command=command)
    assert (command.pk, command.requested_by, row.requested_by) == (command_id, operator, operator)
    assert command.params == {
        "connector_id": 1,
        "profile": {**wanted, "chargingProfileId": row.pk, "validFrom": AT},
    }
    check("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": command.params["profile"]})
    assert row.state == "sent"
    assert row.periods == [{"start_s": 0, "limit": 16.1}, {"start_s": 60, "limit": 6.0, "phases": 1}]
    assert row.valid_from == datetime(2026, 3, 1, tzinfo=UTC)


def test_an_accepted_profile_replaces_the_one_in_its_place() -> None:
    charger = make_online_charger()
    old = active(charger)
    elsewhere = [
        active(charger, 2),
        active(charger, 0),
        active(charger, stackLevel=1),
        active(charger, 0, purpose="ChargePointMaxProfile"),
    ]
    new = ask(charger)
    assert states(old, new) == ["active", "sent"]
    answer(new)
    assert states(old, new) == ["replaced", "active"]
    old.refresh_from_db()
    assert (old.detail, old.ended_at is not None) == (f"By profile {new.pk}", True)
    assert set(states(*elsewhere)) == {"active"}


@pytest.mark.parametrize(
    ("status", "words"),
    [("Rejected", "The charger refused it"), ("NotSupported", "The charger does not support it")],
)
def test_a_refused_profile_says_why_and_leaves_the_old_one(status: str, words: str) -> None:
    charger = make_online_charger()
    old, new = active(charger), ask(charger)
    answer(new, status)
    assert (new.state, new.detail) == ("rejected", words)
    assert states(old) == ["active"]


def test_a_callerror_is_a_refusal_in_its_own_words() -> None:
    row = ask(make_online_charger())
    assert row.command is not None
    services.finish_command(row.command.pk, status="rejected", answer={}, error="NotSupported: no such thing")
    row.refresh_from_db()
    assert (row.state, row.detail) == ("rejected", "NotSupported: no such thing")


def test_a_late_answer_still_counts_but_not_over_a_younger_profile() -> None:
    """E13"""
    charger = make_online_charger()
    one, two, three = ask(charger), ask(charger), ask(charger)
    for row in (one, two):
        assert row.command is not None
        services.finish_command(row.command.pk, status="timed_out", error="charger_timeout")
    one.refresh_from_db()
    assert one.state == "rejected"
    assert "may have it all the same" in one.detail
    answer(one)
    assert one.state == "active"
    assert (one.detail, one.ended_at) == ("", None)
    answer(three)
    answer(two)
    assert states(one, two, three) == ["replaced", "replaced", "active"]


def test_a_profile_that_never_left_is_rejected() -> None:
    row = ask(make_online_charger())
    assert row.command is not None
    services.abandon_command(row.command.pk)
    row.refresh_from_db()
    assert (row.state, row.detail) == ("rejected", "It never reached the charger")


def test_nothing_is_kept_for_a_charger_that_is_away() -> None:
    charger = make_charger()
    with pytest.raises(ChargerOffline):
        ask(charger)
    assert not ChargingProfile.objects.filter(charger=charger).exists()


@pytest.mark.parametrize(
    ("connector", "profile", "words"),
    [
        (1, {"purpose": "ChargePointMaxProfile"}, "ChargePointMaxProfile is for connector 0"),
        (1, {"transactionId": 5}, "Only a TxProfile"),
        (1, {"purpose": "TxProfile"}, "Nothing is being charged at connector 1"),
        (0, {"purpose": "TxProfile"}, "Nothing is being charged at connector 0"),
        (1, {"stackLevel": -1}, "stack level"),
        (1, {"stackLevel": 40_000}, "stack level"),
        (1, {"chargingProfileKind": "Recurring", "schedule.startSchedule": AT}, "recurrencyKind"),
        (1, {"chargingProfileKind": "Recurring", "recurrencyKind": "Daily"}, "startSchedule"),
        (1, {"recurrencyKind": "Daily"}, "only a recurring profile"),
        (1, {"chargingProfileKind": "Relative", "schedule.startSchedule": AT}, "no startSchedule"),
        (1, {"validFrom": AT, "validTo": AT}, "validFrom is not before validTo"),
        (1, {"schedule.duration": 0}, "duration"),
        (1, {"schedule.duration": 2**31}, "duration"),
        (1, {"schedule.minChargingRate": 6.15}, "minChargingRate"),
        (1, {"schedule.chargingSchedulePeriod": []}, "start at 0"),
        (1, {"schedule.chargingSchedulePeriod": [{"startPeriod": 1, "limit": 6}]}, "start at 0"),
        (1, {"schedule.chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6}] * 2}, "do not rise"),
        (1, {"schedule.chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.15}]}, "decimal"),
        (1, {"schedule.chargingSchedulePeriod": [{"startPeriod": 0, "limit": -1}]}, "decimal"),
        (1, {"schedule.chargingSchedulePeriod": [{"startPeriod": 0, "limit": 1e300}]}, "decimal"),
        (1, {"schedule.chargingSchedulePeriod": [{"startPeriod": 0, "limit": float("nan")}]}, "decimal"),
        (
            1,
            {"schedule.chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6, "numberPhases": 4}]},
            "phases",
        ),
        (
            1,
            {"schedule.chargingSchedulePeriod": [{"startPeriod": i * 2**31, "limit": 6} for i in (0, 1)]},
            "period starts after",
        ),
        (1, {"validFrom": "tomorrow"}, "could not be read"),
        (1, {"schedule.chargingSchedulePeriod": None}, "could not be read"),
        (1, {"chargingProfilePurpose": "Nonsense"}, "could not be read"),
        (1, {"validFrom": "0001-01-01T00:00:00+14:00"}, "could not be read"),
        (None, {}, "could not be read"),
    ],
)
def test_what_the_schema_lets_through_but_cannot_be(
    connector: int | None, profile: dict[str, Any], words: str
) -> None:
    charger = make_online_charger()
    with pytest.raises(InvalidProfile) as caught:
        ask(charger, connector, **profile)
    assert words in f"{caught.value.sentence}: {caught.value.detail}"
    assert not Command.objects.filter(charger=charger).exists()
    assert not ChargingProfile.objects.filter(charger=charger).exists()


@pytest.mark.parametrize("profile", [None, [], "x", {}, {"chargingSchedule": []}])
def test_what_is_no_profile_at_all(profile: Any) -> None:
    with pytest.raises(InvalidProfile):
        perform(
            charger=make_online_charger(),
            action="set_charging_profile",
            params={"connector_id": 1, "profile": profile},
        )


def test_a_connector_must_be_the_chargers() -> None:
    with pytest.raises(NotFound):
        ask(make_online_charger(), 3)
    with pytest.raises(NotFound):
        clear(make_online_charger(), connector_id=3)
    assert ask(make_online_charger(connectors=0), 3).connector_number == 3  # it has not told of any yet
    with pytest.raises(InvalidProfile, match="cannot be set"):
        ask(make_online_charger(connectors=0), 10**12)


@pytest.mark.parametrize(
    ("key", "value", "profile", "words"),
    [
        ("ChargeProfileMaxStackLevel", "3", {"stackLevel": 4}, "highest stack level is 3"),
        ("ChargingScheduleMaxPeriods", " 1 ", {"limits": (16, 6)}, "at most 1 periods"),
        ("ChargingScheduleAllowedChargingRateUnit", "Power", {}, "limits in W"),
        (
            "ChargingScheduleAllowedChargingRateUnit",
            "Current",
            {"schedule.chargingRateUnit": "W"},
            "limits in A",
        ),
    ],
)
def test_what_the_charger_said_it_cannot_take(
    key: str, value: str, profile: dict[str, Any], words: str
) -> None:
    """§9.4, as far as its configuration was read; nonsense there forbids nothing."""
    limits = profile.pop("limits", ())
    wish = {"connector_id": 1, "profile": payload("TxDefaultProfile", *limits, **profile)}
    with pytest.raises(InvalidProfile) as caught:
        perform(
            charger=make_online_charger(configuration={key: value}),
            action="set_charging_profile",
            params=wish,
        )
    assert words in caught.value.detail
    for odd in ("", "many", None, "9" * 30):
        charger = make_online_charger(configuration={key: odd})
        perform(charger=charger, action="set_charging_profile", params=wish)


def test_a_full_charger_takes_only_what_replaces() -> None:
    charger = make_online_charger(configuration={"MaxChargingProfilesInstalled": "2"})
    active(charger)
    active(charger, 2)
    with pytest.raises(InvalidProfile, match="at most 2"):
        ask(charger, stackLevel=1)
    active(charger)


# --- transactions ---


def test_a_transactions_profile_is_sent_with_its_id_and_ends_with_it() -> None:
    charger = make_online_charger()
    session = make_session(charger=charger)
    row = active(charger, purpose="TxProfile")
    default = active(charger)
    assert row.session == session
    assert row.command is not None
    assert row.command.params["profile"]["transactionId"] == session.transaction_id
    stop(session)
    assert states(row, default) == ["ended", "active"]


def stop(session: ChargingSession) -> None:
    ledger.stop_session(
        charger_id=session.charger_id,
        transaction_id=session.transaction_id,
        meter_stop_wh=5000,
        reported_at=utcnow(),
        reported=unique("stop"),
    )


def test_a_profile_for_another_transaction_is_not_sent() -> None:
    charger = make_online_charger()
    session = make_session(charger=charger)
    assert session.transaction_id is not None
    with pytest.raises(InvalidProfile, match="does not run"):
        ask(charger, purpose="TxProfile", transactionId=session.transaction_id + 1)
    ask(charger, purpose="TxProfile", transactionId=session.transaction_id)


def test_a_profile_accepted_after_the_end_of_its_transaction_has_ended() -> None:
    charger = make_online_charger()
    session = make_session(charger=charger)
    row = ask(charger, purpose="TxProfile")
    stop(session)
    answer(row)
    assert row.state == "ended"


def test_profiles_outlive_a_reboot() -> None:
    """Errata 3.37"""
    charger = make_online_charger()
    make_session(charger=charger)
    rows = [active(charger, purpose="TxProfile"), active(charger)]
    charger_services.boot(charger_id=charger.pk, details={})
    assert states(*rows) == ["active", "active"]


def start_with_profile(charger: Charger, tag: str, **profile: Any) -> tuple[Command, ChargingProfile]:
    params = {"connector_id": 1, "id_tag": tag, "profile": payload("TxProfile", **profile)}
    command = perform(charger=charger, action="remote_start", params=params)
    return command, ChargingProfile.objects.get(command=command)


def begin(charger: Charger, tag: str, connector: int = 1) -> ChargingSession:
    return ledger.start_session(
        charger_id=charger.pk,
        connector_number=connector,
        id_tag=tag,
        meter_start_wh=0,
        reported_at=utcnow(),
        reported=unique("start"),
    ).session


@pytest.mark.parametrize("answered", ["before", "after", "unknown"])
def test_a_profile_that_came_with_a_start_is_its_transactions(answered: str) -> None:
    """§5.16.2; whether the charger's answer or its transaction comes first (E33), or no answer at all (E32)."""
    charger, tag = make_online_charger(), unique("TAG")
    command, row = start_with_profile(charger, tag.lower())
    assert "transactionId" not in command.params["profile"]
    assert command.params["profile"]["chargingProfileId"] == row.pk
    if answered == "before":
        answer(command)
        assert states(row) == ["sent"]
    elif answered == "unknown":
        services.finish_command(command.pk, status="unknown", error="charger_timeout")
    session = begin(charger, tag)
    if answered == "after":
        answer(command)
    row.refresh_from_db()
    assert (row.state, row.session, row.connector_number) == ("active", session, 1)
    stop(session)
    assert states(row) == ["ended"]


def test_a_start_that_was_refused_or_came_second_takes_its_profile_along() -> None:
    charger = make_online_charger()
    refused, one = start_with_profile(charger, unique("TAG"))
    answer(refused, "Rejected")
    assert states(one) == ["rejected"]
    accepted, two = start_with_profile(charger, unique("TAG"))
    answer(accepted)
    begin(charger, unique("CARD"), connector=2)
    assert states(two) == ["sent"]
    begin(charger, unique("CARD"))
    assert states(one, two) == ["rejected", "ended"]


def test_a_start_takes_only_a_transactions_profile() -> None:
    charger = make_online_charger()
    for wrong in ({"transactionId": 5}, {"chargingProfilePurpose": "TxDefaultProfile"}):
        with pytest.raises(InvalidProfile, match="TxProfile without"):
            start_with_profile(charger, unique("TAG"), **wrong)
    perform(charger=charger, action="remote_start", params={"connector_id": 1, "id_tag": "A"})
    assert not ChargingProfile.objects.filter(charger=charger).exists()


# --- clearing ---


def test_what_fits_every_criterion_is_cleared() -> None:
    """Errata 3.25"""
    charger = make_online_charger()
    rows = [active(charger, 1), active(charger, 1, stackLevel=1), active(charger, 2), active(charger, 0)]
    other = active(make_online_charger())
    answer(clear(charger, connector_id=1, stack_level=1))
    assert states(*rows) == ["active", "cleared", "active", "active"]
    answer(clear(charger, connector_id=0))
    assert states(*rows) == ["active", "cleared", "active", "cleared"]
    answer(clear(charger, purpose="ChargePointMaxProfile"))
    answer(clear(charger))
    assert states(*rows, other) == ["cleared"] * 4 + ["active"]


def test_an_id_says_it_all() -> None:
    """Errata 3.26: with an id the other fields do not count, so they are not sent."""
    charger = make_online_charger()
    one, two = active(charger, 1), active(charger, 2)
    command = clear(charger, profile_id=one.pk, connector_id=2)
    assert command.params == {"profile_id": one.pk}
    answer(command)
    assert states(one, two) == ["cleared", "active"]


def test_what_the_charger_did_not_know_is_not_there_either() -> None:
    charger = make_online_charger()
    row = active(charger)
    answer(clear(charger, profile_id=row.pk), "Unknown")
    row.refresh_from_db()
    assert (row.state, row.detail) == ("cleared", "The charger did not have it")


def test_clearing_that_failed_or_came_before_clears_nothing() -> None:
    charger = make_online_charger()
    early, row = clear(charger), active(charger)
    command = clear(charger)
    services.finish_command(command.pk, status="rejected", answer={"errorCode": "NotSupported"}, error="x")
    answer(early)
    assert states(row) == ["active"]


# --- what holds ---


def test_expected_is_what_the_active_profiles_add_up_to() -> None:
    charger = make_online_charger()
    now = utcnow().replace(microsecond=0)
    make_session(charger=charger, started_at=now - timedelta(seconds=30))
    active(charger, 0, purpose="ChargePointMaxProfile", **{"schedule.chargingRateUnit": "W"})
    ask(charger, stackLevel=3)  # not answered yet
    expected = smart_charging.expected(
        charger=charger, connector_number=1, unit="W", duration_s=100, begins_at=now
    )
    assert [(period.start_s, period.limit and float(period.limit.rate)) for period in expected] == [(0, 16)]
    wish = payload("TxProfile", 16, 6, chargingProfileKind="Relative")
    command = perform(
        charger=charger, action="set_charging_profile", params={"connector_id": 1, "profile": wish}
    )
    answer(command)
    answer(clear(charger, connector_id=0))
    expected = smart_charging.expected(
        charger=charger, connector_number=1, unit="A", duration_s=100, begins_at=now
    )
    assert [(period.start_s, period.limit and float(period.limit.rate)) for period in expected] == [
        (0, 16),
        (30, 6),
    ]


def test_a_composite_schedule_is_asked_for_and_its_answer_kept() -> None:
    charger = make_online_charger()
    command = perform(
        charger=charger, action="get_composite_schedule", params={"connector_id": 1, "duration_s": 600}
    )
    services.finish_command(command.pk, status="accepted", answer={"status": "Accepted", "connectorId": 1})
    command.refresh_from_db()
    assert command.answer == {"status": "Accepted", "connectorId": 1}
    for wrong in ({"connector_id": 1, "duration_s": 0}, {"connector_id": 1, "duration_s": 10**9}):
        with pytest.raises(InvalidProfile):
            perform(charger=charger, action="get_composite_schedule", params=wrong)
    with pytest.raises(NotFound):
        perform(
            charger=charger, action="get_composite_schedule", params={"connector_id": 9, "duration_s": 60}
        )


def test_a_limit_goes_on_top_and_gives_way_when_its_time_is_over() -> None:
    charger = make_online_charger(configuration={"ChargeProfileMaxStackLevel": "8"})
    session = make_session(charger=charger)
    now = utcnow()
    planned: dict[str, Any] = {"schedule.chargingSchedulePeriod": [{"startPeriod": 0, "limit": 32}]}
    active(charger, **planned)
    until = now + timedelta(seconds=600)
    command = smart_charging.limit(charger=charger, connector_number=0, rate=10, unit="A", ends_at=until)
    row = ChargingProfile.objects.get(command=command)
    assert (row.purpose, row.stack_level, row.connector_number) == ("TxDefaultProfile", 8, 0)
    assert row.duration_s == pytest.approx(600, abs=1)
    answer(row)
    [first, then] = smart_charging.expected(
        charger=charger, connector_number=1, unit="A", duration_s=1000, begins_at=row.starts_at
    )
    assert first.limit and then.limit
    assert (int(first.limit.rate), then.start_s, int(then.limit.rate)) == (10, row.duration_s, 32)
    command = smart_charging.limit(charger=charger, connector_number=1, rate=7400, unit="W", session=session)
    mine = ChargingProfile.objects.get(command=command)
    assert (mine.purpose, mine.session, mine.duration_s) == ("TxProfile", session, None)
    with pytest.raises(InvalidProfile):
        smart_charging.limit(charger=charger, connector_number=0, rate=10, unit="A", ends_at=now)


def test_nonsense_in_the_configuration_is_no_capability() -> None:
    can = profiles.capabilities(make_charger(configuration={"ChargeProfileMaxStackLevel": "²"}))
    assert can.max_stack_level is None
    assert can.units == {"A", "W"}
