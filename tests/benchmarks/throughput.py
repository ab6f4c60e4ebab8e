"""T1 to T6: what an app's action costs, and how fast chargers' messages are taken, each against its yardsticks.

All sides are up at the same time, with their sockets open, and take turns, so that they see the machine in the same
moods.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import msgspec
from django.db import connection

from sessions.models import MeterReading
from tests.benchmarks import messages
from tests.benchmarks.bench import Bench, in_turns
from tests.benchmarks.load import Load
from tests.benchmarks.processes import Server, evcharge, evcharge_without_database, node, python
from tests.benchmarks.targets import Finding, Outcome

SOCKETS = 500
LIGHT_LOAD_PER_S = 300
LIGHT_LOAD_S = 5.0
LIGHT_ROUNDS = 5  # a p99 of 1,500 messages is fifteen of them


class Figures(msgspec.Struct, frozen=True):
    """One side at full load in one round, or the medians of all."""

    per_s: float
    cpu_us: float  # of the server, per message
    p50_ms: float
    p99_ms: float


class Latency(msgspec.Struct, frozen=True):
    """The same, at LIGHT_LOAD_PER_S."""

    p50_ms: float
    p99_ms: float


class Contestant:
    """A server and the load on it."""

    def __init__(self, name: str, server: Server, load: Load) -> None:
        self.name, self.server, self.load = name, server, load
        self.answered = 0
        load.dial()

    def warm_up(self, seconds: float) -> None:
        self.answered += self.load.closed(seconds).answered

    def measured(self, seconds: float) -> Figures:
        before = self.server.cpu_s()
        full = self.load.closed(seconds)
        cpu_us = (self.server.cpu_s() - before) / full.answered * 1e6
        self.answered += full.answered
        return Figures(per_s=full.per_s, cpu_us=cpu_us, p50_ms=full.p50_ms, p99_ms=full.p99_ms)

    def at_light_load(self, seconds: float) -> Latency:
        self.server.settle()
        light = self.load.open(LIGHT_LOAD_PER_S, min(LIGHT_LOAD_S, 2 * seconds))
        self.answered += light.answered
        return Latency(p50_ms=light.p50_ms, p99_ms=light.p99_ms)


def _contest(bench: Bench, contestants: Sequence[Contestant]) -> dict[str, Figures]:
    for contestant in contestants:
        bench.say(f"warming up: {contestant.name}")
        contestant.warm_up(bench.seconds)
    return in_turns(
        bench,
        contestants,
        lambda contestant: contestant.measured(bench.seconds),
        name=lambda contestant: contestant.name,
    )


def _finding(
    title: str, figures: dict[str, Figures], yardstick: str, *, of: Callable[[Figures], float], note: str = ""
) -> Finding:
    columns = ("", "msg/s", "µs CPU/msg", "p50/p99 ms", "ratio to the first")
    rows = [
        (
            name,
            f"{each.per_s:,.0f}",
            f"{each.cpu_us:.1f}",
            f"{each.p50_ms:.1f}/{each.p99_ms:.1f}",
            f"{of(each) / of(figures[yardstick]):.2f}",
        )
        for name, each in figures.items()
    ]
    return Finding(title, columns, rows, [], note)


def _per_cpu_second(figures: Figures) -> float:
    return 1e6 / figures.cpu_us


def _per_second(figures: Figures) -> float:
    return figures.per_s


# --- T1 ---


def actions(bench: Bench) -> Finding:
    """An app's action and its answer, over real sockets with real tokens."""
    echo_name, ping, get = "Node ws, JSON echo", "evcharge, ping", "evcharge, get_active_session"
    apps = bench.drivers.apps(bench.number(SOCKETS))
    with ExitStack() as stack:
        echo = stack.enter_context(node(bench.processors.server, "echo.js"))
        ours = stack.enter_context(evcharge(bench.processors.server))

        def contestant(
            name: str, server: Server, targets: Sequence[str], action: str, ready: str
        ) -> Contestant:
            load = Load(
                bench.program,
                port=server.port,
                targets=targets,
                messages=[messages.action(action)],
                failure=messages.ACTION_FAILED,
                ready=ready,
            )
            return Contestant(name, server, stack.enter_context(load))

        bench.say("connecting the apps")
        contestants = [
            contestant(echo_name, echo, ["/"] * len(apps), "ping", ""),
            contestant(ping, ours, apps, "ping", messages.APP_READY),
            contestant(get, ours, apps, "get_active_session", messages.APP_READY),
        ]
        figures = _contest(bench, contestants)
    finding = _finding("T1: an app's action and its answer", figures, echo_name, of=_per_cpu_second)
    ratio = _per_cpu_second(figures[ping]) / _per_cpu_second(figures[echo_name])
    note = (
        "`get_active_session` asks the database; the target is about `ping`, which the socket answers itself."
    )
    return finding._replace(outcomes=[Outcome("T1", ratio)], note=note)


# --- T2 to T6: chargers ---


def _chargers(bench: Bench, server: Server, said: Sequence[str], *, first: int = 0) -> Load:
    return Load(
        bench.program,
        port=server.port,
        targets=bench.drivers.chargers(bench.number(SOCKETS), first=first),
        messages=said,
        failure=messages.CALL_FAILED,
        first=first,
        headers=messages.OCPP,
    )


NODE, OURS = "Node ocpp-rpc", "evcharge"


def without_database(bench: Bench) -> Finding:
    """Heartbeat and MeterValues in turn, where nobody stores anything."""
    said = [messages.heartbeat(), messages.meter_values()]
    with ExitStack() as stack:
        rpc = stack.enter_context(node(bench.processors.server, "ocpprpc.js"))
        ours = stack.enter_context(evcharge_without_database(bench.processors.server))
        bench.say("connecting the chargers")
        contestants = [
            Contestant(name, server, stack.enter_context(_chargers(bench, server, said)))
            for name, server in ((NODE, rpc), (OURS, ours))
        ]
        figures = _contest(bench, contestants)
    finding = _finding("T2: chargers' messages, nothing stored", figures, NODE, of=_per_second)
    ratio = figures[OURS].per_s / figures[NODE].per_s
    note = (
        "Our side is the real server with its insert and its wire log left out. MeterValues are never refused for "
        "their form, so it judges each connection's first alone by the schema; `ocpp-rpc` judges all."
    )
    return finding._replace(outcomes=[Outcome("T2", ratio)], note=note)


WITH_PG, PACKAGE, WITHOUT_LOG = "Node ocpp-rpc + pg", "ocpp (PyPI)", "evcharge, WIRE_LOG=off"


def meter_values(bench: Bench) -> Finding:
    """MeterValues, ours acknowledged after the commit. Fails unless every one acknowledged is stored."""
    processor = bench.processors.server
    starts: dict[str, Callable[[], Server]] = {NODE: lambda: node(processor, "ocpprpc.js")}
    if "T4" in bench.wanted:
        starts[WITH_PG] = lambda: node(processor, "ocpprpc_pg.js")
    if "T5" in bench.wanted:
        starts[PACKAGE] = lambda: python(processor, "ocpp_package.py")
    starts[OURS] = lambda: evcharge(processor)
    if "T3" in bench.wanted:
        starts[WITHOUT_LOG] = lambda: evcharge(processor, WIRE_LOG="off")
    had = MeterReading.objects.count()
    with ExitStack() as stack:
        contestants: dict[str, Contestant] = {}
        for name, start in starts.items():
            bench.say(f"connecting the chargers to {name}")
            server = stack.enter_context(start())
            # Chargers of its own: one that dials another process leaves the first.
            first = SOCKETS if name == WITHOUT_LOG else 0
            load = stack.enter_context(_chargers(bench, server, [messages.meter_values()], first=first))
            contestants[name] = Contestant(name, server, load)
        figures = _contest(bench, list(contestants.values()))
        light = _light_load(bench, [contestants[NODE], contestants[OURS]]) if "T6" in bench.wanted else {}
    acknowledged = sum(contestants[name].answered for name in (OURS, WITHOUT_LOG) if name in contestants)
    if (stored := MeterReading.objects.count() - had) != acknowledged:
        raise RuntimeError(f"{acknowledged} meter values were acknowledged, but {stored} are stored")
    finding = _finding("T3 to T6: meter values, committed", figures, NODE, of=_per_second)
    outcomes = [outcome for outcome in _judged(figures) if outcome.target in bench.wanted]
    note = f"All {acknowledged:,} that were acknowledged were found stored."
    if light:
        finding = _with_light_load(finding, light)
        outcomes.append(Outcome("T6", light[OURS].p99_ms / light[NODE].p99_ms))
        note += " The light load comes when PostgreSQL has cleaned up after the full one."
    return finding._replace(outcomes=outcomes, note=note)


def _light_load(bench: Bench, contestants: Sequence[Contestant]) -> dict[str, Latency]:
    """When the database is at rest: what a flood leaves behind (pages to write, to vacuum, to analyze) would be
    measured in its place, and only on our side."""
    bench.say("waiting for PostgreSQL to clean up")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")
        cursor.execute("CHECKPOINT")
    return in_turns(
        bench,
        contestants,
        lambda contestant: contestant.at_light_load(bench.seconds),
        name=lambda contestant: contestant.name,
        rounds=bench.at_least_rounds(LIGHT_ROUNDS),
    )


def _with_light_load(finding: Finding, light: dict[str, Latency]) -> Finding:
    rows = [
        (*row, f"{light[row[0]].p50_ms:.1f}/{light[row[0]].p99_ms:.1f}" if row[0] in light else "–")
        for row in finding.rows
    ]
    return finding._replace(columns=(*finding.columns, f"p50/p99 ms at {LIGHT_LOAD_PER_S}/s"), rows=rows)


def _judged(figures: dict[str, Figures]) -> list[Outcome]:
    ours = figures[OURS].per_s
    outcomes = [Outcome("T3", ours / figures[NODE].per_s)]
    if WITH_PG in figures:
        outcomes.append(Outcome("T4", ours / figures[WITH_PG].per_s))
    if PACKAGE in figures:
        outcomes.append(Outcome("T5", ours / figures[PACKAGE].per_s))
    return outcomes
