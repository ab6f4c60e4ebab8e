"""What a fitter does to a simulated charger from afar: firmware, diagnostics and logs, and how far it has come.

OCPP 1.6 §4.4, §4.5, §5.9, §5.19; the security whitepaper's GetLog and SignedUpdateFirmware.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gateway.ocpp.simulated_line import Answer, Payload
from gateway.ocpp.simulated_operations import Operation, choice, status
from gateway.ocpp.simulated_reservations import moment

if TYPE_CHECKING:
    from gateway.ocpp.simulator import SimulatedCharger

REACHABLE = {"ftp", "ftps", "http", "https", "sftp"}
"""Addresses elsewhere cannot be reached: a way to see a failure."""

IDLE = "Idle"


class Maintenance:
    """The last status of each kind of work, told when it changes and when asked for."""

    def __init__(self, charger: SimulatedCharger, *, step_s: float) -> None:
        self._charger = charger
        self._step_s = step_s
        self._firmware: Payload = {"status": IDLE}
        self._signed_firmware: Payload = {"status": IDLE}
        self._diagnostics: Payload = {"status": IDLE}
        self._log: Payload = {"status": IDLE}
        self._work: dict[str, asyncio.Task[Any]] = {}

    # Told when asked for; errata 3.30: a status that was told as final is Idle after that.

    def tell_firmware(self) -> None:
        self._charger.uplink.post("FirmwareStatusNotification", self._firmware, early=True)

    def tell_signed_firmware(self) -> None:
        self._charger.uplink.post("SignedFirmwareStatusNotification", self._signed_firmware, early=True)

    def tell_diagnostics(self) -> None:
        self._charger.uplink.post("DiagnosticsStatusNotification", self._diagnostics, early=True)

    def tell_log(self) -> None:
        self._charger.uplink.post("LogStatusNotification", self._log, early=True)

    def is_busy_with(self, kind: str) -> bool:
        return kind in self._work and not self._work[kind].done()

    def begin(self, kind: str, work: Coroutine[Any, Any, None]) -> None:
        """Newer work of a kind ends the older."""
        if self.is_busy_with(kind):
            self._work[kind].cancel()
        self._work[kind] = self._charger.spawn(work)

    # Work

    async def update_firmware(self, location: str, retrieve_at: datetime) -> None:
        await pause_until(retrieve_at)
        await self._update(location, self._set_firmware, before_install=(), at_reboot=())

    async def update_signed_firmware(
        self, request_id: int, location: str, retrieve_at: datetime, install_at: datetime | None
    ) -> None:
        def tell(word: str) -> None:
            self._signed_firmware = {"status": word, "requestId": request_id}
            self.tell_signed_firmware()

        if retrieve_at > datetime.now(UTC):
            tell("DownloadScheduled")
            await pause_until(retrieve_at)
        await self._update(
            location,
            tell,
            before_install=("SignatureVerified",),
            at_reboot=("InstallRebooting",),
            install_at=install_at,
        )
        self._charger.report_security_event("FirmwareUpdated")

    async def upload_diagnostics(self, location: str) -> None:
        await self._upload(location, self._set_diagnostics)

    async def upload_log(self, request_id: int, location: str) -> None:
        def tell(word: str) -> None:
            self._log = {
                "status": "UploadFailure" if word == "UploadFailed" else word,
                "requestId": request_id,
            }
            self.tell_log()

        await self._upload(location, tell)

    async def _update(
        self,
        location: str,
        tell: Callable[[str], None],
        *,
        before_install: tuple[str, ...],
        at_reboot: tuple[str, ...],
        install_at: datetime | None = None,
    ) -> None:
        """Statuses over time, then a restart with the new version. Whoever charges is let finish first."""
        charger = self._charger
        tell("Downloading")
        await asyncio.sleep(self._step_s)
        if not is_reachable(location):
            tell("DownloadFailed")
            return
        for word in ("Downloaded", *before_install):
            tell(word)
        if install_at is not None and install_at > datetime.now(UTC):
            tell("InstallScheduled")
            await pause_until(install_at)
        await charger.until(lambda it: not any(c.busy for c in it.connectors.values()), timeout_s=None)
        for word in ("Installing", *at_reboot):
            tell(word)
        await asyncio.sleep(self._step_s)
        charger.about["firmwareVersion"] = next_version(location, charger.about["firmwareVersion"])
        await charger.restart("Reboot", graceful=True)
        await charger.until(lambda it: it.uplink.ready, timeout_s=None)
        tell("Installed")

    async def _upload(self, location: str, tell: Callable[[str], None]) -> None:
        tell("Uploading")
        await asyncio.sleep(self._step_s)
        tell("Uploaded" if is_reachable(location) else "UploadFailed")

    def _set_firmware(self, word: str) -> None:
        self._firmware = {"status": word}
        self.tell_firmware()

    def _set_diagnostics(self, word: str) -> None:
        self._diagnostics = {"status": word}
        self.tell_diagnostics()


async def pause_until(at: datetime) -> None:
    await asyncio.sleep(max(0.0, (at - datetime.now(UTC)).total_seconds()))


def is_reachable(location: str) -> bool:
    return urlsplit(location).scheme.lower() in REACHABLE


def next_version(location: str, present: str) -> str:
    """The version that a file's name tells, else the next one after the present."""
    name = urlsplit(location).path.rpartition("/")[2]
    if told := re.findall(r"\d+(?:\.\d+)+", name):
        return str(told[-1])
    head, _, last = present.rpartition(".")
    return f"{head}.{int(last) + 1}" if last.isdigit() else f"{present}.1"


# Answers


def update_firmware(charger: SimulatedCharger, payload: Payload) -> Answer:
    retrieve_at = moment(payload["retrieveDate"])
    return Answer(
        {},
        lambda: charger.maintenance.begin(
            "firmware", charger.maintenance.update_firmware(payload["location"], retrieve_at)
        ),
    )


def signed_update_firmware(charger: SimulatedCharger, payload: Payload) -> Answer:
    firmware, maintenance = payload["firmware"], charger.maintenance
    if "BEGIN CERTIFICATE" not in firmware.get("signingCertificate", ""):
        return status("InvalidCertificate")
    retrieve_at = moment(firmware.get("retrieveDateTime", ""))
    install_at = moment(firmware["installDateTime"]) if "installDateTime" in firmware else None
    request_id, location = payload["requestId"], firmware.get("location", "")
    return status(
        "AcceptedCanceled" if maintenance.is_busy_with("firmware") else "Accepted",
        lambda: maintenance.begin(
            "firmware", maintenance.update_signed_firmware(request_id, location, retrieve_at, install_at)
        ),
    )


def get_diagnostics(charger: SimulatedCharger, payload: Payload) -> Answer:
    location = payload["location"]
    return Answer(
        {"fileName": f"{charger.about['chargePointSerialNumber']}.log"},
        lambda: charger.maintenance.begin("diagnostics", charger.maintenance.upload_diagnostics(location)),
    )


def get_log(charger: SimulatedCharger, payload: Payload) -> Answer:
    kind = choice(payload["logType"], ("DiagnosticsLog", "SecurityLog"))
    maintenance, request_id = charger.maintenance, payload["requestId"]
    location = payload["log"].get("remoteLocation", "")
    return Answer(
        {
            "status": "AcceptedCanceled" if maintenance.is_busy_with("log") else "Accepted",
            "filename": f"{kind}-{request_id}.log",
        },
        lambda: maintenance.begin("log", maintenance.upload_log(request_id, location)),
    )


RETRYING: dict[str, type] = {"retries": int, "retryInterval": int}

OPERATIONS = {
    "GetDiagnostics": Operation(
        get_diagnostics, {"location": str}, {"startTime": str, "stopTime": str, **RETRYING}
    ),
    "GetLog": Operation(get_log, {"logType": str, "requestId": int, "log": dict}, RETRYING),
    "SignedUpdateFirmware": Operation(signed_update_firmware, {"requestId": int, "firmware": dict}, RETRYING),
    "UpdateFirmware": Operation(update_firmware, {"location": str, "retrieveDate": str}, RETRYING),
}
