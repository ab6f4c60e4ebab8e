"""What the connectors of a simulated charger share."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from gateway.ocpp.simulated_books import Books
from gateway.ocpp.simulated_car import SimulatedCar
from gateway.ocpp.simulated_faults import Faults
from gateway.ocpp.simulated_profiles import Profiles
from gateway.ocpp.simulated_settings import Settings
from gateway.ocpp.simulated_tags import Tags
from gateway.ocpp.simulated_uplink import Uplink


@dataclass(frozen=True)
class Equipment:
    """What the connectors of a charger share, and how their driver behaves."""

    settings: Settings
    uplink: Uplink
    tags: Tags
    profiles: Profiles
    faults: Faults
    books: Books
    charger: str
    new_car: Callable[[], SimulatedCar]
    spawn: Callable[[Coroutine[Any, Any, Any]], object]
    auto_plug_s: float | None
    auto_unplug_s: float | None
