"""What happens in this process, counted in plain integers where it happens; gateway.metrics shows it to Prometheus.

A counter of prometheus_client takes a lock, and a look-up for its labels: a microsecond, much of what a message costs
here. These are added to on the event loop and read from other threads, so they need none; in a `Timed` some count from
several threads, so it has a lock, without the look-up. No Django in here.
"""

from bisect import bisect_left
from collections import defaultdict
from threading import Lock

OTHER = "other"

DURATIONS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

CLOSE_CODES = frozenset(range(1000, 1016))


class Histogram:
    """How many values fell below each bound, and what they add up to."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = DURATIONS_S) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Tally:
    """How often; and how long it took, together with others of the same name."""

    __slots__ = ("count", "durations")

    def __init__(self, durations: Histogram) -> None:
        self.count, self.durations = 0, durations


class Timed:
    """What happened how often, by all labels, and how long it took, by all but the last, which says how it ended.

    Labels come from outside, so each has a list of words that it may be; every other is counted as `other`. Whoever
    sends new words all the time makes no new rows.
    """

    def __init__(self, *words: frozenset[str]) -> None:
        self.words = words
        self.tallies: dict[tuple[str, ...], Tally] = {}
        self.durations: defaultdict[tuple[str, ...], Histogram] = defaultdict(Histogram)
        self.lock = Lock()

    def add(self, seconds: float | None, *labels: str) -> None:
        """`seconds` None: it has no duration."""
        with self.lock:
            tally = self.tallies.get(labels) or self._tally(labels)
            tally.count += 1
            if seconds is not None:
                tally.durations.add(seconds)

    def _tally(self, labels: tuple[str, ...]) -> Tally:
        known = tuple(
            label if label in words else OTHER for label, words in zip(labels, self.words, strict=True)
        )
        if known not in self.tallies:
            self.tallies[known] = Tally(self.durations[known[:-1]])
        return self.tallies[known]


# --- sockets: by role, `apps` or `chargers` ---

accepted: defaultdict[str, int] = defaultdict(int)
refused: defaultdict[tuple[str, str], int] = defaultdict(int)
closed: defaultdict[tuple[str, str], int] = defaultdict(int)
