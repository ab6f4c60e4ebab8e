"""T7 and T8, and 10,000 sockets: what a connection costs to open and to keep."""

import resource
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import msgspec

from tests.benchmarks import messages
from tests.benchmarks.bench import Bench, in_turns
from tests.benchmarks.load import Load
from tests.benchmarks.processes import Server, evcharge, node
from tests.benchmarks.publishers import EVCHARGE, Publisher
from tests.benchmarks.targets import Finding, Outcome

CONNECTIONS = 2000
WARM_UP = 50

Start = Callable[[], Server]


def _apps(bench: Bench, server: Server, targets: Sequence[str]) -> Load:
    return Load(
        bench.program,
        port=server.port,
        targets=targets,
        messages=[messages.action("ping")],
        failure=messages.ACTION_FAILED,
        ready=messages.APP_READY,
    )


def _chargers(bench: Bench, server: Server, targets: Sequence[str]) -> Load:
    return Load(
        bench.program,
        port=server.port,
        targets=targets,
        messages=[messages.heartbeat(), messages.meter_values()],
        failure=messages.CALL_FAILED,
        headers=messages.OCPP,
    )


# --- T7 ---


class Memory(msgspec.Struct, frozen=True):
    base_mib: float
    kib_per_socket: float


class _Side(msgspec.Struct, frozen=True):
    name: str
    start: Start
    load: Callable[[Bench, Server, Sequence[str]], Load]
    targets: Sequence[str]


def _memory_of(bench: Bench, side: _Side) -> Memory:
    """A fresh server, warmed up with a few; then all connect, and each says two things."""
    with side.start() as server:
        with side.load(bench, server, side.targets[:WARM_UP]) as few:
            few.dial()
            few.closed(0.3)
            few.drop()
        server.settle()
        before = server.memory_kib()
        with side.load(bench, server, side.targets) as load:
            load.dial()
            load.open(1000, 2 * len(side.targets) / 1000)
            server.settle()
            after = server.memory_kib()
    return Memory(base_mib=before / 1024, kib_per_socket=(after - before) / len(side.targets))


def memory(bench: Bench) -> Finding:
    """The server's memory for each socket, the same with a charger behind it and with an app."""
    count, processor = bench.number(CONNECTIONS), bench.processors.server
    chargers, apps = bench.drivers.chargers(count), bench.drivers.apps(count)
    rpc, charger, app = "Node ocpp-rpc, a charger", "evcharge, a charger", "evcharge, an app"
    sides = [
        _Side(rpc, lambda: node(processor, "ocpprpc.js"), _chargers, chargers),
        _Side(charger, lambda: evcharge(processor), _chargers, chargers),
        _Side(app, lambda: evcharge(processor), _apps, apps),
    ]
    figures = in_turns(bench, sides, lambda side: _memory_of(bench, side), name=lambda side: side.name)
    ratios = {name: each.kib_per_socket / figures[rpc].kib_per_socket for name, each in figures.items()}
    return Finding(
        f"T7: memory of {count} connections",
        ("", "server before, MiB", "KiB for each", "ratio to the first"),
        [
            (name, f"{each.base_mib:.0f}", f"{each.kib_per_socket:.1f}", f"{ratios[name]:.2f}")
            for name, each in figures.items()
        ],
        [Outcome("T7", max(ratios[charger], ratios[app]))],
        "Proportional set size. Each app is of a driver who is charging: it is in the groups of the user and of the "
        "charger.",
    )


# --- T8 ---


class Connects(msgspec.Struct, frozen=True):
    per_s: float
    cpu_us: float
    p99_ms: float


class _Door(msgspec.Struct, frozen=True):
    name: str
    server: Server
    load: Load


def _connects(door: _Door) -> Connects:
    before = door.server.cpu_s()
    dialled = door.load.dial()
    cpu_s = door.server.cpu_s() - before
    door.load.drop()
    door.server.settle()
    return Connects(per_s=dialled.per_s, cpu_us=cpu_s / dialled.answered * 1e6, p99_ms=dialled.p99_ms)


def connects(bench: Bench) -> Finding:
    """All sockets dial, 200 at a time, are cut, and dial again in the next round."""
    count, processor = bench.number(CONNECTIONS), bench.processors.server
    echo, ours, charging = (
        "Node ws, handshake alone",
        "evcharge, an app",
        "evcharge, an app whose driver charges",
    )
    with ExitStack() as stack:
        theirs = stack.enter_context(node(processor, "echo.js"))
        server = stack.enter_context(evcharge(processor))
        bare = Load(
            bench.program,
            port=theirs.port,
            targets=["/"] * count,
            messages=[messages.action("ping")],
            failure=messages.ACTION_FAILED,
        )
        drivers = bench.drivers
        idle, busy = (_apps(bench, server, each) for each in (drivers.idle_apps(count), drivers.apps(count)))
        doors = [
            _Door(echo, theirs, stack.enter_context(bare)),
            _Door(ours, server, stack.enter_context(idle)),
            _Door(charging, server, stack.enter_context(busy)),
        ]
        for door in doors:
            bench.say(f"warming up: {door.name}")
            _connects(door)
        figures = in_turns(bench, doors, _connects, name=lambda door: door.name)
    return Finding(
        f"T8: {count} sockets connect",
        ("", "connects/s", "µs CPU each", "p99 ms", "ratio to the first"),
        [
            (
                name,
                f"{each.per_s:,.0f}",
                f"{each.cpu_us:.0f}",
                f"{each.p99_ms:.0f}",
                f"{each.per_s / figures[echo].per_s:.2f}",
            )
            for name, each in figures.items()
        ],
        [Outcome("T8", figures[ours].per_s / figures[echo].per_s)],
        "Ours counts as connected when it has its token checked, its user looked up, its groups joined and its state "
        "received. The target is about phones whose drivers are not charging, as most are; for one that is, the "
        "session, its newest readings and its charger's group come on top.",
    )


# --- 10,000 sockets ---

MANY = 10_000
SPARE_FILES = 300  # a server's own
STORM_TOGETHER = 1000
EVENT_INTERVAL_S = 30


def many_sockets(bench: Bench) -> Finding:
    """One process with as many app sockets as the machine's limit of open files allows, up to 10,000."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES
    count = min(bench.number(MANY), allowed)
    window_s = 3.0 if bench.is_quick else float(EVENT_INTERVAL_S)
    apps, groups = bench.drivers.apps(count), bench.drivers.groups(count)
    # Twice, since those that were cut are still being counted while the same dial again.
    settings = {"MAX_APP_SOCKETS": 2 * count}
    with (
        evcharge(bench.processors.server, **settings) as server,
        Publisher(EVCHARGE, groups) as publisher,
    ):
        with _apps(bench, server, apps[:WARM_UP]) as few:
            few.dial()
        server.settle()
        before_kib = server.memory_kib()
        with _apps(bench, server, apps) as load:
            bench.say(f"connecting {count} apps")
            dialled = load.dial()
            server.settle()
            kib_each = (server.memory_kib() - before_kib) / count
            bench.say("all idle")
            idle = _share(server, lambda: load.listen(window_s))
            bench.say(f"an event for each in {EVENT_INTERVAL_S} s")
            publisher.publish(count / EVENT_INTERVAL_S, window_s)
            heard = []
            busy = _share(server, lambda: heard.append(load.listen(window_s + 0.5)))
            sent = publisher.sent()
            bench.say("all are cut, and dial again")
            load.drop()
            storm = load.dial(STORM_TOGETHER)
    fewer = f"; {MANY} were meant, the limit of open files allows no more" if allowed < MANY else ""
    return Finding(
        f"{count:,} app sockets on one process{fewer}",
        ("", ""),
        [
            ("memory of one socket, with its two groups", f"{kib_each * 1024:,.0f} bytes"),
            ("processor while nothing happens (pings, sweeps)", f"{idle:.1%} of one core"),
            (
                f"processor with one event a socket every {EVENT_INTERVAL_S} s",
                f"{busy:.1%} of one core; {heard[0].answered} of {sent} heard, p99 {heard[0].p99_ms:.1f} ms",
            ),
            ("connecting, 200 at a time", f"{dialled.seconds:.1f} s, {dialled.per_s:,.0f} a second"),
            (
                f"all cut at once, and back, {STORM_TOGETHER} at a time",
                f"{storm.seconds:.1f} s, {storm.refused} told to try again, p99 of a connection "
                f"{storm.p99_ms / 1000:.1f} s",
            ),
        ],
        [],
        "No target; docs/capacity.md reckons with these.",
    )


def _share(server: Server, during: Callable[[], object]) -> float:
    """The part of one core that the server uses meanwhile."""
    began, before = time.monotonic(), server.cpu_s()
    during()
    return (server.cpu_s() - before) / (time.monotonic() - began)
