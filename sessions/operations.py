"""What can be asked of a charger, word by word: what else it means besides the message, and what its end settles.

Every door that lets a person or another system send a command goes through `perform`; every end of a command goes
through `settle`. A word that is not in the table is only a message.
"""

import json
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils.crypto import salted_hmac

from chargers import certificates, commands, firmware, log_uploads, root_certificates
from chargers.commands import send_command
from chargers.errors import CommandIdUsed
from chargers.models import Charger, Command
from sessions import ledger, local_lists, reservations, smart_charging

# (charger, params, requested_by, command_id) by keyword → the command. Raises DomainError.
Act = Callable[..., Command]


class Operation(NamedTuple):
    """`act` writes what is asked for, and the command; `settle` hears of the command's end, in its transaction."""

    act: Act | None = None
    settle: Callable[[Command], None] | None = None


OPERATIONS: dict[str, Operation] = {
    commands.REMOTE_START: Operation(smart_charging.start_by_command, smart_charging.settle_profile),
    commands.SET_CHARGING_PROFILE: Operation(smart_charging.set_by_command, smart_charging.settle_profile),
    commands.CLEAR_CHARGING_PROFILE: Operation(
        smart_charging.clear_by_command, smart_charging.settle_clearing
    ),
    commands.GET_COMPOSITE_SCHEDULE: Operation(smart_charging.composite_by_command),
    commands.GET_LOCAL_LIST_VERSION: Operation(settle=local_lists.settle),
    commands.SEND_LOCAL_LIST: Operation(local_lists.send, local_lists.settle),
    commands.RESERVE_NOW: Operation(reservations.act, reservations.settle_reserve),
    commands.CANCEL_RESERVATION: Operation(settle=reservations.settle_cancel),
    commands.CERTIFICATE_SIGNED: Operation(certificates.send_certificate, certificates.certificate_sent),
    commands.INSTALL_CERTIFICATE: Operation(root_certificates.install, root_certificates.installed),
    commands.DELETE_CERTIFICATE: Operation(settle=root_certificates.deleted),
    commands.GET_INSTALLED_CERTIFICATE_IDS: Operation(settle=root_certificates.listed),
    commands.UPDATE_FIRMWARE: Operation(firmware.request_update, firmware.settle),
    commands.SIGNED_UPDATE_FIRMWARE: Operation(firmware.request_signed_update, firmware.settle),
    commands.GET_DIAGNOSTICS: Operation(log_uploads.request_diagnostics, log_uploads.settle),
    commands.GET_LOG: Operation(log_uploads.request_log, log_uploads.settle),
}


@transaction.atomic
def perform(
    *,
    charger: Charger,
    action: str,
    params: dict[str, Any],
    requested_by: AbstractBaseUser | None = None,
    command_id: uuid.UUID | None = None,
) -> Command:
    """Ask a charger for something, by our word for it (chargers.commands) and with our names of its parameters."""
    act = OPERATIONS.get(action, Operation()).act
    if act is None:
        return send_command(
            charger=charger, action=action, params=params, requested_by=requested_by, command_id=command_id
        )
    return act(charger=charger, params=params, requested_by=requested_by, command_id=command_id)


@transaction.atomic
def perform_once(
    *,
    charger: Charger,
    action: str,
    params: dict[str, Any],
    requested_by: AbstractBaseUser,
    command_id: uuid.UUID,
) -> Command:
    """As `perform`, for who may ask twice: with the same id it is the same command, and nothing is sent again.

    Raises CommandIdUsed where the id is another wish's.
    """
    ledger.locked_charger(charger.pk)  # who asks at the same moment waits, and finds the command
    digest = _digest(charger, action, params)
    earlier = Command.objects.filter(pk=command_id).first()
    if earlier is not None:
        if earlier.wish_digest != digest:
            raise CommandIdUsed
        return earlier
    command = perform(
        charger=charger, action=action, params=params, requested_by=requested_by, command_id=command_id
    )
    Command.objects.filter(pk=command.pk).update(wish_digest=digest)
    return command


def _digest(charger: Charger, action: str, params: dict[str, Any]) -> str:
    """What tells one wish from another; keyed, since a wish may be for a new password."""
    wish = json.dumps([charger.pk, action, params], sort_keys=True)
    return salted_hmac("sessions.operations", wish, algorithm="sha256").hexdigest()


def settle(command: Command) -> None:
    """A command has ended: whoever wrote something down with it writes what became of it."""
    if settle := OPERATIONS.get(command.action, Operation()).settle:
        settle(command)
