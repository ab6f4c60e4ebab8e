"""A schedule of limits as a picture and as a table."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

from chargers.admin import columns
from sessions.admin import figures
from sessions.schedules import Limit, Period

_DAY_S = 24 * 3600
_WIDTH, _HEIGHT = 640, 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 12, 28
_FLOOR = _HEIGHT - _BOTTOM
_MARKS = 4


def limit(value: Limit | None, unit: str) -> str:
    """In A, or in kW where the unit is W."""
    if value is None:
        return "no limit"
    rate = figures.quantity(float(value.rate), "A") if unit == "A" else figures.power(float(value.rate))
    return columns.joined(rate, f"on {value.phases} of 3 phases") if value.phases in (1, 2) else rate


def table(periods: Sequence[Period], unit: str, *, span_s: int, begins_at: datetime | None) -> SafeString:
    return columns.table(
        ["From", "Limit"],
        [
            [_when(period.start_s, span_s, begins_at, seconds=True), limit(period.limit, unit)]
            for period in periods
        ],
    )


def chart(periods: Sequence[Period], unit: str, *, span_s: int, begins_at: datetime | None) -> SafeString:
    """The limit over so many seconds; where there is none, there is no line."""
    highest = max((float(period.limit.rate) for period in periods if period.limit), default=0.0)
    top = highest * 1.1 or 1.0
    ends = [*(period.start_s for period in periods[1:]), span_s]

    def x(second: int) -> float:
        return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * min(second, span_s) / span_s, 1)

    def y(rate: float) -> float:
        return round(_FLOOR - (_FLOOR - _TOP) * rate / top, 1)

    blocks = [
        (x(period.start_s), x(end), y(float(period.limit.rate)))
        for period, end in zip(periods, ends, strict=True)
        if period.limit and period.start_s < span_s
    ]
    steps = format_html_join(
        "",
        '<rect x="{}" y="{}" width="{}" height="{}"/><line class="ev-step" x1="{}" y1="{}" x2="{}" y2="{}"/>',
        (
            (left, up, round(right - left, 1), round(_FLOOR - up, 1), left, up, right, up)
            for left, right, up in blocks
        ),
    )
    marks = [span_s * i // _MARKS for i in range(_MARKS + 1)]
    anchors = ["start", *["middle"] * (_MARKS - 1), "end"]
    times = format_html_join(
        "",
        '<text x="{}" y="{}" text-anchor="{}">{}</text>',
        (
            (x(mark), _HEIGHT - 8, anchor, _when(mark, span_s, begins_at))
            for mark, anchor in zip(marks, anchors, strict=True)
        ),
    )
    rates = format_html_join(
        "",
        '<text x="{}" y="{}" text-anchor="end">{}</text>',
        ((_LEFT - 6, y(rate) + 4, _scale(rate, unit)) for rate in sorted({0.0, highest})),
    )
    return format_html(
        '<svg class="ev-steps" viewBox="0 0 {} {}" role="img" aria-label="Limit over time">{}{}{}'
        '<line x1="{}" y1="{}" x2="{}" y2="{}"/></svg>',
        *(_WIDTH, _HEIGHT, steps, times, rates, _LEFT, _FLOOR, _WIDTH - _RIGHT, _FLOOR),
    )


def _scale(rate: float, unit: str) -> str:
    """Plain text: nothing else can stand in a picture."""
    return f"{rate:g} A" if unit == "A" else f"{rate / 1000:g} kW"


def _when(second: int, span_s: int, begins_at: datetime | None, *, seconds: bool = False) -> str:
    """By the clock, with as much of the date as the span needs; without a begin, the time since it."""
    if begins_at is None:
        return f"+{timedelta(seconds=second)}"
    day = "" if span_s <= _DAY_S else "%a " if span_s <= 7 * _DAY_S else "%m-%d "
    clock = "%H:%M:%S" if seconds else "%H:%M"
    return localtime(begins_at + timedelta(seconds=second)).strftime(day + clock)
