"""Limits on what chargers and cars take: profiles are set, cleared, and end with their transactions (OCPP 1.6 §3.13).

A profile's row is its state at the charger as far as we know. Its key is the id the charger hears, so ids never
clash; an id that a client gave is replaced. Reboots change nothing: profiles outlive them (errata 3.37).
"""

import uuid
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import QuerySet

from chargers import commands
from chargers.commands import check_connector, send_command
from chargers.events import utcnow
from chargers.models import Charger, Command
from sessions import id_tags, profiles, schedules
from sessions.errors import InvalidProfile
from sessions.models import ChargingProfile, ChargingSession

Purpose, State = ChargingProfile.Purpose, ChargingProfile.State

# Longer than any plan; a composite schedule has a period for every change.
MAX_COMPOSITE_S = 31 * 24 * 3600


# --- setting ---


@transaction.atomic
def set_profile(
    profile: ChargingProfile,
    *,
    transaction_id: int | None = None,
    requested_by: AbstractBaseUser | None = None,
    command_id: uuid.UUID | None = None,
) -> Command:
    """Send a profile, which is not saved yet. A TxProfile is for the transaction that runs at its connector.

    Raises InvalidProfile, NotFound (no such connector), ChargerOffline.
    """
    charger = profile.charger
    check_connector(charger, profile.connector_number)
    if profile.purpose == Purpose.TX:
        profile.session = _running(charger, profile.connector_number, transaction_id)
    elif transaction_id is not None:
        raise InvalidProfile("Only a TxProfile is for one transaction")
    _save(profile, requested_by)
    command = send_command(
        charger=charger,
        action=commands.SET_CHARGING_PROFILE,
        params={"connector_id": profile.connector_number, "profile": profiles.as_ocpp(profile)},
        requested_by=requested_by,
        command_id=command_id,
    )
    return _belongs_to(profile, command)


def _running(charger: Charger, connector_number: int, transaction_id: int | None) -> ChargingSession:
    session = _session_at(charger, connector_number)
    if session is None:
        raise InvalidProfile(
            f"Nothing is being charged at connector {connector_number} of {charger.identity}"
        )
    if transaction_id not in (None, session.transaction_id):
        raise InvalidProfile(f"Transaction {transaction_id} does not run at connector {connector_number}")
    return session


def _session_at(charger: Charger, connector_number: int) -> ChargingSession | None:
    running = ChargingSession.objects.filter(charger=charger, status__in=ChargingSession.RUNNING)
    return running.filter(connector__number=connector_number).first()


def _save(profile: ChargingProfile, requested_by: AbstractBaseUser | None) -> None:
    profiles.check(profile)
    most = profiles.capabilities(profile.charger).max_installed
    installed = ChargingProfile.objects.filter(charger=profile.charger, state=State.ACTIVE)
    if most is not None and installed.exclude(**_place(profile)).count() >= most:
        raise InvalidProfile(f"The charger takes at most {most} charging profiles; clear one first")
    profile.requested_by_id = requested_by.pk if requested_by else None
    profile.save()


def _place(profile: ChargingProfile) -> dict[str, Any]:
    """Where there can be only one."""
    return {
        "connector_number": profile.connector_number,
        "purpose": profile.purpose,
        "stack_level": profile.stack_level,
    }


def _belongs_to(profile: ChargingProfile, command: Command) -> Command:
    profile.command = command
    profile.save(update_fields=["command"])
    return command


def limit(
    *,
    charger: Charger,
    connector_number: int,
    rate: float,
    unit: str,
    ends_at: datetime | None = None,
    session: ChargingSession | None = None,
    requested_by: AbstractBaseUser | None = None,
) -> Command:
    """No more than this from now on: for a session, or for whatever charges at the connector (0: at any).

    It goes on top of all else, at the highest stack level the charger knows, so that what was planned comes back
    when it ends; a further limit replaces it.
    """
    now = utcnow().replace(microsecond=0)
    profile = ChargingProfile(
        charger=charger,
        connector_number=connector_number,
        purpose=Purpose.TX if session else Purpose.TX_DEFAULT,
        stack_level=profiles.capabilities(charger).max_stack_level or 0,
        kind=ChargingProfile.Kind.ABSOLUTE,
        starts_at=now,
        duration_s=int((ends_at - now).total_seconds()) if ends_at else None,
        unit=unit,
        periods=[{"start_s": 0, "limit": rate}],
    )
    transaction_id = session.transaction_id if session else None
    return set_profile(profile, transaction_id=transaction_id, requested_by=requested_by)


# --- as commands, by OCPP's words for what is nested (sessions.operations) ---


def set_by_command(
    *,
    charger: Charger,
    params: dict[str, Any],
    requested_by: AbstractBaseUser | None,
    command_id: uuid.UUID | None,
) -> Command:
    profile = profiles.from_ocpp(charger, params.get("connector_id"), params.get("profile"))
    transaction_id = params["profile"].get("transactionId")
    return set_profile(
        profile, transaction_id=transaction_id, requested_by=requested_by, command_id=command_id
    )


@transaction.atomic
def start_by_command(
    *,
    charger: Charger,
    params: dict[str, Any],
    requested_by: AbstractBaseUser | None,
    command_id: uuid.UUID | None,
) -> Command:
    """A start may bring its transaction's profile along; that has no transaction id yet (errata 3.41)."""
    profile = None
    if params.get("profile") is not None:
        profile = profiles.from_ocpp(charger, params.get("connector_id") or 0, params["profile"])
        if profile.purpose != Purpose.TX or params["profile"].get("transactionId") is not None:
            raise InvalidProfile("With a start comes a TxProfile without a transaction id")
        check_connector(charger, profile.connector_number)
        _save(profile, requested_by)
        params = {**params, "profile": profiles.as_ocpp(profile)}
    command = send_command(
        charger=charger,
        action=commands.REMOTE_START,
        params=params,
        requested_by=requested_by,
        command_id=command_id,
    )
    return _belongs_to(profile, command) if profile else command


def clear_by_command(
    *,
    charger: Charger,
    params: dict[str, Any],
    requested_by: AbstractBaseUser | None = None,
    command_id: uuid.UUID | None = None,
) -> Command:
    """Clear the one with this id, else all that fit every criterion given, else all (errata 3.25, 3.26)."""
    given = {name: value for name, value in params.items() if value is not None}
    if "profile_id" in given:
        given = {"profile_id": given["profile_id"]}
    if "connector_id" in given:
        check_connector(charger, given["connector_id"])
    return send_command(
        charger=charger,
        action=commands.CLEAR_CHARGING_PROFILE,
        params=given,
        requested_by=requested_by,
        command_id=command_id,
    )


def composite_by_command(
    *,
    charger: Charger,
    params: dict[str, Any],
    requested_by: AbstractBaseUser | None = None,
    command_id: uuid.UUID | None = None,
) -> Command:
    """Ask the charger what it means to allow. Its answer stays with the command; `expected` is what we think."""
    check_connector(charger, params["connector_id"])
    if not 0 < params["duration_s"] <= MAX_COMPOSITE_S:
        raise InvalidProfile(f"The duration is not between 1 and {MAX_COMPOSITE_S} seconds")
    return send_command(
        charger=charger,
        action=commands.GET_COMPOSITE_SCHEDULE,
        params=params,
        requested_by=requested_by,
        command_id=command_id,
    )


# --- what became of it ---


@transaction.atomic
def settle_profile(command: Command) -> None:
    """The charger took the profile or not; a late answer counts too. One that came with a start waits for that."""
    if "profile" not in command.params:
        return
    unsettled = ChargingProfile.objects.select_related("session").filter(
        command=command, state__in=(State.SENT, State.REJECTED)
    )
    profile = unsettled.first()
    if profile is None:
        return
    if command.status == Command.Status.UNKNOWN:
        return  # the transaction, if it comes, will tell
    if command.status != Command.Status.ACCEPTED:
        _end(profile, State.REJECTED, _refusal(command))
    elif command.action == commands.SET_CHARGING_PROFILE:
        _take_effect(profile)
    else:
        profile.state, profile.detail, profile.ended_at = State.SENT, "", None
        profile.save(update_fields=["state", "detail", "ended_at"])


def _refusal(command: Command) -> str:
    if command.status == Command.Status.FAILED:
        return "It never reached the charger"
    if command.status == Command.Status.TIMED_OUT:
        return "The charger did not answer; it may have it all the same"
    status = command.answer.get("status") if isinstance(command.answer, dict) else None
    if status == "NotSupported":
        return "The charger does not support it"
    return command.error or "The charger refused it"


def _take_effect(profile: ChargingProfile) -> None:
    """It replaces what was in its place; unless it was told late, and something younger is there."""
    Charger.objects.select_for_update(of=("self",), no_key=True).get(pk=profile.charger_id)
    if profile.session and profile.session.status not in ChargingSession.RUNNING:
        return _end(profile, State.ENDED, "Its transaction is over")
    same_place = ChargingProfile.objects.filter(
        charger_id=profile.charger_id, state=State.ACTIVE, **_place(profile)
    )
    if same_place.filter(pk__gt=profile.pk).exists():
        return _end(profile, State.REPLACED, "A younger one took its place")
    same_place.update(state=State.REPLACED, detail=f"By profile {profile.pk}", ended_at=utcnow())
    profile.state, profile.detail, profile.ended_at = State.ACTIVE, "", None
    profile.save(update_fields=["session", "connector_number", "state", "detail", "ended_at"])


def _end(profile: ChargingProfile, state: str, detail: str) -> None:
    profile.state, profile.detail, profile.ended_at = state, detail[:255], utcnow()
    profile.save(update_fields=["state", "detail", "ended_at"])


def settle_clearing(command: Command) -> None:
    """What was cleared is gone, and so is what the charger did not know."""
    status = command.answer.get("status") if isinstance(command.answer, dict) else None
    if command.status == Command.Status.ACCEPTED:
        detail = ""
    elif status == "Unknown":
        detail = "The charger did not have it"
    else:
        return
    names = {
        "profile_id": "pk",
        "connector_id": "connector_number",
        "purpose": "purpose",
        "stack_level": "stack_level",
    }
    criteria = {names[name]: value for name, value in command.params.items() if name in names}
    installed = ChargingProfile.objects.filter(
        charger_id=command.charger_id, state=State.ACTIVE, created_at__lte=command.created_at
    )
    installed.filter(**criteria).update(state=State.CLEARED, detail=detail, ended_at=utcnow())


# --- transactions ---


def session_began(session: ChargingSession) -> None:
    """A profile that came with this start is its profile from now on; one of a start that lost the connector is not."""
    waiting = ChargingProfile.objects.select_related("command").filter(
        charger_id=session.charger_id,
        purpose=Purpose.TX,
        session=None,
        state=State.SENT,
        command__action=commands.REMOTE_START,
    )
    number = session.connector.number if session.connector else 0
    for profile in waiting:
        assert profile.command is not None  # filtered by it
        if id_tags.normalised(profile.command.params.get("id_tag", "")) == session.id_tag:
            profile.session, profile.connector_number = session, number or profile.connector_number
            _take_effect(profile)
        elif number and profile.connector_number == number:
            _end(profile, State.ENDED, "Somebody else began to charge at this connector")


def session_ended(session: ChargingSession) -> None:
    """A TxProfile ends with its transaction (§3.13.1)."""
    ChargingProfile.objects.filter(session=session, state=State.ACTIVE).update(
        state=State.ENDED, detail="Its transaction is over", ended_at=utcnow()
    )


# --- what holds ---


def installed(charger: Charger) -> QuerySet[ChargingProfile]:
    """The profiles the charger has, as far as we know."""
    return ChargingProfile.objects.filter(charger=charger, state=State.ACTIVE)


def expected(
    *, charger: Charger, connector_number: int, unit: str, duration_s: int, begins_at: datetime | None = None
) -> list[schedules.Period]:
    """What the connector may take by the profiles the charger has, as it should answer GetCompositeSchedule.

    In A or W; to be compared with care: a charger knows limits of its own (§5.7).
    """
    session = _session_at(charger, connector_number)
    return schedules.composite(
        [profiles.as_profile(row) for row in installed(charger)],
        connector_number=connector_number,
        unit=unit,
        begins_at=begins_at or utcnow().replace(microsecond=0),
        duration_s=duration_s,
        charging_since=session.started_at if session else None,
    )
