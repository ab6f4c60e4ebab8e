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
from sessions.queries import duration_s, state_of
from sessions.readings import duration_display, kwh


def _to(session: ChargingSession) -> list[str]:
    return [user_group(session.user_id)] if session.user_id else []


def state(session: ChargingSession) -> None:
    """The active session appeared, changed or ended. The user's sockets also begin or cease to hear its charger."""
    hint = "watch" if session.is_open else "unwatch"
    publish(
        ActiveSessionUpdate(
            has_active_session=session.is_open, data=state_of(session) if session.is_open else None
        ),
        to=_to(session),
        **{hint: charger_group(session.charger_id)},
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
    publish(
        SessionCompletedUpdate(
            session_id=session.pk,
            transaction_id=session.transaction_id,
            data=SessionCompleted(
                charger_id=session.charger.identity,
                connector_id=connector_id,
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
    if not late:
        energy = f"{kwh(session.energy_wh):.2f} kWh" if session.energy_wh is not None else "unknown energy"
        _notify(
            session,
            "Charging stopped",
            f"{energy} in {duration_display(duration_s(session))} at {session.charger.identity}.",
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
