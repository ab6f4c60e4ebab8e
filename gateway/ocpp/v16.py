"""OCPP 1.6: translates what a charger says into one service call. What we say is in v16_commands.

Payloads of transactions are read leniently: a charger that is refused repeats itself and then throws the record
away, so what can be understood is stored and the rest does without (E18).
"""

import asyncio
from collections.abc import Awaitable, Callable
from types import MethodType
from typing import Any

import msgspec
from django.conf import settings
from django.db import transaction

from chargers import certificates, firmware, log_uploads, quirks, security
from chargers import services as charger_services
from chargers.clock import as_text
from chargers.events import utcnow
from chargers.models import Charger
from chargers.quirks import Quirks
from gateway import logs, tracing
from gateway.db import in_db
from gateway.ocpp import data_transfer, plain_values
from gateway.ocpp.acceptance import Acceptance
from gateway.ocpp.hearing import Hearing
from gateway.ocpp.hearing import integer as _integer
from gateway.ocpp.hearing import text as _text
from gateway.ocpp.plain_values import MeterValues
from gateway.ocpp.rpc import Done, Handler, Reader, Rpc
from gateway.ocpp.v16_commands import VERSION, outcome, spoken
from gateway.ocpp.writer import writer
from sessions import id_tags, ledger, metering, registers, services
from sessions.metering import Metered, Metering

__all__ = ["READERS", "TOLERANT", "V16", "VERSION", "outcome", "spoken"]

# What a fact about money is made of; refused, it would be lost. And a tag may be longer than the book says (E40).
TOLERANT = frozenset({"Authorize", "StartTransaction", "StopTransaction", "MeterValues"})

# How the most frequent message is read where there is nothing unusual about it.
READERS: dict[str, Reader] = {"MeterValues": plain_values.read}

# The length of those columns; words outside the lists come from lenient chargers only.
MAX_STATUS, MAX_ERROR_CODE = 13, 50

_BOOT_DETAILS = {
    "chargePointVendor": "vendor",
    "chargePointModel": "model",
    "chargePointSerialNumber": "serial_number",
    "chargeBoxSerialNumber": "serial_number",
    "firmwareVersion": "firmware_version",
    "meterType": "meter_type",
}


NOT_OURS = 2**62


class V16:
    """One charger's 1.6 conversation. Keeps, per connector, where its meter values go.

    `adopt` is told of its quirks when it has said what it is.
    """

    def __init__(
        self,
        charger: Charger,
        rpc: Rpc,
        charger_quirks: Quirks = quirks.NONE,
        *,
        adopt: Callable[[Quirks], None] = lambda known: None,
    ) -> None:
        self.charger_id = charger.pk
        self.acceptance = Acceptance(charger.registration)
        self.rpc, self.hear, self._adopt = rpc, Hearing(rpc, charger_quirks), adopt
        self._metered: dict[tuple[int, int | None], Metered] = {}
        self._writer = writer()  # asked for once: to ask for the event loop is a system call

    def forget_sessions(self) -> None:
        """What runs where has changed: read it anew."""
        self._metered.clear()

    def handler_of(self, action: str) -> Handler | None:
        """What to do with the payload of such a CALL; None if it is not for us."""
        handler = _HANDLERS.get(action)
        return None if handler is None else self.acceptance.guarded(action, MethodType(handler, self))

    def at_once(self, action: str, payload: str, done: Done) -> bool:
        """Handle what a charger says all day, where there is nothing to wait for but a commit; see gateway.ocpp.rpc.

        What is unusual about it is for the handler of its action.
        """
        if action == "MeterValues":
            return self._meter_values_at_once(payload, done)
        if action != "Heartbeat" or payload.strip(" \t\r\n") != "{}" or not self.acceptance.is_accepted:
            return False
        done(_the_time())
        return True

    def _meter_values_at_once(self, text: str, done: Done) -> bool:
        try:
            payload = plain_values.read(text)
        except (msgspec.DecodeError, RecursionError):
            return False
        metered = self._metered.get((payload.connectorId, payload.transactionId))
        if metered is None or metered.has_ended or self.hear.quirks.counts_per_session:
            return False
        readings = self.hear.usual_readings(payload.meterValue, received_at=utcnow())
        if not readings or not metered.is_for(payload.transactionId, readings):
            return False
        return self._writer.put(Metering(metered, readings), done)

    # --- from the charger ---

    async def boot_notification(self, payload: dict[str, Any]) -> dict[str, Any]:
        details = {
            ours: str(payload[theirs]) for theirs, ours in _BOOT_DETAILS.items() if payload.get(theirs)
        }
        charger, self.hear.quirks = await in_db(_boot, charger_id=self.charger_id, details=details)
        self._adopt(self.hear.quirks)
        self.acceptance.registration = charger.registration
        self._metered.clear()
        return {
            "status": charger.registration,
            "currentTime": as_text(utcnow()),
            "interval": settings.HEARTBEAT_INTERVAL_S,
        }

    async def heartbeat(self, payload: dict[str, Any]) -> dict[str, Any]:
        return _the_time()

    async def status_notification(self, payload: dict[str, Any]) -> dict[str, Any]:
        error_code = _text(payload.get("errorCode"))[:MAX_ERROR_CODE]
        await in_db(
            _record_status,
            charger_id=self.charger_id,
            number=_integer(payload.get("connectorId")) or 0,
            status=_text(payload["status"])[:MAX_STATUS],
            error_code="" if error_code == "NoError" else error_code,
            info=str(payload.get("info") or ""),
            vendor_error_code=str(payload.get("vendorErrorCode") or ""),
            reported_at=self.hear.time(payload.get("timestamp")),
        )
        return {}

    async def authorize(self, payload: dict[str, Any]) -> dict[str, Any]:
        return {"idTagInfo": await in_db(_authorize, self.charger_id, self.hear.tag(payload.get("idTag")))}

    async def start_transaction(self, payload: dict[str, Any]) -> dict[str, Any]:
        reported = _text(payload.get("timestamp"))
        connector, meter_start_wh = (
            _integer(payload.get("connectorId")),
            self.hear.energy(payload.get("meterStart")),
        )
        transaction_id, id_tag_info = await in_db(
            _start_session,
            charger_id=self.charger_id,
            connector_number=connector,
            id_tag=self.hear.tag(payload.get("idTag")),
            meter_start_wh=meter_start_wh,
            reported_at=self.hear.time(reported),
            reported=reported,
            frame=self.rpc.frame,
            reservation_id=_integer(payload.get("reservationId")),
        )
        self._metered.clear()
        self.hear.began(connector, transaction_id, meter_start_wh)
        if self.hear.quirks.start_answer_delay_s:  # it is stored: only its answer waits
            await asyncio.sleep(self.hear.quirks.start_answer_delay_s)
        return {"transactionId": transaction_id, "idTagInfo": id_tag_info}

    async def meter_values(self, payload: dict[str, Any] | MeterValues) -> dict[str, Any]:
        if isinstance(payload, MeterValues):
            readings = self.hear.plain_readings(payload.meterValue, received_at=utcnow())
            connector, transaction = payload.connectorId, payload.transactionId
        else:
            # Taken out, so that the frame does not keep what is read already while we wait for the commit.
            readings = self.hear.readings(payload.pop("meterValue", None), received_at=utcnow())
            connector, transaction = payload.get("connectorId"), payload.get("transactionId")  # type: ignore[assignment]
        if readings:
            where = _integer(connector) or 0, _transaction_id(transaction)
            metered = self._metered.get(where)
            if is_first := metered is None or not metered.is_for(where[1], readings):
                metered = await in_db(
                    metering.metered,
                    charger_id=self.charger_id,
                    connector_number=max(0, min(where[0], 32_767)),
                    transaction_id=where[1],
                    readings=readings,
                    frame=self.rpc.frame,
                )
                # Told with its number and without: one session has one last good register.
                metered = next((each for each in self._metered.values() if each.is_same(metered)), metered)
                if len(self._metered) > 2 * charger_services.MAX_CONNECTORS:
                    self._metered.clear()
                self._metered[where] = metered
            readings = self.hear.of_session(readings, metered, is_first=is_first)
            await self._writer.add(Metering(metered, readings))
            if metered.has_ended:
                await in_db(ledger.recount_ended, charger_id=self.charger_id, session_id=metered.session_id)
        return {}

    async def stop_transaction(self, payload: dict[str, Any]) -> dict[str, Any]:
        reported = _text(payload.get("timestamp"))
        id_tag = self.hear.tag(payload.get("idTag"))
        transaction_id, meter_stop_wh = (
            _transaction_id(payload.get("transactionId")),
            self.hear.energy(payload.get("meterStop")),
        )
        id_tag_info = await in_db(
            _stop_session,
            counts_per_session=self.hear.quirks.counts_per_session,
            charger_id=self.charger_id,
            transaction_id=transaction_id,
            meter_stop_wh=meter_stop_wh,
            reported_at=self.hear.time(reported),
            reported=reported,
            reason=_text(payload.get("reason")) or "Local",
            id_tag=id_tag,
            readings=self.hear.readings(payload.get("transactionData"), received_at=utcnow()),
            frame=self.rpc.frame,
        )
        self._metered.clear()
        self.hear.ended(transaction_id, meter_stop_wh)
        return {"idTagInfo": id_tag_info} if id_tag_info else {}

    async def data_transfer(self, payload: dict[str, Any]) -> dict[str, Any]:
        return await data_transfer.answer(charger_id=self.charger_id, payload=payload)

    async def diagnostics_status_notification(self, payload: dict[str, Any]) -> dict[str, Any]:
        await in_db(
            log_uploads.record_diagnostics_status,
            charger_id=self.charger_id,
            status=_text(payload.get("status")),
        )
        return {}

    async def firmware_status_notification(self, payload: dict[str, Any]) -> dict[str, Any]:
        await in_db(firmware.record_status, charger_id=self.charger_id, status=_text(payload.get("status")))
        return {}

    async def signed_firmware_status_notification(self, payload: dict[str, Any]) -> dict[str, Any]:
        await in_db(
            firmware.record_status,
            charger_id=self.charger_id,
            status=_text(payload.get("status")),
            request_id=_integer(payload.get("requestId")),
        )
        return {}

    async def log_status_notification(self, payload: dict[str, Any]) -> dict[str, Any]:
        await in_db(
            log_uploads.record_log_status,
            charger_id=self.charger_id,
            status=_text(payload.get("status")),
            request_id=_integer(payload.get("requestId")),
        )
        return {}

    async def security_event_notification(self, payload: dict[str, Any]) -> dict[str, Any]:
        await in_db(
            security.record_event,
            charger_id=self.charger_id,
            kind=payload["type"],
            tech_info=str(payload.get("techInfo") or ""),
            occurred_at=self.hear.time(payload.get("timestamp")),
        )
        return {}

    async def sign_certificate(self, payload: dict[str, Any]) -> dict[str, Any]:
        taken = await in_db(certificates.request, charger_id=self.charger_id, csr=str(payload["csr"]))
        return {"status": "Accepted" if taken else "Rejected"}


# One table for all chargers: with each its own, it would be the largest part of a connection.
_HANDLERS: dict[str, Callable[[V16, Any], Awaitable[dict[str, Any]]]] = {
    "BootNotification": V16.boot_notification,
    "Heartbeat": V16.heartbeat,
    "StatusNotification": V16.status_notification,
    "Authorize": V16.authorize,
    "StartTransaction": V16.start_transaction,
    "MeterValues": V16.meter_values,
    "StopTransaction": V16.stop_transaction,
    "SecurityEventNotification": V16.security_event_notification,
    "SignCertificate": V16.sign_certificate,
    "DataTransfer": V16.data_transfer,
    "DiagnosticsStatusNotification": V16.diagnostics_status_notification,
    "FirmwareStatusNotification": V16.firmware_status_notification,
    "SignedFirmwareStatusNotification": V16.signed_firmware_status_notification,
    "LogStatusNotification": V16.log_status_notification,
}


def _the_time() -> dict[str, str]:
    return {"currentTime": as_text(utcnow())}


def _transaction_id(value: Any) -> int | None:
    """A transaction's number; one too large to be ours stays one that is not (E25)."""
    number = _integer(value)
    if number is None and type(value) is int:
        return NOT_OURS if value > 0 else -1
    return number


@transaction.atomic
def _record_status(*, charger_id: int, number: int, status: str, **details: Any) -> None:
    """In one: who waits for the connector is told of it if it is stored, and only then."""
    if charger_services.record_connector_status(
        charger_id=charger_id, number=number, status=status, **details
    ):
        services.connector_reported(
            charger_id=charger_id, number=number, status=status, reported_at=details["reported_at"]
        )


def _boot(*, charger_id: int, details: dict[str, str]) -> tuple[Charger, Quirks]:
    charger = charger_services.boot(charger_id=charger_id, details=details)
    return charger, quirks.quirks_of(charger)


def _start_session(**facts: Any) -> tuple[int | None, dict[str, str]]:
    """Store the start; returns its number, and what the charger may remember of the tag."""
    with tracing.effect("StartTransaction") as belongs:
        session, status, _ = ledger.start_session(**facts)
        belongs(session.start_command_id, session)
    return session.transaction_id, id_tags.info_for(session.id_tag, status=status)


def _stop_session(*, id_tag: str, counts_per_session: bool, **facts: Any) -> dict[str, str] | None:
    """Store the stop; returns what the charger may remember of the tag that ended it, None without one.

    The transaction is over either way, but a charger keeps the answer in its cache (OCPP 1.6 §4.10).
    """
    if counts_per_session:
        named = ("charger_id", "transaction_id", "reported", "meter_stop_wh", "readings")
        lifted = registers.lifted_stop(**{name: facts[name] for name in named})
        facts["meter_stop_wh"], facts["readings"] = lifted
    logs.also(session_id=facts["transaction_id"])
    with tracing.effect("StopTransaction") as belongs:
        session = ledger.stop_session(id_tag=id_tag, **facts)
        belongs(session.stop_command_id, session)
    tag = id_tags.normalised(id_tag)
    if not tag:
        return None
    is_ours = session.start_command_id is not None and tag == session.id_tag
    return {"status": id_tags.ACCEPTED} if is_ours else id_tags.judge(tag).info


def _authorize(charger_id: int, id_tag: str) -> dict[str, str]:
    """The idTagInfo. Of a tag that may charge its parent too: by it a reserved connector knows its group (§5.13)."""
    tag = id_tags.normalised(id_tag)
    if services.awaits_tag(charger_id, tag):
        return {"status": id_tags.ACCEPTED}
    return id_tags.judge(tag).info
