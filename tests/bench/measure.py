"""The two ratios: what an app's action costs, and how fast meter values are stored, each against its yardstick.

A yardstick and our server are up at the same time and take turns, so that both see the machine in the same moods.
"""

from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from django.contrib.auth.models import User

from gateway.auth import tokens_for
from sessions.models import MeterReading
from tests.bench import messages
from tests.bench.processes import Load, Processors, Server, evcharge, node

LIGHT_LOAD_PER_S = 300


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """What every measurement needs. `seconds` is how long one takes, `say` shows what is under way."""

    program: Path
    users: list[User]
    processors: Processors
    rounds: int
    seconds: float
    say: Callable[[str], None]


class Figures(msgspec.Struct, frozen=True):
    """One contestant in one round, or the medians of all. Latencies at full load, and at LIGHT_LOAD_PER_S."""

    per_s: float
    cpu_us: float  # of the server, per message
    p50_ms: float
    p99_ms: float
    light_p50_ms: float | None = None
    light_p99_ms: float | None = None


class Contestant:
    """A server and the load on it."""

    def __init__(self, name: str, server: Server, load: Load, *, light: bool = False) -> None:
        self.name, self.server, self.load, self.light = name, server, load, light
        self.answered = 0

    def warm_up(self, seconds: float) -> None:
        self.answered += self.load.closed(seconds).answered

    def round(self, seconds: float) -> Figures:
        before = self.server.cpu_s()
        full = self.load.closed(seconds)
        cpu_us = (self.server.cpu_s() - before) / full.answered * 1e6
        light = self.load.open(LIGHT_LOAD_PER_S, seconds) if self.light else None
        self.answered += full.answered + (light.answered if light else 0)
        return Figures(
            per_s=full.per_s,
            cpu_us=cpu_us,
            p50_ms=full.p50_ms,
            p99_ms=full.p99_ms,
            light_p50_ms=light.p50_ms if light else None,
            light_p99_ms=light.p99_ms if light else None,
        )


def in_turns(bench: Bench, *contestants: Contestant) -> dict[str, Figures]:
    """Medians by name. The order turns round every time, so that nobody always comes first."""
    for contestant in contestants:
        contestant.warm_up(bench.seconds)
    rounds: dict[str, list[Figures]] = defaultdict(list)
    for number in range(bench.rounds):
        for contestant in contestants if number % 2 == 0 else reversed(contestants):
            bench.say(f"round {number + 1} of {bench.rounds}: {contestant.name}")
            rounds[contestant.name].append(contestant.round(bench.seconds))
    return {name: _medians(figures) for name, figures in rounds.items()}


def _medians(rounds: list[Figures]) -> Figures:
    values: dict[str, list[Any]] = {
        name: [getattr(figures, name) for figures in rounds] for name in Figures.__struct_fields__
    }
    medians: dict[str, Any] = {name: None if None in each else median(each) for name, each in values.items()}
    return Figures(**medians)


# --- T1 ---

YARDSTICK_ACTION = "Node ws, JSON echo"
PING = "evcharge, ping"
GET_ACTIVE_SESSION = "evcharge, get_active_session"


def actions(bench: Bench) -> dict[str, Figures]:
    """An app's action and its answer, over real sockets with real tokens."""
    with ExitStack() as stack:
        echo = stack.enter_context(node("echo.js", bench.processors.server))
        ours = stack.enter_context(evcharge(bench.processors.server))

        def contestant(name: str, server: Server, targets: list[str], action: str) -> Contestant:
            load = Load(
                bench.program,
                port=server.port,
                targets=targets,
                message=messages.action(action),
                failure=messages.ACTION_FAILED,
            )
            return Contestant(name, server, stack.enter_context(load))

        bench.say("connecting the apps")
        apps = [f"/?token={tokens_for(user)[0]}" for user in bench.users]
        return in_turns(
            bench,
            contestant(YARDSTICK_ACTION, echo, ["/"] * len(apps), "ping"),
            contestant(PING, ours, apps, "ping"),
            contestant(GET_ACTIVE_SESSION, ours, apps, "get_active_session"),
        )


# --- T3 ---

YARDSTICK_METER_VALUES = "Node ocpp-rpc"
METER_VALUES = "evcharge"


def meter_values(bench: Bench) -> dict[str, Figures]:
    """A charger's meter values, ours acknowledged after the commit. Fails unless every one acknowledged is stored."""
    with ExitStack() as stack:
        rpc = stack.enter_context(node("ocpprpc.js", bench.processors.server))
        ours = stack.enter_context(evcharge(bench.processors.server))

        def contestant(name: str, server: Server) -> Contestant:
            load = Load(
                bench.program,
                port=server.port,
                targets=[f"/ocpp/{messages.IDENTITY.format(number)}" for number in range(len(bench.users))],
                message=messages.meter_values(),
                failure=messages.CALL_FAILED,
                headers=("Sec-WebSocket-Protocol: ocpp1.6",),
            )
            return Contestant(name, server, stack.enter_context(load), light=True)

        bench.say("connecting the chargers")
        storing = contestant(METER_VALUES, ours)
        figures = in_turns(bench, contestant(YARDSTICK_METER_VALUES, rpc), storing)
    stored = MeterReading.objects.count()
    if stored != storing.answered:
        raise RuntimeError(f"{storing.answered} meter values were acknowledged, but {stored} are stored")
    return figures
