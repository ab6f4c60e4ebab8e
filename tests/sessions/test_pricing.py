"""The cost of a session."""

from decimal import Decimal

import pytest

from sessions.pricing import Price, cost

EURO = Price("EUR", Decimal("0.49"), Decimal("0.02"), Decimal("0.50"))


@pytest.mark.parametrize(
    ("energy_wh", "seconds", "expected"),
    [
        (0, 0, "0.50"),
        (10_000, 0, "5.40"),
        (0, 3600, "1.70"),
        (12_345, 5400, "8.35"),  # 6.04905 + 1.80 + 0.50 = 8.34905
        (1, 1, "0.50"),
        (None, 60, "0.52"),
    ],
)
def test_energy_time_and_fee_add_up(energy_wh: int | None, seconds: int, expected: str) -> None:
    assert cost(EURO, energy_wh=energy_wh, duration_s=seconds) == Decimal(expected)


def test_it_is_rounded_once_and_half_up() -> None:
    third = Price("EUR", Decimal("0.005"), Decimal("0.005"), Decimal(0))
    assert cost(third, energy_wh=1000, duration_s=60) == Decimal("0.01")
    assert cost(third, energy_wh=1000, duration_s=0) == Decimal("0.01")
    assert cost(third, energy_wh=999, duration_s=0) == Decimal("0.00")


@pytest.mark.parametrize(("currency", "expected"), [("JPY", "2"), ("EUR", "1.50"), ("KWD", "1.500")])
def test_each_currency_has_its_own_smallest_unit(currency: str, expected: str) -> None:
    price = Price(currency, Decimal("1.5"), Decimal(0), Decimal(0))
    assert str(cost(price, energy_wh=1000, duration_s=0)) == expected


def test_without_a_price_the_cost_is_unknown_and_not_nothing() -> None:
    assert cost(None, energy_wh=1000, duration_s=60) is None
