"""What a session costs. Pure: prices and quantities in, money out."""

from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

# ISO 4217 currencies without minor units, and with three digits of them; all others have two.
_NO_MINOR_UNIT = {
    "BIF",
    "CLP",
    "DJF",
    "GNF",
    "ISK",
    "JPY",
    "KMF",
    "KRW",
    "PYG",
    "RWF",
    "UGX",
    "VND",
    "VUV",
    "XAF",
    "XOF",
    "XPF",
}
_THREE_DIGITS = {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}


class Price(NamedTuple):
    """A tariff as agreed at the start of a session; later changes of the tariff do not touch it."""

    currency: str
    per_kwh: Decimal
    per_minute: Decimal
    per_session: Decimal


def smallest_unit(currency: str) -> Decimal:
    if currency in _NO_MINOR_UNIT:
        return Decimal(1)
    return Decimal("0.001") if currency in _THREE_DIGITS else Decimal("0.01")


def cost(price: Price | None, *, energy_wh: int | None, duration_s: int) -> Decimal | None:
    """Money in `price.currency`, rounded once, half up. None without a price; unknown energy counts as none yet."""
    if price is None:
        return None
    energy = price.per_kwh * (energy_wh or 0) / 1000
    time = price.per_minute * duration_s / 60
    return (energy + time + price.per_session).quantize(smallest_unit(price.currency), ROUND_HALF_UP)
