"""The two ratios: what an app's action costs, and how fast meter values are stored, each against its yardstick.

A yardstick and our server are up at the same time and take turns, so that both see the machine in the same moods.
"""

from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import msgspec
from django.contrib.auth.models import User

from tests.bench import drivers, messages
from tests.bench.processes import Load, Processors, Server, evcharge, node

SUBPROTOCOL = "Sec-WebSocket-Protocol: ocpp1.6"
LIGHT_LOAD_PER_S = 300


class Plan(msgspec.Struct, frozen=True):
    """How long to look."""

    rounds: int = 5
    seconds: float = 3.0
    warm_up_s: float = 2.0


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
            light_p50_ms=light and light.p50_ms,
            light_p99_ms=light and light.p99_ms,
        )


def in_turns(contestants: list[Contestant], plan: Plan, say: Callable[[str], None]) -> dict[str, Figures]:
    """Medians by name. The order turns round every time, so that nobody always comes first."""
    for contestant in contestants:
        contestant.warm_up(plan.warm_up_s)
    rounds: dict[str, list[Figures]] = defaultdict(list)
    for number in range(plan.rounds):
        for contestant in contestants if number % 2 == 0 else reversed(contestants):
            say(f"round {number + 1} of {plan.rounds}: {contestant.name}")
            rounds[contestant.name].append(contestant.round(plan.seconds))
    return {name: _medians(figures) for name, figures in rounds.items()}


def _medians(rounds: list[Figures]) -> Figures:
    values = {name: [getattr(figures, name) for figures in rounds] for name in Figures.__struct_fields__}
    return Figures(**{name: None if None in each else median(each) for name, each in values.items()})


# --- T1 ---

YARDSTICK_ACTION = "Node ws, JSON echo"
PING = "evcharge, ping"
GET_ACTIVE_SESSION = "evcharge, get_active_session (reads the database)"


def actions(
    program: Path, users: list[User], plan: Plan, processors: Processors, say: Callable[[str], None]
) -> dict[str, Figures]:
    """An app's action and its answer, over real sockets with real tokens."""
    with ExitStack() as stack:
        echo = stack.enter_context(node("echo.js", processors.server))
        ours = stack.enter_context(evcharge(processors.server))

        def load(server: Server, targets: list[str], action: str) -> Load:
            return stack.enter_context(
                Load(
                    program,
                    port=server.port,
                    targets=targets,
                    message=messages.action(action),
                    failure=messages.ACTION_FAILED,
                )
            )

        say("connecting the apps")
        dial = drivers.targets(users)
        return in_turns(
            [
                Contestant(YARDSTICK_ACTION, echo, load(echo, ["/"] * len(users), "ping")),
                Contestant(PING, ours, load(ours, dial, "ping")),
                Contestant(GET_ACTIVE_SESSION, ours, load(ours, dial, "get_active_session")),
            ],
            plan,
            say,
        )


# --- T3 ---

YARDSTICK_METER_VALUES = "Node ocpp-rpc strict, stores nothing"
METER_VALUES = "evcharge, committed to PostgreSQL"


def meter_values(
    program: Path, users: list[User], plan: Plan, processors: Processors, say: Callable[[str], None]
) -> dict[str, Figures]:
    """A charger's meter values, ours acknowledged after the commit. Fails unless every one acknowledged is stored."""
    dial = [f"/ocpp/{messages.IDENTITY.format(number)}" for number in range(len(users))]

    with ExitStack() as stack:
        rpc = stack.enter_context(node("ocpprpc.js", processors.server))
        server = stack.enter_context(evcharge(processors.server))

        def load(server: Server) -> Load:
            return stack.enter_context(
                Load(
                    program,
                    port=server.port,
                    targets=dial,
                    message=messages.meter_values(),
                    failure=messages.CALL_FAILED,
                    headers=(SUBPROTOCOL,),
                )
            )

        say("connecting the chargers")
        yardstick = Contestant(YARDSTICK_METER_VALUES, rpc, load(rpc), light=True)
        ours = Contestant(METER_VALUES, server, load(server), light=True)
        figures = in_turns([yardstick, ours], plan, say)
        stored = drivers.stored_readings()
        if stored != ours.answered:
            raise RuntimeError(f"{ours.answered} meter values were acknowledged, {stored} are stored")
        say(f"{stored:,} meter values acknowledged, as many stored")
        return figures
