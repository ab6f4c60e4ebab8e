"""The chargers of a soak, with their troubles and their books."""

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from gateway.ocpp.simulated_books import Books
from gateway.ocpp.simulated_faults import QUIRKS, Faults
from gateway.ocpp.simulated_line import Direction, decoded
from gateway.ocpp.simulator import SimulatedCharger, dial

CONNECTORS = 2
LOOK_S = 1.0
# So many chargers send meter values every second. More send them less often: one process speaks for them all, and what
# it cannot say in time would be kept, as if every line were down.
EVERY_SECOND = 50
RATES: dict[str, float] = {
    "lost_message": 0.01,
    "lost_answer": 0.02,
    "lost_request": 0.02,
    "lost_reply": 0.02,
    "duplicate": 0.03,
    "duplicate_new_id": 0.03,
    "same_id": 0.5,
    "discarded": 0.004,
    "out_of_order": 0.05,
    "garbage": 0.02,
    "slow_reply": 0.05,
    "call_error": 0.02,
    "reboot": 0.004,
    "power_loss": 0.004,
    "forgotten": 0.002,
    "offline": 0.01,
    "half_open": 0.005,
    "second_socket": 0.01,
    "clock_jump": 0.005,
    "register_jump": 0.002,
    **dict.fromkeys(QUIRKS, 0.08),
}
"""All faults at once: of each message, per second of each charger, and of all chargers."""


class Fleet:
    """`remote_starts` tells which remote start brought which tag: by the id of the CALL, as the charger heard it."""

    def __init__(
        self, identities: list[str], *, seed: int, rates: Mapping[str, float], books: Path | None
    ) -> None:
        self.books = Books(books)
        self.struck: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()
        self.connections = 0
        self.remote_starts: dict[str, str] = {}
        meter_interval_s = max(1.0, len(identities) / EVERY_SECOND)
        self.chargers = {
            identity: self._charger(identity, f"{seed}", rates, number, meter_interval_s)
            for number, identity in enumerate(identities)
        }
        self._dialling: list[asyncio.Task[None]] = []

    def _charger(
        self, identity: str, seed: str, rates: Mapping[str, float], number: int, meter_interval_s: float
    ) -> SimulatedCharger:
        faults = Faults(identity, rates=rates, seed=seed, on_fault=self._struck)
        charger = SimulatedCharger(
            identity,
            connectors=CONNECTORS,
            meter_interval_s=meter_interval_s,
            connection_timeout_s=6,
            seed=int(seed) * 10_000 + number,
            max_power_w=random.Random(f"{seed}:{identity}:power").choice([7_400, 22_000, 150_000]),
            auto_plug_s=0.5,
            auto_unplug_s=1,
            call_timeout_s=5,
            boot_retry_s=1,
            retry_interval_s=0.5,
            faults=faults,
            books=self.books,
            on_frame=self._heard,
        )
        charger.settings["TransactionMessageAttempts"] = "5"
        return charger

    def with_quirk(self, quirk: str) -> set[str]:
        return {identity for identity, charger in self.chargers.items() if charger.faults.has(quirk)}

    def _struck(self, fault: str) -> None:
        self.struck[fault] += 1

    def _heard(self, identity: str, direction: Direction, text: str) -> None:
        frame = decoded(text)
        if frame[0] != 2:
            return
        self.messages[frame[2]] += 1
        if direction == "in" and frame[2] == "RemoteStartTransaction":
            self.remote_starts[frame[1]] = frame[3]["idTag"]

    def dial(self, url: Callable[[], str]) -> None:
        def next_url() -> str:
            self.connections += 1
            return url()

        dialling = partial(dial, url=next_url, redial_s=0.5, redial_most_s=2)
        self._dialling = [asyncio.create_task(dialling(each)) for each in self.chargers.values()]

    async def recover(self, *, patience_s: float) -> None:
        """Faults off, clocks right, cars gone; wait until every fact is delivered. Then a restart tells the rest.

        It takes the time it takes, but not `patience_s` in which nothing more is delivered.
        """
        await self._settle(patience_s)
        chargers = self.chargers.values()
        for charger in chargers:
            charger.restart_later("Reboot", graceful=True)
        await asyncio.gather(*(each.until(is_away, timeout_s=patience_s) for each in chargers))
        await self._settle(patience_s)

    async def _settle(self, patience_s: float) -> None:
        """A start asked for before may still arrive, and its car is plugged in then: so again and again."""
        fewest, deadline = math.inf, 0.0
        while restless := [each for each in self.chargers.values() if not is_settled(each)]:
            left = sum(each.kept_messages for each in restless) + len(restless)
            now = time.monotonic()
            if left < fewest:
                fewest, deadline = left, now + patience_s
            elif now > deadline:
                raise RuntimeError(f"not recovered: {len(restless)}, such as {described(restless[0])}")
            for charger in restless:
                charger.recover()
            await asyncio.sleep(LOOK_S)

    async def close(self) -> None:
        for task in self._dialling:
            task.cancel()
        await asyncio.gather(*self._dialling, return_exceptions=True)
        self.books.close()


def is_away(charger: SimulatedCharger) -> bool:
    return not charger.uplink.ready


def described(charger: SimulatedCharger) -> str:
    statuses = [charger.status(number) for number in charger.connectors]
    return f"{charger.identity} {charger.registration} {statuses} {charger.kept_messages} messages kept"


def is_settled(charger: SimulatedCharger) -> bool:
    is_idle = all(connector.status == "Available" for connector in charger.connectors.values())
    return charger.uplink.ready and is_idle and charger.uplink.is_quiet
