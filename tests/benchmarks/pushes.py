"""T9 and T10: how long a push takes from its publisher over Redis and a server to the app, against a bare hub."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import msgspec

from chargers.events import ALL_CHARGERS
from tests.benchmarks import messages
from tests.benchmarks.bench import Bench, in_turns
from tests.benchmarks.load import Load
from tests.benchmarks.processes import Server, evcharge, python
from tests.benchmarks.publishers import EVCHARGE, HUB, Publisher
from tests.benchmarks.targets import Finding, Outcome

SOCKETS = 1000
TO_EACH_PER_S, TO_ALL_PER_S = 300, 3
ROUNDS = 5  # at least: a p99 is the most restless of figures
AFTER_S = 0.5

NAMES = {HUB: "a hub on Redis pub/sub", EVCHARGE: "evcharge"}


class Pushes(msgspec.Struct, frozen=True):
    p50_ms: float
    p99_ms: float
    cpu_us: float  # of the server, for each push that came
    heard: float
    lost: float


class _Path(msgspec.Struct, frozen=True):
    """Publisher, server, sockets; each event comes to so many of them."""

    name: str
    server: Server
    load: Load
    publisher: Publisher
    members: int


def _measured(path: _Path, *, per_s: float, seconds: float) -> Pushes:
    before = path.server.cpu_s()
    path.publisher.publish(per_s, seconds)
    heard = path.load.listen(seconds + AFTER_S)
    sent = path.publisher.sent() * path.members
    cpu_us = (path.server.cpu_s() - before) / max(1, heard.answered) * 1e6
    return Pushes(
        p50_ms=heard.p50_ms,
        p99_ms=heard.p99_ms,
        cpu_us=cpu_us,
        heard=heard.answered,
        lost=sent - heard.answered,
    )


def _compared(
    bench: Bench,
    title: str,
    target: str,
    groups: Sequence[str],
    *,
    per_s: float,
    members: int,
    prepare: Callable[[Load], None] = lambda load: None,
) -> Finding:
    count = bench.number(SOCKETS)
    seconds = max(1.0, bench.seconds)
    with ExitStack() as stack:

        def path(kind: str, server: Server, targets: Sequence[str], said: str, ready: str) -> _Path:
            load = stack.enter_context(
                Load(
                    bench.program,
                    port=server.port,
                    targets=targets,
                    messages=[said],
                    failure=messages.ACTION_FAILED,
                    ready=ready,
                )
            )
            load.dial()
            return _Path(NAMES[kind], server, load, stack.enter_context(Publisher(kind, groups)), members)

        bench.say("connecting the apps")
        hub = stack.enter_context(python(bench.processors.server, "hub.py"))
        ours = stack.enter_context(evcharge(bench.processors.server))
        subscribe = messages.action("subscribe", all=True)
        each = [f"/{group}" for group in groups] if members == 1 else [f"/{groups[0]}"] * count
        paths = [
            path(HUB, hub, each, subscribe, "joined"),
            path(EVCHARGE, ours, bench.drivers.apps(count), subscribe, messages.APP_READY),
        ]
        prepare(paths[1].load)
        for one in paths:
            bench.say(f"warming up: {one.name}")
            _measured(one, per_s=per_s, seconds=1.0)
        figures = in_turns(
            bench,
            paths,
            lambda one: _measured(one, per_s=per_s, seconds=seconds),
            name=lambda one: one.name,
            rounds=bench.at_least_rounds(ROUNDS),
        )
    limit = figures[NAMES[HUB]].p99_ms
    return Finding(
        title,
        ("", "p50/p99 ms", "µs CPU/push", "came", "lost", "ratio of the p99s"),
        [
            (
                name,
                f"{one.p50_ms:.2f}/{one.p99_ms:.2f}",
                f"{one.cpu_us:.0f}",
                f"{one.heard:.0f}",
                f"{one.lost:.0f}",
                f"{one.p99_ms / limit:.2f}",
            )
            for name, one in figures.items()
        ],
        [Outcome(target, figures[NAMES[EVCHARGE]].p99_ms / limit)],
        "Medians of the rounds. Publisher, Redis and load generator share what the server has not.",
    )


def to_each(bench: Bench) -> Finding:
    """Every event to another app, on its user's group."""
    groups = bench.drivers.groups(bench.number(SOCKETS))
    title = f"T9: pushes to {len(groups)} groups of one socket, {TO_EACH_PER_S} a second"
    return _compared(bench, title, "T9", groups, per_s=TO_EACH_PER_S, members=1)


def to_all(bench: Bench) -> Finding:
    """Every event to all apps, which have subscribed to all chargers."""
    count = bench.number(SOCKETS)
    title = f"T10: pushes to one group of {count} sockets, {TO_ALL_PER_S} a second"

    def subscribe(load: Load) -> None:
        load.open(count, 1.0)

    return _compared(
        bench, title, "T10", [ALL_CHARGERS], per_s=TO_ALL_PER_S, members=count, prepare=subscribe
    )
