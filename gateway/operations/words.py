"""What can be asked of a charger, in the words of the OCPP version it speaks, there and back."""

from typing import Any

from chargers import passwords
from chargers.errors import DomainError
from chargers.models import Charger, Command
from gateway.errors import UnknownAction, ValidationFailed
from gateway.ocpp import v16_commands
from gateway.ocpp.rpc import CallError

VERSIONS = {v16_commands.VERSION: v16_commands}

# Of no charger's version in particular: what commands are listed by.
_NAMES = {word: outgoing.action for words in VERSIONS.values() for word, outgoing in words.OUTGOING.items()}
_WORDS = {name: word for word, name in _NAMES.items()}

ACTIONS = sorted(_WORDS)


class NotInItsVersion(DomainError):
    code = "action_not_supported"
    sentence = "The charger's OCPP version has no such action"


def word_of(action: str) -> str:
    """Our word for OCPP's name of an action. Raises UnknownAction."""
    word = _WORDS.get(action)
    if word is None:
        raise UnknownAction(f"{action[:80]} is not something to ask of a charger")
    return word


def params_of(charger: Charger, action: str, payload: dict[str, Any]) -> dict[str, Any]:
    """A payload of an action that exists, under our names. Raises NotInItsVersion, and ValidationFailed with the place.

    A charger that never connected speaks no version yet; it is asked nothing either, but hears why.
    """
    version = VERSIONS.get(charger.ocpp_version or v16_commands.VERSION)
    if version is None or word_of(action) not in version.OUTGOING:
        raise NotInItsVersion(detail=f"{charger.identity} speaks {charger.ocpp_version}, without {action}")
    try:
        _, params = version.understood(action, payload)
    except CallError as error:
        raise ValidationFailed(f"The payload of {action} is not valid", detail=error.description) from error
    return params


def action_of(command: Command) -> str:
    """OCPP's name of it; our own word where none of the versions has one."""
    return _NAMES.get(command.action, command.action)


def payload_of(command: Command) -> dict[str, Any]:
    """What it asks for, under OCPP's names and without secrets."""
    outgoing = v16_commands.OUTGOING.get(command.action)
    return passwords.masked(outgoing.payload(command.params) if outgoing else command.params)
