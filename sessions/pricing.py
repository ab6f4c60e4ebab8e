"""What a session costs, step by step, and the tax in it. Pure: prices and quantities in, money out."""

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal, NamedTuple

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
    tax_percent: Decimal | None = None


StepKind = Literal["energy", "time", "session", "rounding", "correction", "cancellation"]


class Step(NamedTuple):
    """One line of a bill. `quantity` is in kWh, minutes or sessions; the last three kinds have an amount alone.

    Minutes are shown to four digits; the amount is of the exact seconds.
    """

    kind: StepKind
    amount: Decimal
    quantity: Decimal | None = None
    unit: Literal["kWh", "min", "session"] | None = None
    unit_price: Decimal | None = None


class Tax(NamedTuple):
    """Gross is what is paid: prices include the tax. Without a rate nothing is said of net and tax."""

    percent: Decimal | None
    net: Decimal | None
    tax: Decimal | None
    gross: Decimal


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


def steps(
    price: Price, *, energy_wh: int | None, duration_s: int, total: Decimal, is_void: bool = False
) -> list[Step]:
    """The lines of a bill, which add up to `total`, the session's cost.

    Each is rounded by itself, so that it can be reckoned again; what that leaves over is a line of its own, as is what
    a person decided.
    """
    lines = list(_billed(price, energy_wh, duration_s))
    rest = total - sum((line.amount for line in lines), Decimal(0))
    if rest:
        reckoned = cost(price, energy_wh=energy_wh, duration_s=duration_s)
        kind: StepKind = "cancellation" if is_void else "rounding" if total == reckoned else "correction"
        lines.append(Step(kind, rest))
    return lines


def _billed(price: Price, energy_wh: int | None, duration_s: int) -> Iterator[Step]:
    """Energy also where it is free, since everybody looks for it; the others only where they cost something."""

    def rounded(amount: Decimal) -> Decimal:
        return amount.quantize(smallest_unit(price.currency), ROUND_HALF_UP)

    if energy_wh is not None:
        amount = rounded(price.per_kwh * energy_wh / 1000)
        yield Step("energy", amount, Decimal(energy_wh) / 1000, "kWh", price.per_kwh)
    if price.per_minute:
        minutes = (Decimal(duration_s) / 60).quantize(Decimal("0.0001"), ROUND_HALF_UP)
        yield Step("time", rounded(price.per_minute * duration_s / 60), minutes, "min", price.per_minute)
    if price.per_session:
        yield Step("session", rounded(price.per_session), Decimal(1), "session", price.per_session)


def tax_in(gross: Decimal, *, percent: Decimal | None, currency: str) -> Tax:
    """The tax that is in a gross amount; the net is rounded, so that net and tax make the gross."""
    if percent is None:
        return Tax(None, None, None, gross)
    net = (gross * 100 / (100 + percent)).quantize(smallest_unit(currency), ROUND_HALF_UP)
    return Tax(percent, net, gross - net, gross)
