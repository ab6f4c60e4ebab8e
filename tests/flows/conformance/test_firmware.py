"""Firmware management: TC_044, TC_045."""

import pytest

from chargers.models import FirmwareUpdate, LogUpload
from tests.charge import at
from tests.conftest import Site
from tests.flows.conformance.stage import stage

LOCATION = "https://firmware.example/2.0.bin"


@pytest.mark.parametrize(
    ("reports", "state"),
    [
        (["Downloading", "Downloaded", "Installing", "Installed"], "installed"),
        (["Downloading", "DownloadFailed"], "failed"),
        (["Downloading", "Downloaded", "Installing", "InstallationFailed"], "failed"),
    ],
)
async def test_firmware_update(site: Site, reports: list[str], state: str) -> None:
    """TC_044_1, TC_044_2, TC_044_3"""
    async with stage(site) as s:
        await s.asks("UpdateFirmware", {"location": LOCATION, "retrieveDate": at()}, {})
        for status in reports:
            await s.point.call("FirmwareStatusNotification", {"status": status})
        update = FirmwareUpdate.objects.get(charger=s.charger)
        assert (update.state, update.status, update.location) == (state, reports[-1], LOCATION)


@pytest.mark.parametrize("reports", [["Uploading", "Uploaded"], ["Uploading", "UploadFailed"]])
async def test_diagnostics(site: Site, reports: list[str]) -> None:
    """TC_045_1, TC_045_2"""
    async with stage(site) as s:
        await s.asks("GetDiagnostics", {"location": "ftp://logs.example/"}, {"fileName": "diag.zip"})
        for status in reports:
            await s.point.call("DiagnosticsStatusNotification", {"status": status})
        upload = LogUpload.objects.get(charger=s.charger)
        assert (upload.file_name, upload.status, upload.kind) == ("diag.zip", reports[-1], "Diagnostics")
        assert upload.finished_at is not None
