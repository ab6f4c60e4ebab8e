"""Receipts: the lines make the cost, the tax is in it, what was changed says so."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions import accounts, pricing, reviews
from sessions.errors import NoReceipt, SessionNotEnded
from sessions.models import ChargingSession, Tariff
from sessions.pricing import Price
from sessions.receipts import receipt_of
from tests.factories import make_charger, make_operator, make_session, make_station, make_tariff, make_user

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

prices = st.decimals(0, 999, places=4)
taxes = st.none() | st.decimals(0, 100, places=2)


@given(
    price=st.builds(Price, st.sampled_from(["EUR", "JPY", "KWD"]), prices, prices, prices, taxes),
    energy_wh=st.none() | st.integers(0, 500_000),
    duration_s=st.integers(0, 200_000),
    total=st.none() | st.decimals(0, 5000, places=3),
    is_void=st.booleans(),
)
def test_lines_add_up_to_the_cost_and_net_and_tax_too(
    price: Price, energy_wh: int | None, duration_s: int, total: Decimal | None, is_void: bool
) -> None:
    reckoned = pricing.cost(price, energy_wh=energy_wh, duration_s=duration_s)
    assert reckoned is not None
    due = Decimal(0) if is_void else reckoned if total is None else total
    lines = pricing.steps(price, energy_wh=energy_wh, duration_s=duration_s, total=due, is_void=is_void)
    assert sum(line.amount for line in lines) == due
    unit = pricing.smallest_unit(price.currency)
    for line in lines:
        if line.kind in ("energy", "session"):
            assert line.quantity is not None
            assert line.unit_price is not None
            assert abs(line.amount - line.quantity * line.unit_price) <= unit / 2
        elif line.kind == "rounding":
            assert abs(line.amount) <= unit * 3 / 2 + unit / 2
    tax = pricing.tax_in(due, percent=price.tax_percent, currency=price.currency)
    assert tax.gross == due
    if tax.net is not None and tax.tax is not None:
        assert tax.net + tax.tax == due
        assert tax.tax >= 0 or due % unit


def ended(**fields: Any) -> ChargingSession:
    """Ten minutes and 12.345 kWh, which cost 6.05 + 0.50 + 1.00 with 19 % tax in it."""
    station = make_station(name="Main Street", address="1 Main Street")
    charger = make_charger(station=station)
    make_tariff(
        stations=[station],
        price_per_kwh="0.49",
        price_per_minute="0.05",
        price_per_session=1,
        tax_percent=19,
    )
    session = make_session(
        charger=charger,
        user=make_user(first_name="Ada", last_name="Lovelace", email="ada@example.org"),
        started_at=AT,
        stopped_at=AT + timedelta(minutes=10),
        stop_told_at=AT + timedelta(minutes=10),
        stop_reported="told",
        meter_start_wh=1000,
        meter_stop_wh=13_345,
        **fields,
    )
    session.agree_price(accounts.price_for(charger))
    session.status = ChargingSession.Status.COMPLETED
    accounts.recount(session)
    session.save()
    return session


@pytest.mark.django_db
def test_receipt_says_who_what_where_and_for_how_much(settings: Any) -> None:
    settings.OPERATOR_NAME, settings.TIME_ZONE = "Volt & Co", "Europe/Berlin"
    receipt = receipt_of(ended())
    assert [(line.kind, line.amount) for line in receipt.lines] == [
        ("energy", Decimal("6.05")),
        ("time", Decimal("0.50")),
        ("session", Decimal("1.00")),
    ]
    assert (receipt.gross, receipt.net, receipt.tax) == (Decimal("7.55"), Decimal("6.34"), Decimal("1.21"))
    assert receipt.operator.name == "Volt & Co"
    assert receipt.customer is not None
    assert (receipt.customer.name, receipt.customer.email) == ("Ada Lovelace", "ada@example.org")
    assert (receipt.station_name, receipt.station_address) == ("Main Street", "1 Main Street")
    assert receipt.started_at_local == "2026-03-01T13:00:00+01:00"
    assert (receipt.revision, receipt.corrected) == (1, False)
    assert receipt.issued_at == receipt.stopped_at


@pytest.mark.django_db
def test_what_a_person_decided_is_a_line_and_a_revision() -> None:
    session, operator = ended(), make_operator()
    session = reviews.correct(session=session, decided_by=operator, reason="by half", cost=Decimal(5))
    corrected = receipt_of(session)
    assert (corrected.lines[-1].kind, corrected.lines[-1].amount) == ("correction", Decimal("-2.55"))
    assert (corrected.gross, corrected.revision, corrected.corrected) == (Decimal(5), 2, True)
    assert corrected.issued_at > corrected.stopped_at
    voided = receipt_of(reviews.void(session=session, decided_by=operator, reason="goodwill"))
    assert (voided.lines[-1].kind, voided.lines[-1].amount) == ("cancellation", Decimal("-7.55"))
    assert (voided.gross, voided.tax, voided.revision) == (Decimal(0), Decimal(0), 3)
    assert voided.number == corrected.number


@pytest.mark.django_db
def test_tax_is_agreed_when_the_session_begins() -> None:
    session = ended()
    Tariff.objects.update(tax_percent=7)
    session.refresh_from_db()
    assert receipt_of(session).tax_percent == 19


@pytest.mark.django_db
def test_no_receipt_while_it_runs_nor_without_a_cost() -> None:
    with pytest.raises(SessionNotEnded):
        receipt_of(make_session())
    with pytest.raises(NoReceipt):
        receipt_of(make_session(status="completed", stopped_at=AT))
    with pytest.raises(NoReceipt):
        receipt_of(make_session(status="failed"))
