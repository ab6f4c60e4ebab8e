"""The end of a command that a caller waits for: when it is there, and what its failure is called."""

import uuid
from typing import Any

from django.conf import settings

from chargers.errors import ChargerOffline, ChargerUnreachable, DomainError
from chargers.models import Command
from chargers.words import Words
from gateway import results, tracing
from gateway.db import in_db
from gateway.errors import ChargerRejected, ChargerTimeout
from sessions import services


def new_command_id() -> uuid.UUID:
    """Known before the command is written, so that its end cannot be missed."""
    return tracing.live.command_id() if tracing.live else uuid.uuid4()


async def end_of_first_tap(command_id: uuid.UUID) -> None:
    """Wait for the end of a command that somebody else waits for already."""
    async with results.expecting(command_id) as done:
        if not await in_db(_is_finished, command_id):
            await end_of(command_id, done)


async def end_of(command_id: uuid.UUID, done: Any) -> None:
    """Wait until the command has ended, or its time is over; unsent by then, it is never sent."""
    if not await results.wait(done, settings.COMMAND_TIMEOUT_S):
        await in_db(services.abandon_command, command_id)


def _is_finished(command_id: uuid.UUID) -> bool:
    return Command.objects.get(pk=command_id).is_finished


def command_failure(command: Command) -> DomainError:
    """Why a command did not end as accepted."""
    if command.status == Command.Status.REJECTED:
        return ChargerRejected(detail=command.error or str(command.answer or ""))
    if command.error == ChargerUnreachable.code:
        return ChargerUnreachable()
    if command.error == ChargerOffline.code:
        return ChargerOffline(Words("The charger's connection was lost"))
    return ChargerTimeout()
