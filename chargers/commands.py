"""What we can ask of a charger, and the life of such a request: queued → sent → an end.

The row is the command. The bus only tells the socket's process that there is one; a conditional UPDATE lets
exactly one process send it, and nothing unsent is kept for a charger that comes back later.
"""

import uuid
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, PermissionsMixin
from django.db import transaction
from django.db.models import DateTimeField, Q, Value
from django.db.models.functions import Coalesce, Greatest
from django.dispatch import Signal

from chargers import bus, passwords
from chargers.errors import ChargerAccepted, ChargerOffline, ChargerPending, ChargerUnreachable, NotFound
from chargers.events import (
    ChargerConfigurationChanged,
    ConfigurationChange,
    charger_group,
    command_group,
    publish,
    utcnow,
)
from chargers.models import Charger, Command
from chargers.words import Words

REMOTE_START = "remote_start"
REMOTE_STOP = "remote_stop"
UNLOCK_CONNECTOR = "unlock_connector"
RESET = "reset"
CHANGE_AVAILABILITY = "change_availability"
GET_CONFIGURATION = "get_configuration"
CHANGE_CONFIGURATION = "change_configuration"
CLEAR_CACHE = "clear_cache"
TRIGGER_MESSAGE = "trigger_message"
DATA_TRANSFER = "data_transfer"
UPDATE_FIRMWARE = "update_firmware"
GET_DIAGNOSTICS = "get_diagnostics"
GET_LOCAL_LIST_VERSION = "get_local_list_version"
SEND_LOCAL_LIST = "send_local_list"
RESERVE_NOW = "reserve_now"
CANCEL_RESERVATION = "cancel_reservation"
SET_CHARGING_PROFILE = "set_charging_profile"
CLEAR_CHARGING_PROFILE = "clear_charging_profile"
GET_COMPOSITE_SCHEDULE = "get_composite_schedule"
EXTENDED_TRIGGER_MESSAGE = "extended_trigger_message"
GET_LOG = "get_log"
CERTIFICATE_SIGNED = "certificate_signed"
INSTALL_CERTIFICATE = "install_certificate"
DELETE_CERTIFICATE = "delete_certificate"
GET_INSTALLED_CERTIFICATE_IDS = "get_installed_certificate_ids"
SIGNED_UPDATE_FIRMWARE = "signed_update_firmware"

TRIGGERS = (TRIGGER_MESSAGE, EXTENDED_TRIGGER_MESSAGE)

HIDDEN = passwords.HIDDEN  # instead of a charger's own password, which is shown to nobody

ended = Signal()
"""Sent with each `command` that has ended, once that is committed, to those who watch. Nothing may depend on it."""

Status = Command.Status
OPEN = (Status.QUEUED, Status.SENT)
# A late answer may still settle these (E13, E32).
UNSETTLED = (*OPEN, Status.TIMED_OUT, Status.UNKNOWN)

# Beyond its time-out a command is the sweep's: the process that had it is gone.
SWEEP_GRACE_S = 10


def may_send(user: PermissionsMixin | AnonymousUser, word: str) -> bool:
    """Whether this user may have this command sent: `send_command` is for every word, `send_reset` for one."""
    return user.has_perm("chargers.send_command") or user.has_perm(f"chargers.send_{word}")


def send_command(
    *,
    charger: Charger,
    action: str,
    params: dict[str, Any],
    requested_by: AbstractBaseUser | None = None,
    command_id: uuid.UUID | None = None,
) -> Command:
    """Write the command and wake the process that holds the charger's socket once this is committed.

    Raises ChargerOffline; ChargerUnreachable while the bus that leads to its process is away (E47); ChargerPending
    for a start or stop before acceptance (OCPP 1.6 §4.2); ChargerAccepted for a trigger of BootNotification after it
    (E44); NotFound for a trigger of a connector that is not there.
    """
    if not charger.is_connected:
        raise ChargerOffline
    if not bus.reaches(charger.channel_name):
        raise ChargerUnreachable
    if action in (REMOTE_START, REMOTE_STOP) and charger.registration != Charger.Registration.ACCEPTED:
        raise ChargerPending
    if action in TRIGGERS:
        _check_trigger(charger, params)
    if passwords.is_change(action, params):
        passwords.begin_change(charger, str(params.get("value", "")))
    command = Command.objects.create(
        id=command_id or uuid.uuid4(),
        charger=charger,
        action=action,
        params=params,
        requested_by_id=requested_by.pk if requested_by else None,
    )
    wake(command, charger.channel_name)
    return command


def _check_trigger(charger: Charger, params: dict[str, Any]) -> None:
    """An accepted charger boots when it boots (errata 3.40, E44); a connector must be one of its own."""
    accepted = charger.registration == Charger.Registration.ACCEPTED
    if accepted and params.get("message") == "BootNotification":
        raise ChargerAccepted
    if params.get("connector_id") is not None:
        check_connector(charger, params["connector_id"])


def check_connector(charger: Charger, number: int) -> None:
    """Raise NotFound where the charger has told of its connectors and this is none of them; 0 is the whole charger."""
    if number == 0 or (number > 0 and not charger.connectors.exists()):
        return
    if not charger.connectors.filter(number=number).exists():
        values = {"charger": charger.identity, "connector": number}
        raise NotFound(Words("%(charger)s has no connector %(connector)s", **values))


def ask(**wish: Any) -> Command:
    """Ask a charger for something, with all it means: what the operators' pages call, with `send_command`'s arguments.

    What a word means besides its message is known to the floors above; `asks_through` names who knows.
    """
    return _performer(**wish)


def asks_through(performer: Callable[..., Command]) -> None:
    """Let `performer` do what `ask` is asked for. sessions says so when it is loaded."""
    global _performer
    _performer = performer


_performer: Callable[..., Command] = send_command


def wake(command: Command, channel_name: str) -> None:
    """Tell the socket that owns the charger of a command to send, once this is committed."""
    bus.send_on_commit([bus.to_channel(channel_name, {"type": "command.ready", "id": str(command.pk)})])


def queued_for(channels: Iterable[str]) -> list[tuple[str, str]]:
    """(command id, channel) of what waits to be sent by these sockets and can still be: nobody may have woken them."""
    young = utcnow() - timedelta(seconds=settings.COMMAND_TIMEOUT_S)
    waiting = Command.objects.filter(
        status=Status.QUEUED, created_at__gt=young, charger__channel_name__in=list(channels)
    )
    rows = waiting.order_by("created_at").values_list("pk", "charger__channel_name")
    return [(str(pk), channel) for pk, channel in rows]


def claim_command(command_id: uuid.UUID | str, *, channel_name: str) -> Command | None:
    """The command, now ours to send; None if it was claimed, has ended, is too old, or the charger moved on."""
    now = utcnow()
    claimed = Command.objects.filter(
        pk=command_id,
        status=Status.QUEUED,
        # No join: Django would put all conditions into a subquery, which PostgreSQL judges only before a wait.
        charger__in=Charger.objects.filter(channel_name=channel_name),
        created_at__gt=now - timedelta(seconds=settings.COMMAND_TIMEOUT_S),
    ).update(status=Status.SENT, sent_at=now)
    return Command.objects.select_related("charger").get(pk=command_id) if claimed else None


@transaction.atomic
def finish_command(
    command_id: uuid.UUID | str, *, status: str, answer: Any = None, error: str = ""
) -> Command | None:
    """Write the end of a command, once. None if it had ended for good, or so, already."""
    now = Value(utcnow(), DateTimeField())
    unsettled = Command.objects.filter(pk=command_id, status__in=UNSETTLED).exclude(status=status)
    ended = unsettled.update(
        status=status,
        answer=passwords.masked(answer),
        error=error[:255],
        # Another machine may have sent it, whose clock is ahead of ours.
        finished_at=Greatest(now, Coalesce("sent_at", now)),
    )
    if not ended:
        return None
    command = Command.objects.select_related("charger").get(pk=command_id)
    _keep_configuration(command)
    passwords.end_change(command)
    _forget_secret(command)
    _tell_waiters(command)
    return command


def _tell_waiters(command: Command) -> None:
    transaction.on_commit(lambda: ended.send_robust(Command, command=command), robust=True)
    bus.send_on_commit(
        [bus.to_group(command_group(command.pk), {"type": "command.done", "id": str(command.pk)})]
    )


def _keep_configuration(command: Command) -> None:
    """The charger's configuration as it last told us, so that the operator need not ask again."""
    if command.status != Status.ACCEPTED:
        return
    charger = command.charger
    if command.action == GET_CONFIGURATION and isinstance(command.answer, dict):
        entries = command.answer.get("configurationKey")
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict) and isinstance(entry.get("key"), str):
                value = entry.get("value", "")
                is_secret = value and passwords.is_key(entry["key"])
                charger.configuration[entry["key"]] = HIDDEN if is_secret else value
    elif command.action == CHANGE_CONFIGURATION:
        key, value = command.params["key"], command.params["value"]
        if passwords.is_key(key):
            return
        charger.configuration[key] = value
        change = ConfigurationChange(key=key, value=value, timestamp=utcnow())
        publish(
            ChargerConfigurationChanged(charger_id=charger.identity, data=change),
            to=[charger_group(charger.pk)],
        )
    else:
        return
    charger.save(update_fields=["configuration"])


def _forget_secret(command: Command) -> None:
    """A password given to a charger is not kept in the record of giving it."""
    if passwords.is_change(command.action, command.params):
        command.params = {**command.params, "value": HIDDEN}
        command.save(update_fields=["params"])


def without_answer(command: Command) -> tuple[str, str]:
    """How a command ends that the charger never answered: (status, error code).

    A start that was sent may have worked, so it is unknown rather than failed (E32).
    """
    if command.status == Status.QUEUED:
        return Status.FAILED, "charger_timeout"
    return (Status.UNKNOWN if command.action == REMOTE_START else Status.TIMED_OUT), "charger_timeout"


def overdue_commands() -> list[Command]:
    """What no process will answer any more."""
    limit = utcnow() - timedelta(seconds=settings.COMMAND_TIMEOUT_S + SWEEP_GRACE_S)
    overdue = Command.objects.filter(finished_at=None).filter(
        Q(status=Status.QUEUED, created_at__lt=limit) | Q(status=Status.SENT, sent_at__lt=limit)
    )
    return list(overdue)


def abandon_command(command_id: uuid.UUID | str, *, error: str = "charger_timeout") -> Command | None:
    """Nobody wants it any more and it was not sent: it must not be sent later. None if it was sent, or has ended."""
    given_up = Command.objects.filter(pk=command_id, status=Status.QUEUED).update(
        status=Status.FAILED, error=error, finished_at=utcnow()
    )
    if not given_up:
        return None
    command = Command.objects.select_related("charger").get(pk=command_id)
    passwords.end_change(command)
    _forget_secret(command)
    _tell_waiters(command)
    return command


def end_commands_of(charger_id: int, statuses: Iterable[str] = OPEN) -> list[Command]:
    """The charger's socket went away: nothing that is open will be answered on it."""
    ended = []
    open_ones = Command.objects.filter(charger_id=charger_id, finished_at=None, status__in=list(statuses))
    for command in open_ones:
        status, _ = without_answer(command)
        if finished := finish_command(command.pk, status=status, error="charger_offline"):
            ended.append(finished)
    return ended
