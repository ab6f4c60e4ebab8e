"""What a driver gets for a charge: who delivered what to whom, at which prices, with which tax.

A receipt is made of the ledger whenever it is asked for, so it always has the figures of now. Its number is the
session's and stays; not all numbers have a receipt, since starts that failed have one too. Figures that were changed
after the end (a correction, a late stop) make the next revision.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from django.conf import settings
from django.db.models import Max

from sessions import accounts, pricing, queries
from sessions.errors import NoReceipt, SessionNotEnded
from sessions.models import ChargingSession, Decision
from sessions.pricing import StepKind

_CHANGES = (Decision.Verdict.CORRECTED, Decision.Verdict.VOIDED)


class Operator(msgspec.Struct, kw_only=True, frozen=True):
    """Who sells; as the installation has it."""

    name: str
    address: str
    tax_id: str


class Customer(msgspec.Struct, kw_only=True, frozen=True):
    """Who charged; of a deleted account the number that is left of it."""

    name: str
    email: str | None


class Line(msgspec.Struct, kw_only=True, frozen=True):
    """A step of the tariff, or (without a quantity) what rounding or a person's decision adds or takes off.

    `quantity` is in kWh, minutes (to four digits; the amount is of the exact seconds) or sessions.
    """

    kind: StepKind
    quantity: Decimal | None
    unit: str | None
    unit_price: Decimal | None
    amount: Decimal


class Receipt(msgspec.Struct, kw_only=True, frozen=True):
    """The lines add up to `gross`. Prices include the tax; without a rate `net` and `tax` are null.

    `issued_at`: when it came to these figures, at the end or by the last change. `…_local` is in `time_zone`.
    """

    number: str
    revision: int
    corrected: bool
    issued_at: datetime
    session_id: int
    operator: Operator
    customer: Customer | None
    charger_id: str
    connector_id: int | None
    station_name: str | None
    station_address: str | None
    started_at: datetime | None
    stopped_at: datetime
    time_zone: str
    started_at_local: str | None
    stopped_at_local: str
    duration_s: int
    energy_kwh: Decimal | None
    meter_start_kwh: Decimal | None
    meter_stop_kwh: Decimal | None
    lines: list[Line]
    currency: str
    tax_percent: Decimal | None
    net: Decimal | None
    tax: Decimal | None
    gross: Decimal


def is_due(session: ChargingSession) -> bool:
    """Whether there is a receipt for it."""
    return session.status == ChargingSession.Status.COMPLETED and session.cost is not None


def receipt_of(session: ChargingSession) -> Receipt:
    """Of an ended session with a cost. Raises SessionNotEnded, NoReceipt."""
    if session.is_open:
        raise SessionNotEnded
    price, cost, stopped_at = session.price, session.cost, session.stopped_at
    if not is_due(session) or price is None or cost is None or stopped_at is None:
        raise NoReceipt
    station, tax_rate = session.charger.station, session.tax_percent
    seconds = queries.duration_s(session)
    gross = _money(cost, price.currency)
    is_void = accounts.verdict_on(session).is_void
    steps = pricing.steps(
        price, energy_wh=session.energy_wh, duration_s=seconds, total=gross, is_void=is_void
    )
    tax = pricing.tax_in(gross, percent=tax_rate, currency=price.currency)
    changes, changed_at = _changes(session)
    zone = ZoneInfo(settings.TIME_ZONE)
    return Receipt(
        number=f"{session.pk:08d}",
        revision=1 + changes,
        corrected=changes > 0,
        issued_at=changed_at or stopped_at,
        session_id=session.pk,
        operator=Operator(
            name=settings.OPERATOR_NAME,
            address=settings.OPERATOR_ADDRESS,
            tax_id=settings.OPERATOR_TAX_ID,
        ),
        customer=_customer(session.user),
        charger_id=session.charger.identity,
        connector_id=session.connector.number if session.connector else None,
        station_name=station.name if station else None,
        station_address=(station.address or None) if station else None,
        started_at=session.started_at,
        stopped_at=stopped_at,
        time_zone=settings.TIME_ZONE,
        started_at_local=_local(session.started_at, zone) if session.started_at else None,
        stopped_at_local=_local(stopped_at, zone),
        duration_s=seconds,
        energy_kwh=_kwh(session.energy_wh),
        meter_start_kwh=_kwh(session.meter_start_wh),
        meter_stop_kwh=_kwh(session.meter_stop_wh),
        lines=[
            Line(
                kind=step.kind,
                quantity=step.quantity,
                unit=step.unit,
                unit_price=step.unit_price,
                amount=step.amount,
            )
            for step in steps
        ],
        currency=price.currency,
        tax_percent=tax.percent,
        net=tax.net,
        tax=tax.tax,
        gross=tax.gross,
    )


def _customer(user: Any) -> Customer | None:
    if user is None:
        return None
    return Customer(name=user.get_full_name() or user.get_username(), email=user.email or None)


def _changes(session: ChargingSession) -> tuple[int, datetime | None]:
    """How often its figures were changed after its end, and when last: by a person, or by what was told late."""
    decisions = session.decisions.filter(verdict__in=_CHANGES)
    amendments = session.oddities.filter(flag="amended")
    last = [
        decisions.aggregate(at=Max("decided_at"))["at"],
        amendments.aggregate(at=Max("created_at"))["at"],
    ]
    return decisions.count() + amendments.count(), max((at for at in last if at), default=None)


def _money(cost: Decimal, currency: str) -> Decimal:
    """With the digits of its currency; with all it has where a person gave it more."""
    exact = cost.quantize(pricing.smallest_unit(currency))
    return exact if exact == cost else cost


def _kwh(wh: int | None) -> Decimal | None:
    return None if wh is None else Decimal(wh) / 1000


def _local(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).isoformat(timespec="seconds")
