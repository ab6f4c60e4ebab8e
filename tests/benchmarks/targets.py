"""T1 to T12: what is promised, against what, and whether it was kept."""

from collections.abc import Sequence
from typing import NamedTuple


class Target(NamedTuple):
    """One promise (`must`) and one aim (`stretch`), in `unit`; a plain number is a ratio to the yardstick."""

    measure: str
    yardstick: str
    must: float
    stretch: float
    unit: str = ""
    at_most: bool = False

    def is_met(self, value: float, mark: float) -> bool:
        return value <= mark if self.at_most else value >= mark

    def mark(self, value: float) -> str:
        return f"{'≤' if self.at_most else '≥'} {value:g}{self.unit}"


TARGETS = {
    "T1": Target(
        "an app's JSON action and its answer, messages per CPU second", "Node `ws`, JSON echo", 0.50, 0.70
    ),
    "T2": Target(
        "Heartbeat and MeterValues in turn, nothing stored, messages per second",
        "Node `ocpp-rpc`, strict",
        0.90,
        1.15,
    ),
    "T3": Target(
        "MeterValues, each committed before its answer, messages per second",
        "Node `ocpp-rpc`, strict, storing nothing",
        0.40,
        0.60,
    ),
    "T4": Target("the same", "Node `ocpp-rpc`, strict, with `pg` and 32 connections", 1.5, 2.0),
    "T5": Target("the same", "the `ocpp` package of PyPI, storing nothing", 4, 7),
    "T6": Target(
        "the same at 300 messages a second: p99 of the answer",
        "Node `ocpp-rpc`, strict, storing nothing",
        5,
        3,
        at_most=True,
    ),
    "T7": Target(
        "memory of one connected charger, and of one app; the worse of the two, with 2000",
        "a charger's at Node `ocpp-rpc`",
        1.3,
        1.05,
        at_most=True,
    ),
    "T8": Target(
        "connections of apps per second: token, user looked up, groups joined, state sent",
        "Node `ws`, bare handshake",
        0.25,
        0.40,
    ),
    "T9": Target(
        "pushes to 1000 groups of one socket, 300 a second: p99",
        "a bare hub on Redis pub/sub",
        3,
        1.5,
        at_most=True,
    ),
    "T10": Target("pushes to one group of 1000 sockets, 3 a second: p99", "the same hub", 3, 2, at_most=True),
    "T11": Target(
        "the bus killed and started again: until pushes flow to every socket; none may close",
        "–",
        3,
        3,
        " s",
        at_most=True,
    ),
    "T12": Target(
        "a client that never reads, sent 20,000 pushes of 8 KiB: growth of the server; closed with 1013",
        "–",
        10,
        3,
        " MiB",
        at_most=True,
    ),
}


class Outcome(NamedTuple):
    """What one target came to. `fault`: why it is missed whatever the value."""

    target: str
    value: float
    fault: str = ""

    @property
    def is_met(self) -> bool:
        target = TARGETS[self.target]
        return not self.fault and target.is_met(self.value, target.must)

    @property
    def is_stretch_met(self) -> bool:
        target = TARGETS[self.target]
        return self.is_met and target.is_met(self.value, target.stretch)

    @property
    def verdict(self) -> str:
        word = "met, and the stretch mark" if self.is_stretch_met else "met" if self.is_met else "**missed**"
        return f"{word}: {self.fault}" if self.fault else word

    @property
    def shown(self) -> str:
        return f"{self.value:.2f}{TARGETS[self.target].unit}"


class Finding(NamedTuple):
    """One measurement: its figures as a table, and what they say of the targets."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    outcomes: list[Outcome]
    note: str = ""
