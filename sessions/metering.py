"""Meter values of running sessions: the hot path. Rows are only added; what a session shows live comes from them."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

from django.db import transaction

from chargers import bus
from chargers.events import message_of, user_group
from sessions import accounts, ledger, matching, meter_store, oddities, pricing, queries
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

    `session_id` None: values that belong to no session, such as those of the main meter. `good_wh` is the last
    register that can be right: what is live never falls behind it, and later ones are judged by it (E38).
    """

    __slots__ = (
        "charger_id",
        "connector_number",
        "earliest_at",
        "first_soc",
        "first_soc_at",
        "good_at",
        "good_wh",
        "identity",
        "is_running",
        "meter_start_wh",
        "newest_at",
        "price",
        "session_id",
        "slack_wh",
        "started_at",
        "station",
        "transaction_id",
        "user_id",
        "wh_per_s",
    )

    def __init__(self, charger_id: int, connector_number: int, session: ChargingSession | None) -> None:
        self.charger_id = charger_id
        self.connector_number = connector_number
        self.session_id = session.pk if session else None
        self.is_running = session is not None and session.status in ChargingSession.RUNNING
        self.transaction_id = session.transaction_id if session else None
        self.earliest_at = matching.earliest_at(session) if session else None
        if session is None:
            return
        station = session.charger.station
        self.identity = session.charger.identity
        self.station = (station.pk, station.name, station.address or None) if station else (None, None, None)
        self.user_id = session.user_id
        self.meter_start_wh = session.meter_start_wh
        self.started_at = session.started_at
        self.price: Price | None = session.price
        self.first_soc, self.first_soc_at = queries.first_soc(session)
        self.newest_at = session.started_at
        self.good_wh, self.good_at = queries.last_good_register(session)
        limit = accounts.limit()
        self.wh_per_s = limit.power_w / 3600
        self.slack_wh = self.wh_per_s * limit.slack.total_seconds()

    @property
    def has_ended(self) -> bool:
        return self.session_id is not None and not self.is_running

    def is_for(self, transaction_id: int | None, readings: Sequence[Reading]) -> bool:
        """Whether it answers for one more message of a number that it was found for. Under a number that is not its own
        only while it is open, and not for values from before it began: those are looked for anew."""
        if transaction_id == self.transaction_id:  # nearly always
            return True
        if self.has_ended:
            return False
        earliest_at = self.earliest_at
        return earliest_at is None or any(each.measured_at >= earliest_at for each in readings)

    def is_same(self, other: "Metered") -> bool:
        """Whether both are the same session at the same connector."""
        mine = self.session_id, self.connector_number
        return self.session_id is not None and mine == (other.session_id, other.connector_number)

    def is_suspect(self, wh: int, at: datetime) -> bool:
        """Whether a register at that time cannot be right, by the last one that can; if it is, it is the last one now.

        As sessions.totals.Limit has it, but for roundings backwards: what the driver sees must not fall by one.
        """
        good_wh, good_at = self.good_wh, self.good_at
        if good_wh is None or good_at is None:
            is_good = True
        elif at < good_at:  # told out of order
            return wh > good_wh or (self.meter_start_wh is not None and wh < self.meter_start_wh)
        else:
            rise = wh - good_wh
            is_good = 0 <= rise <= self.slack_wh  # nearly always
            if rise > self.slack_wh:
                is_good = rise <= self.slack_wh + self.wh_per_s * _seconds(good_at, at)
        if is_good:
            self.good_wh, self.good_at = wh, at
        return not is_good

    def newest_of(self, readings: list[Reading]) -> Reading:
        """The newest of one message, which is looked back to from now on."""
        reading = newest(readings)
        assert reading is not None  # callers have at least one
        at = reading.measured_at
        if self.first_soc is None and reading.soc_percent is not None:
            self.first_soc, self.first_soc_at = reading.soc_percent, at
        if self.newest_at is None or at > self.newest_at:
            self.newest_at = at
        return reading


class Metering(NamedTuple):
    """One message's readings and where they belong."""

    metered: Metered
    readings: list[Reading]


def metered(
    *,
    charger_id: int,
    connector_number: int,
    transaction_id: int | None,
    readings: Sequence[Reading] = (),
    frame: str = "",
) -> Metered:
    """Where meter values belong: by transaction, else by what runs on the connector, or ran when they were measured.

    A transaction id we never gave (−1, 0, unknown) is treated as that session's, which is flagged (E25);
    values of an ended one stay with it (E30); those of connector 0, the main meter's, belong to none (E37).
    """
    if connector_number == 0:
        return Metered(charger_id, 0, None)
    sessions = queries.with_relations(ChargingSession.objects.filter(charger_id=charger_id))
    if transaction_id is not None and transaction_id > 0:
        if session := sessions.filter(transaction_id=transaction_id).first():
            return Metered(charger_id, connector_number, session)
    session = sessions.filter(connector__number=connector_number, status__in=ChargingSession.RUNNING).first()
    which = "open"
    if session is not None and readings:
        measured_at = max(each.measured_at for each in readings)
        if before := matching.session_before(session, measured_at):
            session, which = before, "that ran then"
    if session is not None and transaction_id is not None:
        with transaction.atomic():
            ledger.locked_charger(charger_id)
            session.refresh_from_db(fields=["flags", "review"])
            whose = f"those of the one {which} on its connector"
            told = f"Meter values of transaction {transaction_id} were taken for {whose}"
            if oddities.note(session, "reconciled", told, frame):
                session.save(update_fields=["flags", "review", "updated_at"])
    return Metered(charger_id, connector_number, session)


def record_readings(batch: list[Metering]) -> None:
    """Store many messages' readings, in one statement that commits itself; then their drivers hear of them.

    A register that cannot be right is stored as suspect. Of a session that has ended (E30) ledger.recount_ended is to
    hear besides: not here, where everybody's values wait.
    """
    meter_store.insert(
        [
            meter_store.row(
                session_id=m.session_id,
                charger_id=m.charger_id,
                connector_number=m.connector_number,
                reading=reading,
                is_suspect=reading.energy_wh is not None
                and m.session_id is not None
                and m.is_suspect(reading.energy_wh, reading.measured_at),
            )
            for m, readings in batch
            for reading in readings
        ]
    )
    bus.send_on_commit(
        [
            bus.Draft(user_group(m.user_id), partial(_told, m, m.newest_of(readings), m.good_wh, m.newest_at))
            for m, readings in batch
            if m.session_id is not None and m.is_running and m.user_id and readings
        ]
    )


def _told(m: Metered, reading: Reading, good_wh: int | None, newest_at: datetime | None) -> bus.Message:
    return message_of(tick(m, reading, good_wh=good_wh, newest_at=newest_at), tick=m.session_id)


def tick(
    m: Metered, reading: Reading, *, good_wh: int | None, newest_at: datetime | None
) -> MeterValueUpdate:
    """The newest of one message, as the driver's apps see it, with the last good register and the newest time then."""
    assert m.session_id is not None  # callers have a session's
    at = reading.measured_at
    # Of a register that cannot be right, or came out of order, the last good one.
    register_wh = None if reading.energy_wh is None else good_wh
    energy_wh = energy_delivered_wh(meter_start_wh=m.meter_start_wh, register_wh=register_wh)
    seconds = _seconds(m.started_at, newest_at or at)
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
            meter_value=register_wh,
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
