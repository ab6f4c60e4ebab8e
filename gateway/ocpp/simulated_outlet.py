"""One outlet of a simulated charger: its facts, the status that follows from them, its meter. No waiting."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gateway.ocpp.simulated_car import SimulatedCar

if TYPE_CHECKING:
    from gateway.ocpp.simulated_books import Entry
    from gateway.ocpp.simulated_reservations import Reservation

NO_ERROR = "NoError"
VOLTAGE_V = 230.0
PHASES: dict[int, tuple[str | None, ...]] = {1: (None,), 3: ("L1", "L2", "L3")}

MeterValue = dict[str, Any]


@dataclass(eq=False)
class Transaction:
    """A transaction as the charger knows it; `transaction_id` is None until StartTransaction was answered."""

    id_tag: str
    begin: list[MeterValue]
    entry: "Entry"
    """Where it stands in the charger's books."""
    transaction_id: int | None = None
    parent_id_tag: str | None = None
    energy_allowed: bool = True
    began_offline: bool = False
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    """By the true clock, whatever the charger's says."""


@dataclass(eq=False)
class Outlet:
    """Change a fact, and `status` follows; call `accrue` before a change that affects the power."""

    number: int
    clock: Callable[[], float]
    speed: float
    phases: int
    counted_wh: float
    operative: bool = field(default=True, init=False)
    error_code: str = field(default=NO_ERROR, init=False)
    car: SimulatedCar | None = field(default=None, init=False)
    wanted_by: str | None = field(default=None, init=False)
    """The tag that claimed the connector and has no transaction yet."""
    authorizing: bool = field(default=False, init=False)
    """Whether the central system was asked about that tag and has not answered yet."""
    transaction: Transaction | None = field(default=None, init=False)
    reservation: "Reservation | None" = field(default=None, init=False)
    used_up: bool = field(default=False, init=False)
    """The car is still plugged in, but its transaction, or the time to start one, is over."""
    _counted_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._counted_at = self.clock()

    @property
    def status(self) -> str:
        """What StatusNotification says (OCPP 1.6 §4.9); the first fact that applies decides."""
        if self.error_code != NO_ERROR:
            return "Faulted"
        if self.transaction is not None:
            return self._status_in_transaction(self.transaction)
        if not self.operative and self.wanted_by is None:
            return "Unavailable"
        if self.used_up:
            return "Finishing"
        if self.reservation is not None and (self.wanted_by is None or self.authorizing):
            return "Reserved"
        return "Preparing" if self.car is not None or self.wanted_by is not None else "Available"

    def _status_in_transaction(self, transaction: Transaction) -> str:
        if not transaction.energy_allowed or self.limit_w() == 0:
            return "SuspendedEVSE"
        return "SuspendedEV" if self.car is None or self.car.full else "Charging"

    @property
    def info(self) -> str | None:
        """What §4.9 asks to add when the cable was pulled at the car and the transaction goes on."""
        return "EV side disconnected" if self.transaction is not None and self.car is None else None

    @property
    def busy(self) -> bool:
        return self.transaction is not None or self.wanted_by is not None

    @property
    def free(self) -> bool:
        """Whether a new transaction may be promised here; a car may already be waiting."""
        return self.operative and self.error_code == NO_ERROR and not self.busy

    @property
    def transaction_id(self) -> int | None:
        return self.transaction.transaction_id if self.transaction is not None else None

    @property
    def register_wh(self) -> int:
        """The energy register in whole Wh; it rises for the life of the charger and never goes back."""
        self.accrue()
        return int(self.counted_wh)

    @property
    def power_w(self) -> float:
        self.accrue()
        if self.car is None or self.status != "Charging":
            return 0.0
        limit_w = self.limit_w()
        return self.car.power_w if limit_w is None else min(self.car.power_w, limit_w)

    def limit_w(self) -> float | None:
        """What smart charging allows now; None is no limit."""
        return None

    @property
    def soc_percent(self) -> float | None:
        self.accrue()
        return self.car.soc_percent if self.car is not None else None

    def accrue(self) -> None:
        """Count the energy that flowed since the last look."""
        now = self.clock()
        elapsed_s, self._counted_at = now - self._counted_at, now
        if self.car is not None and self.status == "Charging":
            self.counted_wh += self.car.charge(elapsed_s * self.speed, most_w=self.limit_w())

    def meter_values(self, measurands: Iterable[str], *, context: str, timestamp: str) -> list[MeterValue]:
        """One reading of the measurands, as a list that is empty if there is nothing to read."""
        values = [
            {"value": value, "context": context, "measurand": measurand, "location": location, "unit": unit}
            | ({"phase": phase} if phase else {})
            for measurand in measurands
            for value, unit, location, phase in MEASURANDS[measurand](self)
        ]
        return [{"timestamp": timestamp, "sampledValue": values}] if values else []


Reading = tuple[str, str, str, str | None]
"""Value, unit, location and phase of one sampled value."""


def read_energy(outlet: Outlet) -> list[Reading]:
    return [(str(outlet.register_wh), "Wh", "Outlet", None)]


def read_power(outlet: Outlet) -> list[Reading]:
    return [(f"{outlet.power_w:.0f}", "W", "Outlet", None)]


def read_current(outlet: Outlet) -> list[Reading]:
    ampere = f"{outlet.power_w / VOLTAGE_V / outlet.phases:.1f}"
    return [(ampere, "A", "Outlet", phase) for phase in PHASES[outlet.phases]]


def read_voltage(outlet: Outlet) -> list[Reading]:
    return [
        (f"{VOLTAGE_V:.0f}", "V", "Outlet", f"{phase}-N" if phase else None)
        for phase in PHASES[outlet.phases]
    ]


def read_soc(outlet: Outlet) -> list[Reading]:
    soc_percent = outlet.soc_percent
    return [] if soc_percent is None else [(f"{soc_percent:.0f}", "Percent", "EV", None)]


MEASURANDS: dict[str, Callable[[Outlet], list[Reading]]] = {
    "Energy.Active.Import.Register": read_energy,
    "Power.Active.Import": read_power,
    "Current.Import": read_current,
    "Voltage": read_voltage,
    "SoC": read_soc,
}
"""What this meter can measure; a charger of three phases reports each of them (§3.16.3)."""
