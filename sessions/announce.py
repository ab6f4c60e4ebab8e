"""Tells the driver what became of a session. Called inside the transaction that made it so; sent on commit."""

from chargers.events import Notification, UserEvent, charger_group
from chargers.words import Words
from sessions.events import (
    ActiveSessionUpdate,
    SessionCompleted,
    SessionCompletedUpdate,
    SessionError,
    SessionErrorUpdate,
    SessionStarted,
    SessionStartedUpdate,
    SessionStopped,
    SessionStoppedUpdate,
)
from sessions.feed import tell
from sessions.models import ChargingSession
from sessions.queries import duration_s, open_sessions_of, state_of
from sessions.readings import kwh, span


def _tell(session: ChargingSession, event: UserEvent) -> None:
    if session.user_id:
        tell(session.user_id, event)


def state(session: ChargingSession) -> None:
    """The active session appeared, changed or ended; where the user has another, that one is active then.

    `watch` tells the user's sockets which chargers to hear of: those that the user charges at.
    """
    if session.user_id is None:
        return
    open_ones = list(open_sessions_of(session.user_id))
    active = session if session.is_open else next(iter(open_ones), None)
    tell(
        session.user_id,
        ActiveSessionUpdate(has_active_session=active is not None, data=state_of(active) if active else None),
        watch=[charger_group(each.charger_id) for each in open_ones],
    )


def started(session: ChargingSession) -> None:
    assert session.started_at is not None  # a transaction has begun
    _tell(
        session,
        SessionStartedUpdate(
            session_id=session.pk,
            transaction_id=session.transaction_id,
            data=SessionStarted(
                charger_id=session.charger.identity,
                connector_id=session.connector.number if session.connector else None,
                id_tag=session.id_tag,
                meter_start=session.meter_start_wh,
                start_time=session.started_at,
            ),
        ),
    )
    message = Words("Charging has started at %(charger)s.", charger=session.charger.identity)
    _notify(session, Words("Charging started"), message)


def ended(session: ChargingSession, *, late: bool) -> None:
    """Stopped and completed, with the totals. `late`: it is news from the past, so no notification."""
    assert session.stopped_at is not None
    connector_id = session.connector.number if session.connector else None
    _tell(
        session,
        SessionStoppedUpdate(
            session_id=session.pk,
            transaction_id=session.transaction_id,
            data=SessionStopped(
                charger_id=session.charger.identity,
                connector_id=connector_id,
                meter_stop=session.meter_stop_wh,
                energy_delivered=kwh(session.energy_wh),
                duration=duration_s(session),
                stop_time=session.stopped_at,
                stop_reason=session.stop_reason or None,
            ),
        ),
    )
    completed(session)
    if not late:
        values = {
            "energy": _energy(session),
            "time": _time(duration_s(session)),
            "charger": session.charger.identity,
        }
        _notify(session, Words("Charging stopped"), Words("%(energy)s in %(time)s at %(charger)s.", **values))


def _energy(session: ChargingSession) -> Words:
    energy = kwh(session.energy_wh)
    return Words("unknown energy") if energy is None else Words("%(energy)s kWh", energy=energy)


def _time(seconds: int) -> Words:
    return span(seconds) if seconds >= 60 else Words("under a minute")


def completed(session: ChargingSession) -> None:
    """The final totals; again where they changed."""
    _tell(
        session,
        SessionCompletedUpdate(
            session_id=session.pk,
            transaction_id=session.transaction_id,
            data=SessionCompleted(
                charger_id=session.charger.identity,
                connector_id=session.connector.number if session.connector else None,
                meter_start=session.meter_start_wh,
                meter_stop=session.meter_stop_wh,
                energy_delivered=kwh(session.energy_wh),
                duration=duration_s(session),
                start_time=session.started_at,
                stop_time=session.stopped_at,
                stop_reason=session.stop_reason or None,
                cost=session.cost,
                cost_currency=session.currency or None,
            ),
        ),
    )


def failed(session: ChargingSession) -> None:
    _tell(
        session,
        SessionErrorUpdate(
            session_id=session.pk,
            transaction_id=session.transaction_id,
            data=SessionError(code=session.error_code, message=Words(session.error_message)),
        ),
    )
    _notify(session, Words("Charging did not start"), Words(session.error_message))


def _notify(session: ChargingSession, title: Words, message: Words) -> None:
    data = {"session_id": session.pk, "charger_id": session.charger.identity}
    _tell(session, Notification(title=title, message=message, data=data))
