"""OCPP 1.6: translates what a charger says into one service call, and our commands into what it understands.

Payloads of transactions are read leniently: a charger that is refused repeats itself and then throws the record
away, so what can be understood is stored and the rest does without (E18).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.conf import settings

from chargers import commands
from chargers import services as charger_services
from chargers.events import utcnow
from chargers.models import Charger, Command
from gateway.db import in_db
from gateway.ocpp.rpc import CallError, Handler
from gateway.ocpp.sampled_values import readings_from
from gateway.ocpp.times import now_text, parsed
from gateway.ocpp.writer import writer
from sessions import id_tags, ledger, metering, services
from sessions.metering import Metered, Metering

VERSION = "ocpp1.6"

# What a fact about money is made of; refused, it would be lost. And a tag may be longer than the book says (E40).
TOLERANT = frozenset({"Authorize", "StartTransaction", "StopTransaction", "MeterValues"})

_BOOT_DETAILS = {
    "chargePointVendor": "vendor",
    "chargePointModel": "model",
    "chargePointSerialNumber": "serial_number",
    "chargeBoxSerialNumber": "serial_number",
    "firmwareVersion": "firmware_version",
    "meterType": "meter_type",
}


class V16:
    """One charger's 1.6 conversation. Keeps, per connector, where its meter values go."""

    def __init__(self, charger: Charger) -> None:
        self.charger_id = charger.pk
        self.registration = charger.registration
        self._metered: dict[tuple[int, int | None], Metered] = {}

    def handlers(self) -> dict[str, Handler]:
        """Action → what to do with its payload."""
        return {
            "BootNotification": self.boot_notification,
            "Heartbeat": self.heartbeat,
            "StatusNotification": self.status_notification,
            "Authorize": self.authorize,
            "StartTransaction": self.start_transaction,
            "MeterValues": self.meter_values,
            "StopTransaction": self.stop_transaction,
            "DataTransfer": self.data_transfer,
            "DiagnosticsStatusNotification": self.diagnostics_status_notification,
            "FirmwareStatusNotification": self.firmware_status_notification,
        }

    # --- from the charger ---

    async def boot_notification(self, payload: dict[str, Any]) -> dict[str, Any]:
        details = {
            ours: str(payload[theirs]) for theirs, ours in _BOOT_DETAILS.items() if payload.get(theirs)
        }
        charger = await in_db(charger_services.boot, charger_id=self.charger_id, details=details)
        self.registration = charger.registration
        self._metered.clear()
        return {
            "status": charger.registration,
            "currentTime": now_text(),
            "interval": settings.HEARTBEAT_INTERVAL_S,
        }

    async def heartbeat(self, payload: dict[str, Any]) -> dict[str, Any]:
        return {"currentTime": now_text()}

    async def status_notification(self, payload: dict[str, Any]) -> dict[str, Any]:
        error_code = payload["errorCode"]
        await in_db(
            _record_status,
            charger_id=self.charger_id,
            number=payload["connectorId"],
            status=payload["status"],
            error_code="" if error_code == "NoError" else error_code,
            info=payload.get("info", ""),
            vendor_error_code=payload.get("vendorErrorCode", ""),
            reported_at=parsed(payload.get("timestamp")),
        )
        return {}

    async def authorize(self, payload: dict[str, Any]) -> dict[str, Any]:
        status = await in_db(_authorize, self.charger_id, _text(payload.get("idTag")))
        return {"idTagInfo": {"status": status}}

    async def start_transaction(self, payload: dict[str, Any]) -> dict[str, Any]:
        reported = _text(payload.get("timestamp"))
        started = await in_db(
            ledger.start_session,
            charger_id=self.charger_id,
            connector_number=_integer(payload.get("connectorId")),
            id_tag=_text(payload.get("idTag")),
            meter_start_wh=_integer(payload.get("meterStart")),
            reported_at=parsed(reported),
            reported=reported,
        )
        self._metered.clear()
        return {
            "transactionId": started.session.transaction_id,
            "idTagInfo": {"status": started.id_tag_status},
        }

    async def meter_values(self, payload: dict[str, Any]) -> dict[str, Any]:
        # Taken out, so that the frame does not keep what is read already while we wait for the commit.
        readings = readings_from(payload.pop("meterValue", None), received_at=utcnow())
        if readings:
            where = _integer(payload.get("connectorId")) or 0, _integer(payload.get("transactionId"))
            metered = self._metered.get(where)
            if metered is None:
                metered = await in_db(
                    metering.metered,
                    charger_id=self.charger_id,
                    connector_number=max(0, min(where[0], 32_767)),
                    transaction_id=where[1],
                )
                if len(self._metered) > 2 * charger_services.MAX_CONNECTORS:
                    self._metered.clear()
                self._metered[where] = metered
            await writer().add(Metering(metered, readings))
        return {}

    async def stop_transaction(self, payload: dict[str, Any]) -> dict[str, Any]:
        reported = _text(payload.get("timestamp"))
        id_tag = _text(payload.get("idTag"))
        tag_status = await in_db(
            _stop_session,
            charger_id=self.charger_id,
            transaction_id=_integer(payload.get("transactionId")),
            meter_stop_wh=_integer(payload.get("meterStop")),
            reported_at=parsed(reported),
            reported=reported,
            reason=_text(payload.get("reason")) or "Local",
            id_tag=id_tag,
            readings=readings_from(payload.get("transactionData"), received_at=utcnow()),
        )
        self._metered.clear()
        return {"idTagInfo": {"status": tag_status}} if tag_status else {}

    async def data_transfer(self, payload: dict[str, Any]) -> dict[str, Any]:
        return {"status": "UnknownVendorId"}

    async def diagnostics_status_notification(self, payload: dict[str, Any]) -> dict[str, Any]:
        await in_db(
            charger_services.record_diagnostics_status, charger_id=self.charger_id, status=payload["status"]
        )
        return {}

    async def firmware_status_notification(self, payload: dict[str, Any]) -> dict[str, Any]:
        await in_db(
            charger_services.record_firmware_status, charger_id=self.charger_id, status=payload["status"]
        )
        return {}


def _record_status(*, charger_id: int, number: int, status: str, **details: Any) -> None:
    if charger_services.record_connector_status(
        charger_id=charger_id, number=number, status=status, **details
    ):
        services.connector_reported(
            charger_id=charger_id, number=number, status=status, reported_at=details["reported_at"]
        )


def _stop_session(*, id_tag: str, **facts: Any) -> str:
    """Store the stop; returns what the charger may remember of the tag that ended it, empty without one.

    The transaction is over either way, but a charger keeps the answer in its cache (OCPP 1.6 §4.10).
    """
    session = ledger.stop_session(id_tag=id_tag, **facts)
    tag = id_tags.normalised(id_tag)
    if not tag:
        return ""
    is_ours = session.start_command_id is not None and tag == session.id_tag
    return id_tags.ACCEPTED if is_ours else id_tags.judge(tag).status


def _authorize(charger_id: int, id_tag: str) -> str:
    tag = id_tags.normalised(id_tag)
    return id_tags.ACCEPTED if services.awaits_tag(charger_id, tag) else id_tags.judge(tag).status


def _integer(value: Any) -> int | None:
    """A whole number from a number or its text; None from anything else."""
    try:
        number = round(float(value))
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) < 2**62 else None


def _text(value: Any) -> str:
    return value[:64] if isinstance(value, str) else ""


# --- to the charger ---


class Outgoing(NamedTuple):
    """How one of our commands is said in 1.6: the action, its payload, and which answers mean accepted."""

    action: str
    payload: Callable[[dict[str, Any]], dict[str, Any]]
    accepted: Callable[[dict[str, Any]], bool]


def _status_in(*words: str) -> Callable[[dict[str, Any]], bool]:
    return lambda answer: answer.get("status") in words


def _renamed(**names: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Parameters under OCPP's names, those that are given."""
    return lambda params: {
        theirs: params[ours] for ours, theirs in names.items() if params.get(ours) is not None
    }


OUTGOING: dict[str, Outgoing] = {
    commands.REMOTE_START: Outgoing(
        "RemoteStartTransaction", _renamed(connector_id="connectorId", id_tag="idTag"), _status_in("Accepted")
    ),
    commands.REMOTE_STOP: Outgoing(
        "RemoteStopTransaction", _renamed(transaction_id="transactionId"), _status_in("Accepted")
    ),
    commands.UNLOCK_CONNECTOR: Outgoing(
        "UnlockConnector", _renamed(connector_id="connectorId"), _status_in("Unlocked")
    ),
    commands.RESET: Outgoing("Reset", _renamed(type="type"), _status_in("Accepted")),
    commands.CHANGE_AVAILABILITY: Outgoing(
        "ChangeAvailability",
        _renamed(connector_id="connectorId", type="type"),
        _status_in("Accepted", "Scheduled"),
    ),
    commands.GET_CONFIGURATION: Outgoing("GetConfiguration", _renamed(keys="key"), lambda answer: True),
    commands.CHANGE_CONFIGURATION: Outgoing(
        "ChangeConfiguration", _renamed(key="key", value="value"), _status_in("Accepted", "RebootRequired")
    ),
    commands.CLEAR_CACHE: Outgoing("ClearCache", _renamed(), _status_in("Accepted")),
    commands.TRIGGER_MESSAGE: Outgoing(
        "TriggerMessage",
        _renamed(message="requestedMessage", connector_id="connectorId"),
        _status_in("Accepted"),
    ),
    commands.DATA_TRANSFER: Outgoing(
        "DataTransfer",
        _renamed(vendor_id="vendorId", message_id="messageId", data="data"),
        _status_in("Accepted"),
    ),
}


def spoken(command: Command) -> tuple[str, dict[str, Any]]:
    """The command as (action, payload). Raises CallError where 1.6 has no such word."""
    outgoing = OUTGOING.get(command.action)
    if outgoing is None:
        raise CallError("NotImplemented", f"{command.action} is not part of OCPP 1.6")
    return outgoing.action, outgoing.payload(command.params)


def outcome(action: str, answer: Any) -> tuple[str, Any, str]:
    """What an answer to one of our commands means: (status, answer, error)."""
    if isinstance(answer, CallError):
        error = f"{answer.code}: {answer.description}"
        return (
            Command.Status.REJECTED,
            {"errorCode": answer.code, "errorDescription": answer.description},
            error,
        )
    if not isinstance(answer, dict):
        return Command.Status.REJECTED, answer, "The answer is not an object"
    accepted = OUTGOING[action].accepted(answer)
    return (Command.Status.ACCEPTED if accepted else Command.Status.REJECTED), answer, ""
