"""Whether a charger is heard before it is accepted (OCPP 1.6 §4.2, OCPP-J errata 3.8; E19).

One that is pending or rejected gets SecurityError, but for what we asked it for. And for facts about money: a charger
that is refused throws them away, so they are stored, whoever it is; a person judges them. One that reconnects
without booting is what it was before (OCPP-J §5.4).
"""

from functools import partial
from typing import Any

from chargers.models import Charger
from gateway.ocpp.rpc import CallError, Handler

ALWAYS_HEARD = frozenset({"BootNotification", "StartTransaction", "StopTransaction", "MeterValues"})

# What a message of ours makes a charger send. A trigger names it.
_CONSEQUENCES = {
    "GetDiagnostics": "DiagnosticsStatusNotification",
    "UpdateFirmware": "FirmwareStatusNotification",
    "GetLog": "LogStatusNotification",
    "SignedUpdateFirmware": "SignedFirmwareStatusNotification",
}
_TRIGGERS = {"TriggerMessage", "ExtendedTriggerMessage"}
_TRIGGERED = {"SignChargePointCertificate": "SignCertificate"}


class Acceptance:
    """On one connection: the charger's registration, and what we asked it for."""

    def __init__(self, registration: str) -> None:
        self.registration = registration
        self._asked_for: tuple[str, ...] = ()

    def asked(self, action: str, payload: dict[str, Any]) -> None:
        """We are about to send this: what it leads to will be heard."""
        if action in _TRIGGERS:
            message = str(payload.get("requestedMessage"))
            self._remember(_TRIGGERED.get(message, message))
            if (
                message == "FirmwareStatusNotification"
            ):  # a signed update has a message of its own (L01.FR.28)
                self._remember("SignedFirmwareStatusNotification")
        elif action in _CONSEQUENCES:
            self._remember(_CONSEQUENCES[action])

    def _remember(self, message: str) -> None:
        if message not in self._asked_for:
            self._asked_for += (message,)

    @property
    def is_accepted(self) -> bool:
        return self.registration == Charger.Registration.ACCEPTED

    def guarded(self, action: str, handler: Handler) -> Handler:
        """The handler, or one that refuses."""
        if self.is_accepted or action in ALWAYS_HEARD or action in self._asked_for:
            return handler
        return partial(_refuse, action)


async def _refuse(action: str, payload: Any) -> dict[str, Any]:
    raise CallError("SecurityError", f"{action} before this charger is accepted")
