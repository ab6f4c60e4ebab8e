"""What every answer of a simulated charger is made of: an operation, its fields, its status."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.ocpp.simulated_line import Answer, Payload, Refusal

if TYPE_CHECKING:
    from gateway.ocpp.simulator import SimulatedCharger


def status(value: str, then: Callable[[], object] | None = None) -> Answer:
    return Answer({"status": value}, then)


def choice(value: str, allowed: Iterable[str]) -> str:
    if value not in allowed:
        raise Refusal("PropertyConstraintViolation", f"{value!r} is none of {', '.join(allowed)}"[:255])
    return value


@dataclass(frozen=True)
class Operation:
    """How to answer an action, and which fields its payload must and may have."""

    answer: Callable[[SimulatedCharger, Payload], Answer]
    required: dict[str, type] = field(default_factory=dict)
    optional: dict[str, type] = field(default_factory=dict)

    def check(self, payload: Payload) -> None:
        """JSON has no subclasses, so a type is compared exactly: true is no connectorId."""
        known = self.required | self.optional
        wrong = [name for name, value in payload.items() if type(value) is not known.get(name)]
        missing = [name for name in self.required if name not in payload]
        if wrong or missing:
            raise Refusal("FormationViolation", f"wrong: {wrong}, missing: {missing}"[:255])
