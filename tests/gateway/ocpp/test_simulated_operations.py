"""What a simulated charger does with lists, reservations, limits, firmware and certificates."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.ocpp.simulator import SimulatedCharger

from .scripted_central import Payload, ScriptedCentral, conversation
from .test_simulator import booted, central, start

__all__ = ["central"]

ACCEPTED = {"status": "Accepted"}


def text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def now() -> datetime:
    return datetime.now(UTC)


# Local lists


def entry(tag: str, status: str | None = "Accepted", **info: str) -> Payload:
    return {"idTag": tag} | ({"idTagInfo": {"status": status, **info}} if status else {})


async def send_list(central: ScriptedCentral, version: int, kind: str, *entries: Payload) -> str:
    payload = {"listVersion": version, "updateType": kind, "localAuthorizationList": list(entries)}
    return str((await central.ask("SendLocalList", payload))["status"])


async def test_local_list_keeps_versions_and_entries(central: ScriptedCentral) -> None:
    """A differential list that is not newer is answered VersionMismatch (§5.15)."""
    async with booted(central) as charger:
        assert await central.ask("GetLocalListVersion") == {"listVersion": 0}
        assert await send_list(central, 4, "Full", entry("A"), entry("B", "Blocked")) == "Accepted"
        assert await send_list(central, 4, "Differential", entry("C")) == "VersionMismatch"
        assert await send_list(central, 5, "Differential", entry("C"), entry("A", None)) == "Accepted"
        assert await central.ask("GetLocalListVersion") == {"listVersion": 5}
        assert charger.tags.local.info("a") is None
        assert (charger.tags.local.info("b") or {})["status"] == "Blocked"
        assert len(charger.tags.local) == 2
        assert await send_list(central, 2, "Full") == "Accepted"
        assert len(charger.tags.local) == 0


async def test_local_list_that_does_not_fit_changes_nothing(central: ScriptedCentral) -> None:
    async with booted(central) as charger:
        assert await send_list(central, 1, "Full", entry("A")) == "Accepted"
        assert await send_list(central, 0, "Full") == "Failed"
        assert await send_list(central, 2, "Full", entry("A", None)) == "Failed"
        many = [entry(f"T{number}") for number in range(501)]
        assert await send_list(central, 3, "Full", *many) == "Failed"
        assert (charger.tags.local.version, len(charger.tags.local)) == (1, 1)
        await central.ask("ChangeConfiguration", {"key": "LocalAuthListEnabled", "value": "false"})
        assert await send_list(central, 9, "Full") == "NotSupported"
        assert await central.ask("GetLocalListVersion") == {"listVersion": -1}


async def test_local_list_decides_offline(central: ScriptedCentral) -> None:
    charger = SimulatedCharger("CP001")
    async with conversation(charger, central):
        await charger.until(lambda it: it.registration == "Accepted")
        await send_list(central, 1, "Full", entry("GOOD"), entry("BAD", "Blocked"))
    assert await charger.present_tag(1, "BAD") is False
    assert await charger.present_tag(1, "good") is True
    await charger.close()


# Reservations


def reservation(number: int = 7, *, connector: int = 1, tag: str = "MINE", **more: Any) -> Payload:
    expires_at = more.pop("expires_at", now() + timedelta(hours=1))
    payload = {"connectorId": connector, "expiryDate": text(expires_at), "idTag": tag}
    return payload | {"reservationId": number, **more}


async def test_reserved_connector_admits_its_holder_only(central: ScriptedCentral) -> None:
    """§5.13."""
    async with booted(central) as charger:
        assert await central.ask("ReserveNow", reservation()) == ACCEPTED
        await central.next_status(1, "Reserved")
        assert await central.ask("RemoteStartTransaction", {"connectorId": 1, "idTag": "OTHER"}) == {
            "status": "Rejected"
        }
        await charger.plug_in(1)
        assert await charger.present_tag(1, "OTHER") is False
        assert charger.status(1) == "Reserved"
        assert await charger.present_tag(1, "mine") is True
        assert (await central.next("StartTransaction"))["reservationId"] == 7
        await charger.stop_locally(1)
        await charger.unplug(1)
        assert charger.status(1) == "Available"


async def test_tag_of_the_reservations_parent_is_admitted(central: ScriptedCentral) -> None:
    central.replies["Authorize"] = {"idTagInfo": {"status": "Accepted", "parentIdTag": "FAMILY"}}
    async with booted(central) as charger:
        await central.ask("ReserveNow", reservation(parentIdTag="FAMILY"))
        assert await charger.present_tag(1, "CHILD") is True


async def test_reservation_ends_by_time_fault_and_cancel(central: ScriptedCentral) -> None:
    """§5.13."""
    async with booted(central) as charger:
        await central.ask("ReserveNow", reservation(expires_at=now() + timedelta(milliseconds=80)))
        await central.next_status(1, "Reserved")
        await central.next_status(1, "Available")
        await central.ask("ReserveNow", reservation(8))
        await charger.set_fault(1)
        await charger.clear_fault(1)
        assert charger.status(1) == "Available"
        await central.ask("ReserveNow", reservation(9, connector=2))
        assert await central.ask("CancelReservation", {"reservationId": 8}) == {"status": "Rejected"}
        assert await central.ask("CancelReservation", {"reservationId": 9}) == ACCEPTED
        assert charger.status(2) == "Available"


async def test_what_is_not_free_cannot_be_reserved(central: ScriptedCentral) -> None:
    async with booted(central, connectors=3) as charger:
        await start(central, charger, 1)
        assert await central.ask("ReserveNow", reservation()) == {"status": "Occupied"}
        await charger.set_fault(2)
        assert await central.ask("ReserveNow", reservation(connector=2)) == {"status": "Faulted"}
        await central.ask("ChangeAvailability", {"connectorId": 3, "type": "Inoperative"})
        assert await central.ask("ReserveNow", reservation(connector=3)) == {"status": "Unavailable"}
        assert await central.ask("ReserveNow", reservation(connector=0)) == {"status": "Rejected"}
        past = reservation(connector=2, expires_at=now() - timedelta(seconds=1))
        assert await central.ask("ReserveNow", past) == {"status": "Rejected"}


async def test_same_reservation_again_replaces_it(central: ScriptedCentral) -> None:
    async with booted(central) as charger:
        await central.ask("ReserveNow", reservation(tag="MINE"))
        assert await central.ask("ReserveNow", reservation(tag="HERS")) == ACCEPTED
        assert await central.ask("ReserveNow", reservation(connector=2)) == ACCEPTED
        assert [charger.status(number) for number in (1, 2)] == ["Available", "Reserved"]


# Smart charging


def profile(
    number: int = 1, *, purpose: str = "TxDefaultProfile", limit: float = 3_000, **more: Any
) -> Payload:
    schedule = {
        "chargingRateUnit": more.pop("unit", "W"),
        "chargingSchedulePeriod": more.pop("periods", [{"startPeriod": 0, "limit": limit}]),
        "startSchedule": text(now() - timedelta(seconds=more.pop("begun_s", 1))),
    }
    if "duration" in more:
        schedule["duration"] = more.pop("duration")
    return {
        "chargingProfileId": number,
        "stackLevel": more.pop("level", 0),
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": more.pop("kind", "Absolute"),
        "chargingSchedule": schedule,
        **more,
    }


async def set_profile(central: ScriptedCentral, connector: int, **fields: Any) -> str:
    payload = {"connectorId": connector, "csChargingProfiles": profile(**fields)}
    answer = await central.ask("SetChargingProfile", payload)
    return str(answer if isinstance(answer, str) else answer["status"])


async def test_power_obeys_the_limit_and_comes_back(central: ScriptedCentral) -> None:
    async with booted(central, max_power_w=7_400) as charger:
        await start(central, charger)
        assert charger.connectors[1].power_w > 7_000
        assert await set_profile(central, 1, purpose="TxProfile", limit=2_000) == "Accepted"
        assert charger.connectors[1].power_w == 2_000
        assert await central.ask("ClearChargingProfile", {"id": 1}) == ACCEPTED
        assert await central.ask("ClearChargingProfile", {"id": 1}) == {"status": "Unknown"}
        assert charger.connectors[1].power_w > 7_000


async def test_energy_obeys_the_limit() -> None:
    limited, free = SimulatedCharger("CP001"), SimulatedCharger("CP001")
    car, same = (charger.connectors[1]._equipment.new_car() for charger in (limited, free))
    assert car.charge(3_600, most_w=1_000) == pytest.approx(1_000)
    assert same.charge(3_600) > 7_000


async def test_no_power_at_all_suspends(central: ScriptedCentral) -> None:
    async with booted(central) as charger:
        await start(central, charger)
        await set_profile(central, 0, limit=0)
        await central.next_status(1, "SuspendedEVSE")
        await central.ask("ClearChargingProfile", {"connectorId": 0})
        await central.next_status(1, "Charging")


async def test_profiles_stack(central: ScriptedCentral) -> None:
    """§3.13.2: the highest level counts; a transaction's before the default; the charger's most caps both."""
    async with booted(central, max_power_w=7_400) as charger:
        await start(central, charger)
        outlet = charger.connectors[1]
        await set_profile(central, 0, number=1, limit=6_000)
        await set_profile(central, 1, number=2, limit=5_000)
        assert outlet.limit_w() == 5_000
        await set_profile(central, 1, number=3, limit=4_500, level=2, duration=1, begun_s=5)  # over already
        assert outlet.limit_w() == 5_000
        await set_profile(central, 1, number=4, limit=4_000, level=1)
        assert outlet.limit_w() == 4_000
        await set_profile(central, 1, number=5, limit=6_500, purpose="TxProfile")
        assert outlet.limit_w() == 6_500
        await set_profile(central, 0, number=6, limit=3_000, purpose="ChargePointMaxProfile")
        assert outlet.limit_w() == 3_000
        assert charger.connectors[2].limit_w() == 3_000


async def test_a_transactions_profile_ends_with_it(central: ScriptedCentral) -> None:
    async with booted(central) as charger:
        assert await set_profile(central, 1, purpose="TxProfile") == "Rejected"
        transaction_id = await start(central, charger)
        other = {"purpose": "TxProfile", "transactionId": transaction_id + 1}
        assert await set_profile(central, 1, **other) == "Rejected"
        assert await set_profile(central, 1, purpose="TxProfile", transactionId=transaction_id) == "Accepted"
        await charger.stop_locally(1)
        assert charger.profiles.installed == []


async def test_profile_comes_with_a_remote_start(central: ScriptedCentral) -> None:
    async with booted(central) as charger:
        await charger.plug_in(1)
        with_profile = {
            "connectorId": 1,
            "idTag": "TAG1",
            "chargingProfile": profile(purpose="TxProfile", kind="Relative", limit=1_500),
        }
        assert await central.ask("RemoteStartTransaction", with_profile) == ACCEPTED
        await central.next("StartTransaction")
        assert charger.connectors[1].power_w == 1_500
        wrong = with_profile | {"connectorId": 2, "chargingProfile": profile()}
        assert await central.ask("RemoteStartTransaction", wrong) == {"status": "Rejected"}


@pytest.mark.parametrize(
    ("connector", "fields", "answer"),
    [
        (9, {}, "Rejected"),
        (1, {"purpose": "ChargePointMaxProfile"}, "Rejected"),
        (0, {"purpose": "TxProfile"}, "Rejected"),
        (1, {"level": 10}, "PropertyConstraintViolation"),
        (1, {"unit": "kW"}, "PropertyConstraintViolation"),
        (1, {"periods": []}, "PropertyConstraintViolation"),
        (1, {"periods": [{"limit": 1}]}, "FormationViolation"),
    ],
)
async def test_profile_that_cannot_be(
    central: ScriptedCentral, connector: int, fields: Payload, answer: str
) -> None:
    async with booted(central):
        assert await set_profile(central, connector, **fields) == answer


async def test_more_profiles_than_it_holds(central: ScriptedCentral) -> None:
    """MaxChargingProfilesInstalled; the same place and level again is one that is replaced."""
    async with booted(central):
        answers = [
            await set_profile(central, number % 3, number=number, level=number // 3) for number in range(21)
        ]
        assert answers == ["Accepted"] * 20 + ["Rejected"]
        assert await set_profile(central, 0, number=90) == "Accepted"


async def test_composite_schedule_has_every_turn(central: ScriptedCentral) -> None:
    async with booted(central, max_power_w=7_400):
        periods = [{"startPeriod": 0, "limit": 10}, {"startPeriod": 600, "limit": 20}]
        await set_profile(central, 1, unit="A", periods=periods, duration=1_200)
        ask = {"connectorId": 1, "duration": 3_600, "chargingRateUnit": "W"}
        answer = await central.ask("GetCompositeSchedule", ask)
        found = answer["chargingSchedule"]["chargingSchedulePeriod"]
        assert [period["limit"] for period in found] == [2_300, 4_600, 7_400]
        assert found[0]["startPeriod"] == 0
        assert 598 <= found[1]["startPeriod"] <= 601
        await set_profile(central, 0, number=2, purpose="ChargePointMaxProfile", limit=1_000)
        whole = await central.ask("GetCompositeSchedule", {"connectorId": 0, "duration": 60})
        assert whole["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 1_000}]
        assert await central.ask("GetCompositeSchedule", {"connectorId": 9, "duration": 60}) == {
            "status": "Rejected"
        }


async def test_recurring_profile_repeats_daily(central: ScriptedCentral) -> None:
    async with booted(central) as charger:
        yesterday = {"begun_s": 86_400 + 30, "kind": "Recurring", "recurrencyKind": "Daily"}
        await set_profile(central, 1, limit=2_500, duration=60, **yesterday)
        assert charger.connectors[1].limit_w() == 2_500


# Firmware, diagnostics, logs


@asynccontextmanager
async def quick(central: ScriptedCentral, **options: Any) -> AsyncIterator[SimulatedCharger]:
    async with booted(central, maintenance_step_s=0.01, **options) as charger:
        yield charger


async def words(central: ScriptedCentral, action: str, last: str) -> list[str]:
    told: list[str] = []
    while not told or told[-1] != last:
        told.append((await central.next(action))["status"])
    return told


async def test_firmware_update_tells_its_steps_and_boots_with_the_new_version(
    central: ScriptedCentral,
) -> None:
    charger = SimulatedCharger("CP001", maintenance_step_s=0.01, boot_retry_s=0.03)
    async with conversation(charger, central) as talk:
        await charger.until(lambda it: it.registration == "Accepted")
        update = {"location": "https://example.org/fw-2.5.1.bin", "retrieveDate": text(now())}
        assert await central.ask("UpdateFirmware", update) == {}
        told = await words(central, "FirmwareStatusNotification", "Installing")
        assert told == ["Downloading", "Downloaded", "Installing"]
        await asyncio.wait_for(talk, 2)
    async with conversation(charger, central):
        assert (await central.next("BootNotification"))["firmwareVersion"] == "2.5.1"
        assert await words(central, "FirmwareStatusNotification", "Installed") == ["Installed"]
        await central.ask("TriggerMessage", {"requestedMessage": "FirmwareStatusNotification"})
        assert (await central.next("FirmwareStatusNotification"))["status"] == "Installed"
    await charger.close()


async def test_firmware_waits_for_the_transaction_to_end(central: ScriptedCentral) -> None:
    async with quick(central) as charger:
        await start(central, charger)
        update = {"location": "ftp://example.org/next", "retrieveDate": text(now())}
        await central.ask("UpdateFirmware", update)
        assert await words(central, "FirmwareStatusNotification", "Downloaded") == [
            "Downloading",
            "Downloaded",
        ]
        assert charger.status(1) == "Charging"
        await charger.stop_locally(1)
        assert await words(central, "FirmwareStatusNotification", "Installing") == ["Installing"]


async def test_firmware_that_cannot_be_fetched(central: ScriptedCentral) -> None:
    async with quick(central):
        update = {"location": "nowhere:/fw", "retrieveDate": text(now())}
        await central.ask("UpdateFirmware", update)
        assert (await words(central, "FirmwareStatusNotification", "DownloadFailed"))[-1] == "DownloadFailed"


async def test_signed_firmware_update(central: ScriptedCentral) -> None:
    async with quick(central):
        firmware = {
            "location": "https://example.org/fw-3.0.bin",
            "retrieveDateTime": text(now()),
            "signingCertificate": "-----BEGIN CERTIFICATE-----",
            "signature": "c2ln",
        }
        bad = {"requestId": 3, "firmware": firmware | {"signingCertificate": "none"}}
        assert await central.ask("SignedUpdateFirmware", bad) == {"status": "InvalidCertificate"}
        assert await central.ask("SignedUpdateFirmware", {"requestId": 4, "firmware": firmware}) == ACCEPTED
        told = await words(central, "SignedFirmwareStatusNotification", "InstallRebooting")
        assert told == ["Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting"]


async def test_diagnostics_and_logs(central: ScriptedCentral) -> None:
    async with quick(central, serial_number="S1"):
        asked = {"location": "ftp://example.org/"}
        assert await central.ask("GetDiagnostics", asked) == {"fileName": "S1.log"}
        told = await words(central, "DiagnosticsStatusNotification", "Uploaded")
        assert told == ["Uploading", "Uploaded"]
        log = {"logType": "SecurityLog", "requestId": 5, "log": {"remoteLocation": "nowhere"}}
        assert (await central.ask("GetLog", log))["status"] == "Accepted"
        told = await words(central, "LogStatusNotification", "UploadFailure")
        assert told == ["Uploading", "UploadFailure"]
        await central.ask("ExtendedTriggerMessage", {"requestedMessage": "LogStatusNotification"})
        assert (await central.next("LogStatusNotification"))["requestId"] == 5


# Certificates


def self_signed(name: str = "Root") -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return key, issued(subject, key.public_key(), subject, key)


def issued(
    subject: x509.Name, public_key: Any, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public_key)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now() - timedelta(days=1))
    return builder.not_valid_after(now() + timedelta(days=1)).sign(key, hashes.SHA256())


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


async def test_roots_are_installed_listed_and_deleted(central: ScriptedCentral) -> None:
    async with booted(central):
        kind = {"certificateType": "CentralSystemRootCertificate"}
        assert await central.ask("GetInstalledCertificateIds", kind) == {"status": "NotFound"}
        _, root = self_signed()
        assert await central.ask("InstallCertificate", kind | {"certificate": pem(root)}) == ACCEPTED
        assert await central.ask("InstallCertificate", kind | {"certificate": "no"}) == {"status": "Failed"}
        found = await central.ask("GetInstalledCertificateIds", kind)
        (hash_data,) = found["certificateHashData"]
        assert hash_data["serialNumber"] == f"{root.serial_number:x}"
        wrong = hash_data | {"serialNumber": "0"}
        assert await central.ask("DeleteCertificate", {"certificateHashData": wrong}) == {
            "status": "NotFound"
        }
        assert await central.ask("DeleteCertificate", {"certificateHashData": hash_data}) == ACCEPTED
        assert await central.ask("GetInstalledCertificateIds", kind) == {"status": "NotFound"}


async def test_certificate_is_asked_for_and_taken(central: ScriptedCentral) -> None:
    async with booted(central) as charger:
        key, root = self_signed()
        central.replies["SignCertificate"] = ACCEPTED
        trigger = {"requestedMessage": "SignChargePointCertificate"}
        assert await central.ask("ExtendedTriggerMessage", trigger) == ACCEPTED
        request = x509.load_pem_x509_csr((await central.next("SignCertificate"))["csr"].encode())
        names = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert [name.value for name in names] == ["CP001"]
        assert await central.ask("CertificateSigned", {"certificateChain": pem(root)}) == {
            "status": "Rejected"
        }
        signed = issued(request.subject, request.public_key(), root.subject, key)
        chain = {"certificateChain": pem(signed) + pem(root)}
        assert await central.ask("CertificateSigned", chain) == ACCEPTED
        assert charger.certificates.chain == [signed, root]
