"""From an operator's wish to a command on its way, or to its end for those who wait for it."""

import uuid
from typing import Annotated, Any

import msgspec
import orjson
from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.auth.models import User

from chargers.commands import may_send
from chargers.errors import NotFound
from chargers.models import Charger, Command
from chargers.words import Words
from gateway import outcomes, protocol, results
from gateway.db import in_db
from gateway.errors import Forbidden, InvalidMessage, ValidationFailed
from gateway.operations import words
from gateway.operations.rows import commands
from sessions import client_refs, operations


class CommandWish(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Something to ask of a charger, in OCPP's own words.

    `wait`: so many seconds for its end, at most the command time-out; `true` is all of that, without it there is no
    waiting. `message_id`: your own id for the command, which becomes the OCPP message id; sent again with the same
    content it is the same command, and the charger is not asked twice. `client_ref`, or the header `Idempotency-Key`:
    the same by a name that is no UUID, for a day.

    Ids that a central system gives (`reservationId`, `chargingProfileId`, `requestId`, `listVersion`) may be replaced
    by ours; the row shows what is sent.
    """

    action: Annotated[str, msgspec.Meta(description="OCPP's name", extra_json_schema={"enum": words.ACTIONS})]
    payload: dict[str, Any] = {}
    wait: bool | Annotated[float, msgspec.Meta(ge=0)] | None = None
    message_id: uuid.UUID | None = None
    client_ref: protocol.ClientRef | None = None

    @property
    def wait_s(self) -> float:
        if self.wait is True:
            return settings.COMMAND_TIMEOUT_S
        return min(self.wait or 0, settings.COMMAND_TIMEOUT_S)


def wish_from(body: bytes) -> CommandWish:
    """Raises InvalidMessage, ValidationFailed."""
    try:
        content = orjson.loads(
            body
        )  # numbers as the schemas and the socket take them: none of more than 64 bits
    except orjson.JSONDecodeError as error:
        raise InvalidMessage(detail=f"Not JSON: {error}") from error
    try:
        wish = msgspec.convert(content, CommandWish)
    except msgspec.ValidationError as error:
        raise ValidationFailed(detail=str(error)) from error
    if place := _nul_in(wish.payload):
        raise ValidationFailed("No text may hold NUL", detail=place)  # PostgreSQL could not store it
    return wish


def _nul_in(content: Any, place: str = "payload") -> str | None:
    """Where a NUL stands, names included."""
    if isinstance(content, str):
        return place if "\0" in content else None
    pairs = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    found = (place if "\0" in str(name) else _nul_in(value, f"{place}/{name}") for name, value in pairs)
    return next(filter(None, found), None)


def send(user: User, identity: str, wish: CommandWish) -> Command:
    """The command, as it is when the waiting is over. Raises DomainError."""
    word = words.word_of(wish.action)
    check_permission(user, word)
    return async_to_sync(_send)(user, identity, word, wish)


def check_permission(user: User, word: str) -> None:
    """Raises Forbidden, naming what is missing."""
    if not may_send(user, word):
        raise Forbidden(
            "You may not send this command",
            detail=f"The permission chargers.send_{word} is missing (or chargers.send_command, for all of them)",
        )


async def _send(user: User, identity: str, word: str, wish: CommandWish) -> Command:
    command_id = wish.message_id or outcomes.new_command_id()
    if not wish.wait_s:
        command = await in_db(_perform, user, identity, word, wish, command_id)
        return await in_db(commands().get, pk=command.pk)
    async with results.expecting(command_id) as done:  # before it is sent, so that its end cannot be missed
        command = await in_db(_perform, user, identity, word, wish, command_id)
        if command.pk != command_id:
            return await _repeated(command.pk, wish)
        if command.is_finished:
            pass  # asked before, and answered
        elif wish.wait_s < settings.COMMAND_TIMEOUT_S:
            await results.wait(done, wish.wait_s)
        else:
            await outcomes.end_of(command_id, done)
    return await in_db(commands().get, pk=command_id)


async def _repeated(command_id: uuid.UUID, wish: CommandWish) -> Command:
    """What the same `client_ref` began before, when it has ended or the waiting is over."""
    async with results.expecting(command_id) as done:
        command = await in_db(commands().get, pk=command_id)
        if not command.is_finished:
            await results.wait(done, wish.wait_s)
    return await in_db(commands().get, pk=command_id)


def _perform(user: User, identity: str, word: str, wish: CommandWish, command_id: uuid.UUID) -> Command:
    charger = Charger.objects.filter(identity=identity).first()
    if charger is None:
        raise NotFound(Words("There is no charger %(charger)s", charger=identity))

    def act() -> client_refs.Requested:
        command = operations.perform_once(
            charger=charger,
            action=word,
            params=words.params_of(charger, wish.action, wish.payload),
            requested_by=user,
            command_id=command_id,
        )
        return client_refs.Requested(None, command)

    named = ["command", identity, word, wish.payload]
    _, command = client_refs.once(user=user, ref=wish.client_ref, wish=named, act=act)
    assert command is not None  # it is what was asked for
    return command
