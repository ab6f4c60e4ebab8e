"""OCPP 1.6: translates what a charger says into one service call. What we say is in v16_commands.

Payloads of transactions are read leniently: a charger that is refused repeats itself and then throws the record
away, so what can be understood is stored and the rest does without (E18).
"""

from typing import Any

from django.conf import settings

from chargers import services as charger_services
from chargers.events import utcnow
from chargers.models import Charger
from gateway.db import in_db
from gateway.ocpp.rpc import Handler
from gateway.ocpp.sampled_values import readings_from
from gateway.ocpp.times import now_text, parsed
from gateway.ocpp.v16_commands import VERSION, outcome, spoken
from gateway.ocpp.writer import writer
from sessions import id_tags, ledger, metering, services
from sessions.metering import Metered, Metering

__all__ = ["TOLERANT", "V16", "VERSION", "outcome", "spoken"]

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
