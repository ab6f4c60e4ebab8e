"""Tells the driver what became of a session. Called inside the transaction that made it so; sent on commit."""

from chargers.events import Notification, charger_group, publish, user_group
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
from sessions.models import ChargingSession
from sessions.queries import duration_s, open_sessions_of, state_of
from sessions.readings import duration_display, kwh


def _to(session: ChargingSession) -> list[str]:
    return [user_group(session.user_id)] if session.user_id else []


def state(session: ChargingSession) -> None:
    """The active session appeared, changed or ended; where the user has another, that one is active then.

    `watch` tells the user's sockets which chargers to hear of: those that the user charges at.
    """
    if session.user_id is None:
        return
    open_ones = list(open_sessions_of(session.user_id))
    active = session if session.is_open else next(iter(open_ones), None)
    publish(
        ActiveSessionUpdate(has_active_session=active is not None, data=state_of(active) if active else None),
        to=_to(session),
        watch=[charger_group(each.charger_id) for each in open_ones],
    )


def started(session: ChargingSession) -> None:
    assert session.started_at is not None  # a transaction has begun
    publish(
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
        to=_to(session),
    )
    _notify(session, "Charging started", f"Charging has started at {session.charger.identity}.")


def ended(session: ChargingSession, *, late: bool) -> None:
    """Stopped and completed, with the totals. `late`: it is news from the past, so no notification."""
    assert session.stopped_at is not None
    connector_id = session.connector.number if session.connector else None
    publish(
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
        to=_to(session),
    )
    completed(session)
    if not late:
        seconds = duration_s(session)
        time = duration_display(seconds) if seconds >= 60 else "under a minute"
        energy = f"{kwh(session.energy_wh):.2f} kWh" if session.energy_wh is not None else "unknown energy"
        _notify(
            session,
            "Charging stopped",
            f"{energy} in {time} at {session.charger.identity}.",
        )


def completed(session: ChargingSession) -> None:
    """The final totals; again where they changed."""
    publish(
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
        to=_to(session),
    )


def failed(session: ChargingSession) -> None:
    publish(
        SessionErrorUpdate(
            session_id=session.pk,
            transaction_id=session.transaction_id,
            data=SessionError(code=session.error_code, message=session.error_message),
        ),
        to=_to(session),
    )
    _notify(session, "Charging did not start", session.error_message)


def _notify(session: ChargingSession, title: str, message: str) -> None:
    data = {"session_id": session.pk, "charger_id": session.charger.identity}
    publish(Notification(title=title, message=message, data=data), to=_to(session))
