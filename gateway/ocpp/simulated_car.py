"""The car at the end of a simulated charger's cable: a battery and a power curve, without a clock."""

import random

STEP_S = 10.0
"""Power and its noise stay constant for this long, so energy does not depend on how often one looks."""

TAPER_FROM_PERCENT = 80.0
TAPER_FLOOR = 0.1
"""Share of the full power a battery still takes just before it is full."""

FULL_FROM_PERCENT = 99.99


class SimulatedCar:
    """A battery that takes full power up to 80 %, less and less after that, and nothing once it is full.

    Two cars made alike take the same energy; `noise` is the largest relative deviation of the power.
    """

    def __init__(
        self,
        *,
        max_power_w: float = 7_400,
        battery_wh: float = 60_000,
        soc_percent: float = 30,
        noise: float = 0.02,
        seed: int | str = 0,
    ) -> None:
        if battery_wh <= 0 or max_power_w < 0 or not 0 <= soc_percent <= 100 or not 0 <= noise < 1:
            raise ValueError(
                "battery_wh > 0, max_power_w >= 0, soc_percent in 0..100 and noise in 0..1 are needed"
            )
        self.max_power_w = max_power_w
        self.battery_wh = battery_wh
        self.stored_wh = battery_wh * soc_percent / 100
        self._noise = noise
        self._random = random.Random(seed)
        self._left_in_step_s = STEP_S
        self._power_w = self._draw_power_w()

    @property
    def soc_percent(self) -> float:
        return 100 * self.stored_wh / self.battery_wh

    @property
    def full(self) -> bool:
        return self.soc_percent >= FULL_FROM_PERCENT

    @property
    def power_w(self) -> float:
        """What the car takes right now if it is offered all it can take."""
        return 0.0 if self.full else self._power_w

    def charge(self, elapsed_s: float, *, most_w: float | None = None) -> float:
        """Take energy for `elapsed_s` seconds, never more than `most_w`; returns how much was taken in Wh."""
        taken_wh, limit_w = 0.0, float("inf") if most_w is None else most_w
        while elapsed_s > 0 and not self.full:
            slice_s = min(elapsed_s, self._left_in_step_s)
            taken_wh += self._store(min(self._power_w, limit_w) * slice_s / 3600)
            elapsed_s -= slice_s
            self._left_in_step_s -= slice_s
            if self._left_in_step_s <= 0:
                self._left_in_step_s = STEP_S
                self._power_w = self._draw_power_w()
        return taken_wh

    def _store(self, energy_wh: float) -> float:
        stored_wh = min(energy_wh, self.battery_wh - self.stored_wh)
        self.stored_wh += stored_wh
        return stored_wh

    def _draw_power_w(self) -> float:
        # Noise only lowers the power: a car never takes more than the cable gives.
        return self.max_power_w * taper(self.soc_percent) * (1 - self._noise * self._random.random())


def taper(soc_percent: float) -> float:
    """Share of the full power taken: 1 up to 80 % of charge, then a straight line down to a tenth."""
    above = (soc_percent - TAPER_FROM_PERCENT) / (100 - TAPER_FROM_PERCENT)
    return 1 - (1 - TAPER_FLOOR) * min(max(above, 0.0), 1.0)
