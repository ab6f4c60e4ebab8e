"""What an app can do, one function per action; the socket and its REST twins both call `perform`."""

import uuid
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, TypeVar

import msgspec
from django.contrib.auth.models import AbstractBaseUser

from chargers import queries as charger_queries
from chargers.cells import Box
from chargers.commands import REMOTE_STOP
from chargers.errors import ChargerOffline, ChargerUnreachable, DomainError, NotFound
from chargers.events import utcnow
from chargers.models import Charger, Command, Station
from chargers.words import Words
from gateway import bookings, limits, protocol, results, tracing
from gateway.counters import Timed
from gateway.db import in_db, is_overloaded
from gateway.errors import (
    HTTP_STATUS,
    ChargerRejected,
    ChargerTimeout,
    InvalidMessage,
    Unavailable,
    UnknownAction,
    ValidationFailed,
    domain_error,
)
from gateway.outcomes import command_failure, end_of, end_of_first_tap, new_command_id
from gateway.together import together
from sessions import history, queries, receipts, services
from sessions.events import SessionState
from sessions.models import ChargingSession

Answer = TypeVar("Answer", bound=msgspec.Struct)


async def perform(user: AbstractBaseUser, action: str, data: msgspec.Raw) -> msgspec.Struct:
    """Decode, act, and return the answer's `data`. Raises DomainError for everything a client can be told."""
    return await watched(action, _performed(user, action, data))


async def watched(action: str, work: Awaitable[Answer]) -> Answer:
    """An action's work, counted, timed, and traced."""
    begun, outcome = perf_counter(), "internal_error"
    if tracing.live:
        work = tracing.live.action(action, work)
    try:
        answer = await work
        outcome = "ok"
        return answer
    except DomainError as error:
        outcome = error.code
        raise
    finally:
        tally.add(perf_counter() - begun, action, outcome)


async def _performed(user: AbstractBaseUser, action: str, data: msgspec.Raw) -> msgspec.Struct:
    if is_overloaded():
        raise Unavailable
    function = _FUNCTIONS.get(action)
    if function is None:
        raise UnknownAction(Words("Unknown action: %(action)s", action=action[:80]))
    limits.check_action(user, action)
    try:
        request = protocol.decode_data(action, data)
    except msgspec.ValidationError as error:
        sentence = Words("The data of %(action)s is not valid", action=action)
        raise ValidationFailed(sentence, detail=str(error)) from error
    except msgspec.DecodeError as error:
        raise InvalidMessage(detail=str(error)) from error
    try:
        return await function(user, request)
    except Exception as error:
        if (ours := domain_error(error)) is None or ours is error:
            raise
        raise ours from error


# --- start and stop ---


async def start_charging(user: AbstractBaseUser, request: protocol.StartCharging) -> protocol.Started:
    command_id = new_command_id()
    async with results.expecting(command_id) as done:
        session, command = await in_db(
            services.request_start,
            user=user,
            identity=request.charger_id,
            connector_number=request.connector_id,
            command_id=command_id,
            client_ref=request.client_ref,
        )
        if (
            command is not None and command.pk != command_id
        ):  # a second tap: the first one's answer is ours too
            await end_of_first_tap(command.pk)
        else:
            await end_of(command_id, done)
    return await in_db(_started, session.pk)


def _started(session_id: int) -> protocol.Started:
    session = _load(session_id)
    command = session.start_command
    if session.status == ChargingSession.Status.FAILED:
        raise _failure_of(session)
    if session.transaction_id is None and (command is None or command.status != Command.Status.ACCEPTED):
        raise ChargerTimeout(
            Words("The charger has not answered; charging may still begin"),
            detail="The outcome is unknown. You will be told if it begins, or that it did not.",
        )
    return protocol.Started(
        session_id=session.pk,
        charger_id=session.charger.identity,
        connector_id=session.connector.number if session.connector else None,
        message_id=str(command.pk) if command else None,
        transaction_id=session.transaction_id,
        status=session.status,
        message=_BEGUN if session.transaction_id else _ACCEPTED,
    )


_BEGUN = Words("Charging has begun")
_ACCEPTED = Words("The charger accepted; plug in if you have not")


def _load(session_id: int) -> ChargingSession:
    sessions = ChargingSession.objects.select_related("start_command", "stop_command")
    return queries.with_relations(sessions).get(pk=session_id)


def _failure_of(session: ChargingSession) -> DomainError:
    kinds: dict[str, type[DomainError]] = {
        kind.code: kind for kind in (ChargerRejected, ChargerOffline, ChargerUnreachable)
    }
    kind = kinds.get(session.error_code)
    if kind is not None:
        return kind(session.error_message)
    error = ChargerTimeout(session.error_message)
    error.code = session.error_code if session.error_code in protocol.ERROR_CODES else "charger_timeout"
    return error


async def stop_charging(user: AbstractBaseUser, request: protocol.StopCharging) -> protocol.Stopped:
    command_id = new_command_id()
    async with results.expecting(command_id) as done:
        session, command = await in_db(
            services.request_stop,
            user=user,
            identity=request.charger_id,
            command_id=command_id,
            client_ref=request.client_ref,
        )
        if command is not None and command.pk == command_id:
            await end_of(command_id, done)
        elif command is not None and command.action == REMOTE_STOP:
            await end_of_first_tap(command.pk)
    return await in_db(_stopped, session.pk, command.pk if command else None)


def _stopped(session_id: int, command_id: uuid.UUID | None) -> protocol.Stopped:
    session = _load(session_id)
    command = session.stop_command
    failed = command and command.pk == command_id and command.status != Command.Status.ACCEPTED
    if command and failed and session.is_open:
        raise command_failure(command)
    state: SessionState = queries.state_of(session)
    return protocol.Stopped(
        session_id=state.session_id,
        charger_id=state.charger_id,
        connector_id=state.connector_id,
        message_id=str(command_id) if command_id else None,
        transaction_id=state.transaction_id,
        status=state.status,
        energy_delivered=state.energy_delivered,
        duration=state.duration,
        cost=state.cost,
        cost_currency=state.cost_currency,
        message=_STOP_MESSAGES[state.status],
    )


_STOP_MESSAGES = {
    "stopping": Words("The charger is ending the session"),
    "active": Words("The charger is ending the session"),
    "pending": Words("The start was called off"),
    "completed": Words("Charging has ended"),
    "failed": Words("The start was called off"),
}

# --- looking ---


async def get_charger_status(
    user: AbstractBaseUser, request: protocol.GetChargerStatus
) -> protocol.ChargerStatus:
    return await in_db(_charger_status, request.charger_id)


def _charger_status(identity: str) -> protocol.ChargerStatus:
    charger = charger_queries.visible().filter(identity=identity).first()
    if charger is None:
        raise NotFound(Words("There is no charger %(charger)s", charger=identity))
    return protocol.ChargerStatus(**msgspec.structs.asdict(charger_state(charger)))


def charger_state(charger: Charger) -> protocol.ChargerState:
    """A charger with `station` and `connectors` loaded, as apps see it."""
    data = charger_queries.availability(charger)
    station = charger.station
    return protocol.ChargerState(
        charger_id=charger.identity,
        status=data.station_status,
        status_at=data.status_at,
        connected=data.connected,
        last_seen=data.last_seen,
        connectors=data.connector_status,
        total_connectors=data.total_connectors,
        available_connectors=data.available_connectors,
        display=data.display,
        is_under_maintenance=data.is_under_maintenance,
        station=_station_state(station) if station else None,
        vendor=charger.vendor or None,
        model=charger.model or None,
    )


def _station_state(station: Station) -> protocol.StationState:
    return protocol.StationState(
        station_id=station.pk,
        name=station.name,
        location=charger_queries.location(station),
        is_under_maintenance=station.is_under_maintenance,
        maintenance_reason=station.maintenance_reason or None,
    )


async def get_active_session(
    user: AbstractBaseUser, request: protocol.GetActiveSession
) -> protocol.ActiveSession:
    state, _ = await together(queries.situations_of, user.pk)
    return protocol.ActiveSession(session=state)


async def list_chargers(user: AbstractBaseUser, request: protocol.ListChargers) -> protocol.Chargers:
    return await in_db(_list_chargers, request)


def box_of(area: protocol.BoundingBox) -> Box:
    """Raises ValidationFailed."""
    if area.south > area.north:
        raise ValidationFailed(
            Words("The area's south is north of its north"), detail="bbox.south > bbox.north"
        )
    return Box(area.south, area.west, area.north, area.east)


def _list_chargers(request: protocol.ListChargers) -> protocol.Chargers:
    near = request.near
    chargers, next_cursor = charger_queries.page(
        status=request.status,
        station_id=request.station_id,
        near=(near.latitude, near.longitude, near.radius_km) if near else None,
        box=box_of(request.bbox) if request.bbox else None,
        search=request.search or "",
        limit=request.limit,
        after=request.cursor or "",
    )
    return protocol.Chargers(
        chargers=[charger_state(charger) for charger in chargers], next_cursor=next_cursor
    )


async def list_sessions(user: AbstractBaseUser, request: protocol.ListSessions) -> protocol.Sessions:
    return await in_db(_list_sessions, user.pk, request)


def _list_sessions(user_id: int, request: protocol.ListSessions) -> protocol.Sessions:
    wish = history.Wish(request.status, request.charger_id, request.started_after, request.started_before)
    sessions, next_cursor = history.page(user_id, wish, limit=request.limit, cursor=request.cursor)
    states = queries.states_of(sessions)
    return protocol.Sessions(sessions=[states[each.pk] for each in sessions], next_cursor=next_cursor)


async def get_session(user: AbstractBaseUser, request: protocol.GetSession) -> protocol.SessionDetail:
    return await in_db(_session_detail, user.pk, request)


def _session_detail(user_id: int, request: protocol.GetSession) -> protocol.SessionDetail:
    session = history.session_of(user_id, request.session_id)
    points = history.chart(session, points=request.points) if request.points else None
    return protocol.SessionDetail(
        session=queries.state_of(session), has_receipt=receipts.is_due(session), points=points
    )


async def ping(user: AbstractBaseUser, request: protocol.Ping) -> protocol.Pong:
    return protocol.Pong(server_time=utcnow())


_FUNCTIONS: dict[str, Callable[[AbstractBaseUser, Any], Awaitable[msgspec.Struct]]] = {
    "start_charging": start_charging,
    "stop_charging": stop_charging,
    "get_charger_status": get_charger_status,
    "get_active_session": get_active_session,
    "list_chargers": list_chargers,
    "watch": bookings.watch,
    "unwatch": bookings.unwatch,
    "get_watches": bookings.get_watches,
    "reserve": bookings.reserve,
    "cancel_reservation": bookings.cancel_reservation,
    "get_reservations": bookings.get_reservations,
    "list_sessions": list_sessions,
    "get_session": get_session,
    "ping": ping,
}

SUBSCRIPTIONS = frozenset({"subscribe", "unsubscribe", "refresh_token"})
"""Actions of the socket alone."""

tally = Timed(frozenset(_FUNCTIONS) | SUBSCRIPTIONS, frozenset(HTTP_STATUS) | {"ok"})
"""By action and outcome: `ok`, or the code of the error."""
