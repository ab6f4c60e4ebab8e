"""Reservations of a simulated charger: who may use a connector meanwhile (OCPP 1.6 §5.2, §5.13)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from gateway.ocpp.simulated_line import Answer, Payload, Refusal
from gateway.ocpp.simulated_operations import Operation, status

if TYPE_CHECKING:
    from gateway.ocpp.simulator import SimulatedCharger


@dataclass(frozen=True)
class Reservation:
    """A connector kept for a tag, and for all tags of its parent if that is named."""

    number: int
    id_tag: str
    expires_at: datetime
    parent_id_tag: str | None = None

    def admits(self, id_tag: str, parent_id_tag: str | None) -> bool:
        if id_tag.casefold() == self.id_tag.casefold():
            return True
        return self.parent_id_tag is not None and self.parent_id_tag == parent_id_tag

    def seconds_left(self) -> float:
        return (self.expires_at - datetime.now(UTC)).total_seconds()


def moment(text: str) -> datetime:
    """A time as the central system writes it; one without a zone is UTC (§3.15)."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal("PropertyConstraintViolation", f"{text!r} is no time"[:255]) from None
    return at.replace(tzinfo=at.tzinfo or UTC)


REFUSALS = {"Faulted": "Faulted", "Unavailable": "Unavailable"}
"""What a connector that cannot be reserved answers, by its status; else it is Occupied."""


def reserve_now(charger: SimulatedCharger, payload: Payload) -> Answer:
    """Connector 0 would mean any of them; this charger reserves one by its number (ReserveConnectorZeroSupported)."""
    connector = charger.connectors.get(payload["connectorId"])
    if connector is None or charger.registration != "Accepted":
        return status("Rejected")
    reservation = Reservation(
        number=payload["reservationId"],
        id_tag=payload["idTag"],
        expires_at=moment(payload["expiryDate"]),
        parent_id_tag=payload.get("parentIdTag"),
    )
    if reservation.seconds_left() <= 0:
        return status("Rejected")
    replaces = connector.reservation is not None and connector.reservation.number == reservation.number
    if connector.status != "Available" and not replaces:
        return status(REFUSALS.get(connector.status, "Occupied"))
    for other in charger.connectors.values():
        if other.reservation is not None and other.reservation.number == reservation.number:
            other.reserve(None)  # the same number again replaces it, wherever it was (§5.13)
    return status("Accepted", partial(connector.reserve, reservation))


def cancel_reservation(charger: SimulatedCharger, payload: Payload) -> Answer:
    for connector in charger.connectors.values():
        if connector.reservation is not None and connector.reservation.number == payload["reservationId"]:
            return status("Accepted", partial(connector.reserve, None))
    return status("Rejected")


OPERATIONS = {
    "CancelReservation": Operation(cancel_reservation, {"reservationId": int}),
    "ReserveNow": Operation(
        reserve_now,
        {"connectorId": int, "expiryDate": str, "idTag": str, "reservationId": int},
        {"parentIdTag": str},
    ),
}
