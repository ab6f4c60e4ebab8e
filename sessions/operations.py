"""What can be asked of a charger, word by word: what else it means besides the message, and what its end settles.

Every door that lets a person or another system send a command goes through `perform`; every end of a command goes
through `settle`. A word that is not in the table is only a message.
"""

import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from chargers.commands import send_command
from chargers.models import Charger, Command

# (charger, params, requested_by, command_id) by keyword → the command. Raises DomainError.
Act = Callable[..., Command]


class Operation(NamedTuple):
    """`act` writes what is asked for, and the command; `settle` hears of the command's end, in its transaction."""

    act: Act | None = None
    settle: Callable[[Command], None] | None = None


OPERATIONS: dict[str, Operation] = {}


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


def settle(command: Command) -> None:
    """A command has ended: whoever wrote something down with it writes what became of it."""
    if settle := OPERATIONS.get(command.action, Operation()).settle:
        settle(command)
