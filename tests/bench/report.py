"""The figures as tables, and what they say of the targets."""

from collections.abc import Callable
from typing import NamedTuple

from rich import box
from rich.table import Table

from tests.bench import measure
from tests.bench.measure import LIGHT_LOAD_PER_S, Figures

Rows = dict[str, Figures]


class Target(NamedTuple):
    """One ratio: ours over the yardstick's, of the figure that `of` takes. `must` is the promise, `hoped` the aim."""

    title: str
    ours: str
    yardstick: str
    unit: str
    of: Callable[[Figures], float]
    must: float
    hoped: float


def _per_cpu_second(figures: Figures) -> float:
    return 1e6 / figures.cpu_us


TARGETS = {
    "T1": Target(
        title="T1  An app's action and its answer",
        ours=measure.PING,
        yardstick=measure.YARDSTICK_ACTION,
        unit="messages per CPU second",
        of=_per_cpu_second,
        must=0.50,
        hoped=0.70,
    ),
    "T3": Target(
        title="T3  A charger's meter values: evcharge commits them, the yardstick stores nothing",
        ours=measure.METER_VALUES,
        yardstick=measure.YARDSTICK_METER_VALUES,
        unit="messages per second",
        of=lambda figures: figures.per_s,
        must=0.40,
        hoped=0.60,
    ),
}


def table(name: str, rows: Rows) -> Table:
    target = TARGETS[name]
    result = Table(title=target.title, title_justify="left", box=box.SIMPLE_HEAD)
    result.add_column("")
    light = all(figures.light_p99_ms is not None for figures in rows.values())
    light_column = [f"at {LIGHT_LOAD_PER_S}/s"] if light else []
    for column in ["msg/s", "µs CPU/msg", "p50/p99 ms", *light_column, "ratio"]:
        result.add_column(column, justify="right", no_wrap=True)
    yardstick = target.of(rows[target.yardstick])
    for contestant, figures in rows.items():
        result.add_row(
            contestant,
            f"{figures.per_s:,.0f}",
            f"{figures.cpu_us:.1f}",
            f"{figures.p50_ms:.1f}/{figures.p99_ms:.1f}",
            *([f"{figures.light_p50_ms:.1f}/{figures.light_p99_ms:.1f}"] if light else []),
            f"{target.of(figures) / yardstick:.2f}",
        )
    return result


def verdict(name: str, rows: Rows) -> str:
    target = TARGETS[name]
    ratio = target.of(rows[target.ours]) / target.of(rows[target.yardstick])
    word = "[red]missed[/]" if ratio < target.must else "[green]met[/]"
    more = ", and the stretch target too" if ratio >= target.hoped else ""
    return (
        f"  {name} {ratio:.2f} of the yardstick's {target.unit}: target {word}{more} "
        f"(at least {target.must:.2f}, stretch {target.hoped:.2f})"
    )
