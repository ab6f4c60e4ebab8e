"""Energy, power and money as these pages write them."""

from decimal import Decimal

from django.utils.html import format_html

from chargers.admin.columns import NOTHING, badge, joined
from sessions.models import MeterReading
from sessions.pricing import smallest_unit
from sessions.readings import kwh


def _number(text: str) -> str:
    return format_html('<span class="ev-number">{}</span>', text)


def energy(energy_wh: int | None) -> str:
    value = kwh(energy_wh)
    return NOTHING if value is None else _number(f"{value:.3f} kWh")


def register(reading: MeterReading) -> str:
    """As the meter told it, marked where it cannot be right."""
    told = energy(reading.energy_wh)
    return joined(told, badge("", "suspect", tone="bad")) if reading.is_suspect else told


def power(power_w: float | None) -> str:
    return NOTHING if power_w is None else _number(f"{power_w / 1000:.2f} kW")


def quantity(value: float | None, unit: str) -> str:
    return NOTHING if value is None else _number(f"{value:.1f} {unit}")


def money(amount: Decimal | None, currency: str) -> str:
    return NOTHING if amount is None else _number(f"{amount.quantize(smallest_unit(currency))} {currency}")
