"""Actions about what is free: reserve a connector, be told of a free one."""

import uuid

from django.contrib.auth.models import AbstractBaseUser

from chargers.errors import ConnectorBusy, ConnectorUnavailable, DomainError
from chargers.models import Command
from chargers.words import Words
from gateway import protocol, results
from gateway.db import in_db
from gateway.errors import ChargerTimeout
from gateway.outcomes import command_failure, end_of, end_of_first_tap, new_command_id
from sessions import driver_reservations, reservation_book, watching
from sessions.errors import ReservationNotSupported


async def reserve(user: AbstractBaseUser, request: protocol.Reserve) -> protocol.Reserved:
    command_id = new_command_id()
    async with results.expecting(command_id) as done:
        reservation = await in_db(
            driver_reservations.reserve,
            user=user,
            identity=request.charger_id,
            connector_number=request.connector_id,
            minutes=request.minutes,
            expires_at=request.expires_at,
            command_id=command_id,
            client_ref=request.client_ref,
        )
        if reservation.command_id == command_id:
            await end_of(command_id, done)
        elif reservation.command_id is not None:  # a second tap
            await end_of_first_tap(reservation.command_id)
    return await in_db(_reserved, reservation.pk)


def _reserved(reservation_id: int) -> protocol.Reserved:
    reservation = reservation_book.with_relations().get(pk=reservation_id)
    command = reservation.command
    if command is not None and reservation.state == reservation.State.REJECTED:
        raise _refusal_of(command, reservation.detail)
    if reservation.state == reservation.State.REQUESTED:
        raise ChargerTimeout(
            Words("The charger has not answered; it may keep the connector"),
            detail="The outcome is unknown. You will be told of it.",
        )
    return protocol.Reserved(reservation=reservation_book.state_of(reservation))


def _refusal_of(command: Command, reason: str) -> DomainError:
    """Why a charger keeps no connector (OCPP 1.6 §5.13)."""
    word = command.answer.get("status") if isinstance(command.answer, dict) else None
    if driver_reservations.is_unknown_to(command):
        return ReservationNotSupported(detail=command.error)
    if word == "Occupied":
        return ConnectorBusy(detail=reason)
    if word in ("Faulted", "Unavailable"):
        return ConnectorUnavailable(detail=reason)
    return command_failure(command)


async def cancel_reservation(
    user: AbstractBaseUser, request: protocol.CancelReservation
) -> protocol.Reserved:
    command_id = new_command_id()
    async with results.expecting(command_id) as done:
        cancelled = await in_db(
            driver_reservations.cancel,
            user=user,
            reservation_id=request.reservation_id,
            command_id=command_id,
        )
        if cancelled.command is not None:
            await end_of(command_id, done)
    return await in_db(_cancelled, request.reservation_id, command_id)


def _cancelled(reservation_id: int, command_id: uuid.UUID) -> protocol.Reserved:
    reservation = reservation_book.with_relations().get(pk=reservation_id)
    if reservation.state in reservation.OPEN:
        raise command_failure(Command.objects.get(pk=command_id))
    return protocol.Reserved(reservation=reservation_book.state_of(reservation))


async def get_reservations(
    user: AbstractBaseUser, request: protocol.GetReservations
) -> protocol.Reservations:
    states = await in_db(driver_reservations.open_states_of, user.pk)
    return protocol.Reservations(reservations=states[user.pk])


async def watch(user: AbstractBaseUser, request: protocol.Watch) -> protocol.Watching:
    return await in_db(_watching, user, request)


def _watching(user: AbstractBaseUser, request: protocol.Watch) -> protocol.Watching:
    watch, free = watching.watch(
        user=user,
        identity=request.charger_id,
        connector_number=request.connector_id,
        station_id=request.station_id,
    )
    return protocol.Watching(
        free=free is not None,
        charger_id=free.charger.identity if free else None,
        connector_id=free.number if free else None,
        watch=watching.state_of(watch) if watch else None,
    )


async def unwatch(user: AbstractBaseUser, request: protocol.Unwatch) -> protocol.Watches:
    await in_db(watching.unwatch, user=user, watch_id=request.watch_id)
    return await get_watches(user, protocol.GetWatches())


async def get_watches(user: AbstractBaseUser, request: protocol.GetWatches) -> protocol.Watches:
    return protocol.Watches(watches=await in_db(watching.states_of, user.pk))
