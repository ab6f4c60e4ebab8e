"""What every measurement is given, and how two sides take turns."""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import TypeVar

import msgspec

from tests.benchmarks.drivers import Drivers
from tests.benchmarks.processes import Processors

Side = TypeVar("Side")
Figures = TypeVar("Figures", bound=msgspec.Struct)


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """`seconds` is how long one side is under load in one round; a quick run has small numbers of everything."""

    program: Path
    drivers: Drivers
    processors: Processors
    rounds: int
    seconds: float
    is_quick: bool
    wanted: frozenset[str]
    say: Callable[[str], None]

    def number(self, full: int) -> int:
        """So many sockets, or a tenth."""
        return full // 10 if self.is_quick else full

    def at_least_rounds(self, full: int) -> int:
        return self.rounds if self.is_quick else max(self.rounds, full)


def in_turns(
    bench: Bench,
    sides: Sequence[Side],
    measure: Callable[[Side], Figures],
    *,
    name: Callable[[Side], str],
    rounds: int | None = None,
) -> dict[str, Figures]:
    """Medians of each side's figures, by name. The order turns round every time, so that nobody always comes first."""
    count = rounds or bench.rounds
    taken: dict[str, list[Figures]] = {name(side): [] for side in sides}
    for number in range(count):
        for side in sides if number % 2 == 0 else reversed(sides):
            bench.say(f"round {number + 1} of {count}: {name(side)}")
            taken[name(side)].append(measure(side))
    return {each: medians(figures) for each, figures in taken.items()}


def medians(rounds: Sequence[Figures]) -> Figures:
    """Each figure's median; None where it was not taken."""
    kind = type(rounds[0])
    values = {name: [getattr(figures, name) for figures in rounds] for name in kind.__struct_fields__}
    return kind(**{name: None if None in each else median(each) for name, each in values.items()})
