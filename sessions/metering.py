"""Meter values of running sessions: the hot path. Rows are only added; what a session shows live comes from them."""

from datetime import datetime
from typing import NamedTuple

from django.db import transaction

from chargers import bus
from chargers.events import envelopes_for, user_group
from sessions import ledger, meter_store, pricing, queries
from sessions.events import MeterValue, MeterValueUpdate
from sessions.models import ChargingSession
from sessions.pricing import Price
from sessions.readings import (
    Reading,
    duration_display,
    energy_delivered_wh,
    kwh,
    newest,
    seconds_to_full,
)


class Metered:
    """What a meter value's event needs of its session, read once and kept by the charger's socket.

    `session_id` None: values that belong to no session, such as those of the main meter.
    """

    __slots__ = (
        "charger_id",
        "connector_number",
        "first_soc",
        "first_soc_at",
        "identity",
        "is_running",
        "meter_start_wh",
        "price",
        "session_id",
        "started_at",
        "station",
        "transaction_id",
        "user_id",
    )

    def __init__(self, charger_id: int, connector_number: int, session: ChargingSession | None) -> None:
        self.charger_id = charger_id
        self.connector_number = connector_number
        self.session_id = session.pk if session else None
        self.is_running = session is not None and session.status in ChargingSession.RUNNING
        if session is None:
            return
        station = session.charger.station
        self.identity = session.charger.identity
        self.station = (station.pk, station.name, station.address or None) if station else (None, None, None)
        self.transaction_id = session.transaction_id
        self.user_id = session.user_id
        self.meter_start_wh = session.meter_start_wh
        self.started_at = session.started_at
        self.price: Price | None = session.price
        self.first_soc, self.first_soc_at = queries.first_soc(session)


class Metering(NamedTuple):
    """One message's readings and where they belong."""

    metered: Metered
    readings: list[Reading]


def metered(*, charger_id: int, connector_number: int, transaction_id: int | None) -> Metered:
    """Where meter values belong: by transaction, else by what runs on the connector.

    A transaction id we never gave (−1, 0, unknown) is treated as the open session's, which is flagged (E25);
    values of an ended one stay with it (E30); those of connector 0, the main meter's, belong to none (E37).
    """
    if connector_number == 0:
        return Metered(charger_id, 0, None)
    sessions = queries.with_relations(ChargingSession.objects.filter(charger_id=charger_id))
    if transaction_id is not None and transaction_id > 0:
        if session := sessions.filter(transaction_id=transaction_id).first():
            return Metered(charger_id, connector_number, session)
    session = sessions.filter(connector__number=connector_number, status__in=ChargingSession.RUNNING).first()
    if session is not None and transaction_id is not None:
        with transaction.atomic():
            ledger.locked_charger(charger_id)
            session.refresh_from_db(fields=["flags"])
            session.add_flag("reconciled")
            session.save(update_fields=["flags", "updated_at"])
    return Metered(charger_id, connector_number, session)


def record_readings(batch: list[Metering]) -> None:
    """Store many messages' readings, in one statement that commits itself; then their drivers hear of them."""
    meter_store.insert(
        [
            meter_store.row(
                session_id=m.session_id,
                charger_id=m.charger_id,
                connector_number=m.connector_number,
                reading=reading,
            )
            for m, readings in batch
            for reading in readings
        ]
    )
    bus.send_on_commit(
        [
            envelope
            for m, readings in batch
            if m.session_id is not None and m.is_running and m.user_id and readings
            for envelope in envelopes_for(tick(m, readings), [user_group(m.user_id)], tick=m.session_id)
        ]
    )


def tick(m: Metered, readings: list[Reading]) -> MeterValueUpdate:
    """The newest of one message, as the driver's apps see it."""
    reading = newest(readings)
    assert reading is not None and m.session_id is not None  # callers have at least one, of a session
    at = reading.measured_at
    if m.first_soc is None and reading.soc_percent is not None:
        m.first_soc, m.first_soc_at = reading.soc_percent, at
    energy_wh = energy_delivered_wh(meter_start_wh=m.meter_start_wh, register_wh=reading.energy_wh)
    seconds = _seconds(m.started_at, at)
    remaining = seconds_to_full(
        first_soc=m.first_soc, first_at=m.first_soc_at, soc=reading.soc_percent, at=at
    )
    power = None if reading.power_w is None else reading.power_w / 1000
    station_id, station_name, station_address = m.station
    energy = kwh(energy_wh)
    return MeterValueUpdate(
        session_id=m.session_id,
        transaction_id=m.transaction_id,
        data=MeterValue(
            charger_id=m.identity,
            connector_id=m.connector_number,
            station_id=station_id,
            station_name=station_name,
            station_address=station_address,
            energy_delivered=energy,
            energy_consumed=energy,
            power=power,
            output_power=power,
            voltage=reading.voltage_v,
            current=reading.current_a,
            meter_value=reading.energy_wh,
            charge_percentage=reading.soc_percent,
            time_remaining=remaining,
            time_remaining_display=duration_display(remaining),
            charging_duration=seconds,
            charging_duration_display=duration_display(seconds) or "0 min",
            cost=None
            if energy_wh is None
            else pricing.cost(m.price, energy_wh=energy_wh, duration_s=seconds),
            cost_currency=m.price.currency if m.price else None,
            timestamp=at,
        ),
    )


def _seconds(started_at: datetime | None, at: datetime) -> int:
    return max(0, round((at - started_at).total_seconds())) if started_at else 0
