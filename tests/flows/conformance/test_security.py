"""Security whitepaper: TC_073 to TC_088. What needs TLS is in tests/flows/test_security_profiles.py."""

from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from chargers.models import Certificate, FirmwareUpdate, LogUpload, SecurityEvent
from chargers.passwords import hash_password
from tests import wire
from tests.certificates import Authority
from tests.charge import at
from tests.conftest import Site
from tests.factories import make_charger
from tests.flows.conformance.stage import Stage, stage

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
HASHES = {
    "hashAlgorithm": "SHA256",
    "issuerNameHash": "0a" * 32,
    "issuerKeyHash": "0b" * 32,
    "serialNumber": "01",
}


async def test_a_new_password(site: Site) -> None:
    """TC_073"""
    key = "0123456789abcdef" * 2 + "01234567"  # 20 bytes in hexadecimal
    async with stage(site) as s:
        message_id, posted = await asked_for_key(s, key)
        assert posted == 202
        await s.point.answer(message_id, {"status": "Accepted"})
        await s.ended(message_id)
        await s.point.socket.close()
        identity = s.charger.identity
        async with wire.charger(site.charger_url, identity, password=bytes.fromhex(key)) as again:
            assert (await again.boot())["status"] == "Accepted"
        with pytest.raises(InvalidStatus):
            async with wire.charger(site.charger_url, identity, password="anything else") as again:
                pass


async def asked_for_key(s: Stage, key: str) -> tuple[str, int]:
    posted = s.post("ChangeConfiguration", {"key": "AuthorizationKey", "value": key})
    message_id, heard = await s.hears("ChangeConfiguration")
    assert heard == {"key": "AuthorizationKey", "value": key}
    return message_id, posted


@pytest.mark.parametrize("kind", ["ManufacturerRootCertificate", "CentralSystemRootCertificate"])
async def test_install_a_certificate(site: Site, kind: str) -> None:
    """TC_075_1, TC_075_2"""
    async with stage(site) as s:
        pem = Authority().pem
        payload = {"certificateType": kind, "certificate": pem}
        command = await s.asks("InstallCertificate", payload, {"status": "Accepted"})
        assert command.status == "accepted"
        stored = Certificate.objects.get(charger=s.charger)
        assert (stored.kind, stored.state, stored.pem.strip()) == (kind, "installed", pem.strip())
        answer = {"status": "Accepted", "certificateHashData": [HASHES]}
        await s.asks("GetInstalledCertificateIds", {"certificateType": kind}, answer)


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA384", "SHA512"])
async def test_delete_a_certificate(site: Site, algorithm: str) -> None:
    """TC_076"""
    async with stage(site) as s:
        hashes = {**HASHES, "hashAlgorithm": algorithm}
        kind = "CentralSystemRootCertificate"
        answer = {"status": "Accepted", "certificateHashData": [hashes]}
        await s.asks("GetInstalledCertificateIds", {"certificateType": kind}, answer)
        stored = Certificate.objects.get(charger=s.charger)
        assert (stored.state, stored.hash_algorithm) == ("installed", algorithm)
        await s.asks("DeleteCertificate", {"certificateHashData": hashes}, {"status": "Accepted"})
        stored.refresh_from_db()
        assert stored.state == "deleted"


@pytest.mark.parametrize("kind", ["InvalidChargePointCertificate", "InvalidCentralSystemCertificate"])
async def test_a_security_event(site: Site, kind: str) -> None:
    """TC_077, TC_078"""
    async with stage(site) as s:
        event = {"type": kind, "timestamp": at(), "techInfo": "CN does not match"}
        for _ in range(2):  # told again, kept once
            assert await s.point.call("SecurityEventNotification", event) == {}
        stored = SecurityEvent.objects.get(charger=s.charger)
        assert (stored.kind, stored.is_critical, stored.tech_info) == (kind, False, "CN does not match")


async def test_a_security_log(site: Site) -> None:
    """TC_079"""
    async with stage(site) as s:
        payload = {"logType": "SecurityLog", "requestId": 1, "log": {"remoteLocation": "ftp://logs.example/"}}
        assert s.post("GetLog", payload) == 202
        message_id, heard = await s.hears("GetLog")
        await s.point.answer(message_id, {"status": "Accepted", "filename": "security.log"})
        await s.ended(message_id)
        for status in ("Uploading", "Uploaded"):
            report = {"status": status, "requestId": heard["requestId"]}
            assert await s.point.call("LogStatusNotification", report) == {}
        stored = LogUpload.objects.get(charger=s.charger)
        assert (stored.pk, stored.kind) == (heard["requestId"], "SecurityLog")
        assert (stored.status, stored.file_name) == ("Uploaded", "security.log")


SIGNED: dict[str, list[str]] = {
    "installed": [
        "Downloading",
        "Downloaded",
        "SignatureVerified",
        "Installing",
        "InstallRebooting",
        "Installed",
    ],
    "failed": ["Downloading", "Downloaded", "InvalidSignature"],
}


@pytest.mark.parametrize("state", SIGNED)
async def test_a_signed_firmware_update(site: Site, state: str) -> None:
    """TC_080, TC_081"""
    async with stage(site) as s:
        firmware: dict[str, Any] = {
            "location": "https://firmware.example/2.0.bin",
            "retrieveDateTime": at(),
            "signingCertificate": PEM,
            "signature": "c2lnbmF0dXJl",
        }
        assert s.post("SignedUpdateFirmware", {"requestId": 1, "firmware": firmware}) == 202
        message_id, heard = await s.hears("SignedUpdateFirmware")
        assert heard["firmware"] == firmware
        await s.point.answer(message_id, {"status": "Accepted"})
        await s.ended(message_id)
        for status in SIGNED[state]:
            report = {"status": status, "requestId": heard["requestId"]}
            assert await s.point.call("SignedFirmwareStatusNotification", report) == {}
        if state == "failed":
            event = {"type": "InvalidFirmwareSignature", "timestamp": at()}
            assert await s.point.call("SecurityEventNotification", event) == {}
        update = FirmwareUpdate.objects.get(charger=s.charger)
        assert (update.pk, update.state, update.is_signed) == (heard["requestId"], state, True)


async def test_basic_authentication(site: Site) -> None:
    """TC_085"""
    charger = make_charger(password_hash=hash_password("test1234"))
    async with wire.charger(site.charger_url, charger.identity, password="test1234") as point:
        assert (await point.boot())["status"] == "Accepted"
    for password, user in ((None, None), ("wrong", None), ("test1234", "SOMEBODY")):
        with pytest.raises(InvalidStatus) as refused:
            async with wire.charger(site.charger_url, charger.identity, password=password, user=user):
                pass
        assert refused.value.response.status_code == 401


async def test_the_subprotocol_is_agreed(site: Site) -> None:
    """TC_088"""
    charger = make_charger()
    offered = ["ocpp9.9", "ocpp1.6"]
    async with wire.charger(site.charger_url, charger.identity, subprotocols=offered) as point:
        assert point.socket.subprotocol == "ocpp1.6"
        assert (await point.boot())["status"] == "Accepted"
