"""What an installation needs: from its phones and chargers, and from what was measured, to cores and memory. Pure.

The costs are of the machine in docs/benchmarks.md; on another one they scale with its speed. Needs are rounded up, and
leave HEADROOM: a process that is busy all the time is late for everybody.
"""

from dataclasses import dataclass
from math import ceil

HEADROOM = 0.5  # how busy a core is to be at most, at the busiest time


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Measured: µs of processor time, KiB of memory. docs/capacity.md says how."""

    process_kib: float = 100 * 1024
    phone_kib: float = 17.4
    charger_kib: float = 26.5
    redis_kib_per_phone: float = 0.45
    idle_us_per_socket_s: float = 8.7  # pings and their answers
    action_us: float = 6100
    push_us: float = 126
    meter_values_us: float = 104
    phone_connect_us: float = 865
    postgresql_us_per_meter_values: float = 61
    redis_us_per_push: float = 6


@dataclass(frozen=True, kw_only=True)
class Load:
    """`phones` and `chargers` are connected at once. Shares are of all, rates of one."""

    phones: int
    chargers: int
    charging: float = 0.3
    meter_interval_s: float = 10
    watching: float = 1.0  # of charging sessions that a phone is open for
    actions_per_hour: float = 12
    reconnect_s: float = 60  # in which all phones are to be back after an outage


@dataclass(frozen=True)
class Needs:
    """Of one kind of thing: cores to have, and memory in GiB."""

    name: str
    busy_cores: float
    cores: int
    memory_gib: float
    why: str


def needs(load: Load, costs: Costs = Costs()) -> list[Needs]:
    """What it takes: server processes (one a core), PostgreSQL, Redis."""
    meter_values = load.chargers * load.charging / load.meter_interval_s
    pushes = meter_values * load.watching
    actions = load.phones * load.actions_per_hour / 3600
    sockets = load.phones + load.chargers
    parts = {
        "meter values": meter_values * costs.meter_values_us,
        "pushes": pushes * costs.push_us,
        "actions": actions * costs.action_us,
        "idle sockets": sockets * costs.idle_us_per_socket_s,
    }
    busy = sum(parts.values()) / 1e6
    storm = load.phones * costs.phone_connect_us / 1e6 / load.reconnect_s
    processes = max(2, ceil(busy / HEADROOM), ceil(storm + busy))
    memory_kib = (
        processes * costs.process_kib + load.phones * costs.phone_kib + load.chargers * costs.charger_kib
    )
    database = meter_values * costs.postgresql_us_per_meter_values / 1e6
    redis = pushes * costs.redis_us_per_push / 1e6
    rates = f"{meter_values:,.0f} meter values, {pushes:,.0f} pushes, {actions:,.0f} actions a second"
    return [
        Needs(
            "server processes", busy, processes, memory_kib / 2**20, f"{rates}; {storm:.1f} cores to be back"
        ),
        Needs(
            "PostgreSQL",
            database,
            max(1, ceil(database / HEADROOM)),
            4.0,
            "meter values; what actions ask comes on top",
        ),
        Needs(
            "Redis",
            redis,
            max(1, ceil(redis / HEADROOM)),
            max(0.25, load.phones * costs.redis_kib_per_phone / 2**20),
            "carries hints only",
        ),
    ]
