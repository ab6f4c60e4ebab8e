"""Chargers that are let in, kept waiting, or kept out; what their pages' form and actions do."""

from typing import Any

from django.db import transaction

from chargers import services
from chargers.commands import TRIGGER_MESSAGE, may_send, send_command
from chargers.models import Charger, Command

Registration = Charger.Registration


def who_asks(user: Any) -> Any:
    """In whose name `accept` may ask a charger to boot; None for a user who may not send that."""
    return user if may_send(user, TRIGGER_MESSAGE) else None


@transaction.atomic
def accept(charger: Charger, *, by: object = None) -> Command | None:
    """Accept a charger. One that is connected is asked, in the name of `by`, to boot anew: only then it hears of it.

    Asked before it is accepted: an accepted charger must not be (errata 3.40, E44), a pending one may (OCPP 1.6 §4.2).
    """
    command = None
    if by is not None and charger.is_connected and charger.registration == Registration.PENDING:
        command = send_command(
            charger=charger,
            action=TRIGGER_MESSAGE,
            params={"message": "BootNotification"},
            requested_by=by,  # type: ignore[arg-type]
        )
    services.accept(charger)
    return command


@transaction.atomic
def shut_out(charger: Charger, registration: Registration) -> None:
    """Reject a charger, or put it back to wait: its socket is closed, and what it hears next is its new state."""
    charger.registration = registration
    charger.save(update_fields=["registration"])
    services.announce_removed(charger)


@transaction.atomic
def remove(charger: Charger) -> None:
    services.announce_removed(charger)
    charger.delete()
