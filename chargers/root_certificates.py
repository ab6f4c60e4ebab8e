"""The root certificates that chargers keep: installed, deleted, listed. The rows follow what the charger says."""

import uuid
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from chargers import authority
from chargers.authority import HashData
from chargers.certificates import certificate_in, row_of, upsert
from chargers.commands import INSTALL_CERTIFICATE, send_command
from chargers.errors import UnfitCertificate
from chargers.events import utcnow
from chargers.models import Certificate, Charger, Command

Kind, State = Certificate.Kind, Certificate.State


@transaction.atomic
def install(
    *,
    charger: Charger,
    params: dict[str, Any],
    requested_by: AbstractBaseUser | None = None,
    command_id: uuid.UUID | None = None,
) -> Command:
    """InstallCertificate, and the row of what is to be installed. Raises ChargerOffline, UnfitCertificate."""
    first = certificate_in(params.get("certificate"))
    kind = params.get("certificate_type")
    if kind not in (Kind.CENTRAL_SYSTEM_ROOT, Kind.MANUFACTURER_ROOT):
        raise UnfitCertificate("A charger keeps roots of the central system and of its manufacturer")
    row = upsert(charger, Kind(kind), first, pem=str(params["certificate"]), state=None)
    if row.state != State.INSTALLED:
        row.state = State.SENT
        row.save(update_fields=["state", "updated_at"])
    return send_command(
        charger=charger,
        action=INSTALL_CERTIFICATE,
        params=params,
        requested_by=requested_by,
        command_id=command_id,
    )


def installed(command: Command) -> None:
    """InstallCertificate has ended. Unanswered, the charger's list (GetInstalledCertificateIds) tells."""
    row = row_of(command, str(command.params.get("certificate_type")), command.params.get("certificate"))
    if row is None:
        return
    if command.status == Command.Status.ACCEPTED:
        row.state, row.detail = State.INSTALLED, ""
    elif row.state == State.SENT and command.status in (Command.Status.REJECTED, Command.Status.FAILED):
        row.state = State.REJECTED
        row.detail = f"Not installed: {command.error or _status_of(command)}"[:255]
    else:
        row.detail = "The charger did not answer; ask which certificates it has"
    row.save(update_fields=["state", "detail", "updated_at"])


def deletion(row: Certificate) -> dict[str, Any]:
    """The parameters of DeleteCertificate for this one. Raises UnfitCertificate where it cannot be named."""
    if row.kind == Kind.CHARGE_POINT:  # M04.FR.05
        raise UnfitCertificate("A charger's own certificate cannot be deleted from it; withdraw it")
    if not (row.issuer_name_hash and row.issuer_key_hash):
        raise UnfitCertificate("A charger finds it only by its issuer's key, which is not known here")
    return {
        "certificate_hash_data": {
            "hashAlgorithm": row.hash_algorithm,
            "issuerNameHash": row.issuer_name_hash,
            "issuerKeyHash": row.issuer_key_hash,
            "serialNumber": row.serial_number,
        }
    }


def deleted(command: Command) -> None:
    """DeleteCertificate has ended. One that the charger does not know is not there either."""
    gone = {"Accepted": "", "NotFound": "The charger did not have it"}
    status = _status_of(command)
    data = command.params.get("certificate_hash_data")
    if status not in gone or not isinstance(data, dict):
        return
    for row in _meant(command.charger, data):
        row.state, row.detail = State.DELETED, gone[status]
        row.save(update_fields=["state", "detail", "updated_at"])


def listed(command: Command) -> None:
    """GetInstalledCertificateIds has ended: the rows of that kind become what the charger says it has."""
    kind, status = command.params.get("certificate_type"), _status_of(command)
    if kind not in Kind.values or status not in ("Accepted", "NotFound"):
        return
    answer = command.answer.get("certificateHashData") if isinstance(command.answer, dict) else None
    told = [each for each in answer if isinstance(each, dict)] if isinstance(answer, list) else []
    here: set[int] = set()
    for data in told[:100]:
        here.add(_told(command.charger, Kind(kind), data).pk)
    gone = command.charger.certificates.filter(kind=kind, state__in=(State.INSTALLED, State.SENT))
    gone.exclude(pk__in=here).update(
        state=State.DELETED, detail="The charger does not list it", updated_at=utcnow()
    )


def _told(charger: Charger, kind: Certificate.Kind, data: dict[str, Any]) -> Certificate:
    row = next(iter(_meant(charger, data, kind=kind)), None)
    if row is None:
        row = Certificate(charger=charger, kind=kind)
        row.hash_algorithm = str(data.get("hashAlgorithm", ""))[:6]
        row.issuer_name_hash = str(data.get("issuerNameHash", ""))[:128]
        row.issuer_key_hash = str(data.get("issuerKeyHash", ""))[:128]
        row.serial_number = str(data.get("serialNumber", ""))[:40]
    row.state, row.detail = State.INSTALLED, ""
    row.save()
    return row


def _meant(
    charger: Charger, data: dict[str, Any], *, kind: Certificate.Kind | None = None
) -> list[Certificate]:
    """The rows that hashes of a charger mean, with whichever algorithm it took them."""
    algorithm = str(data.get("hashAlgorithm"))
    names = ("issuerNameHash", "issuerKeyHash", "serialNumber")
    wanted = HashData.of(*(str(data.get(name, "")) for name in names))
    rows = charger.certificates.exclude(kind=Kind.CHARGE_POINT)
    rows = rows.filter(kind=kind) if kind else rows
    return [row for row in rows if _is_meant(row, algorithm, wanted)]


def _is_meant(row: Certificate, algorithm: str, wanted: HashData) -> bool:
    if row.pem:
        own = authority.hash_data_of(authority.certificates_in(row.pem)[0], algorithm)
    elif row.hash_algorithm == algorithm:
        own = HashData.of(row.issuer_name_hash, row.issuer_key_hash, row.serial_number)
    else:
        return False
    return own == (wanted if own.issuer_key_hash else wanted._replace(issuer_key_hash=""))


def _status_of(command: Command) -> str:
    answer = command.answer
    return str(answer.get("status", "")) if isinstance(answer, dict) else ""
