"""Chargers' own certificates: asked for, signed, sent, installed, replaced; and renewed in time.

A charger's own goes requested → sent → installed. The authority is asked outside of any transaction and of the
charger's conversation (gateway.signing): it may take its time. Certificates as such are chargers.authority's.
"""

import uuid
from datetime import timedelta
from typing import Any, NamedTuple

from cryptography import x509
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from chargers import authority
from chargers.commands import (
    CERTIFICATE_SIGNED,
    EXTENDED_TRIGGER_MESSAGE,
    send_command,
)
from chargers.errors import DomainError, UnfitCertificate
from chargers.events import utcnow
from chargers.models import Certificate, Charger, Command

Kind, State = Certificate.Kind, Certificate.State

LEASE = timedelta(minutes=1)  # a request that is being asked for; and how long until the next try
PATIENCE = timedelta(hours=6)  # an authority that does not answer for so long has failed
TRIGGER = "SignChargePointCertificate"
AT_ONCE = 5


class Request(NamedTuple):
    """A signing request that is ours to bring to the authority."""

    pk: int
    pem: str


# --- a charger's own certificate ---


@transaction.atomic
def request(*, charger_id: int, csr: str) -> bool:
    """A charger asks for a certificate (SignCertificate). Whether it may have one; the row says why not."""
    charger = Charger.objects.get(pk=charger_id)
    row = Certificate(
        charger=charger, kind=Kind.CHARGE_POINT, state=State.REQUESTED, signing_request=csr[:5500]
    )
    try:
        if not authority.can_sign():
            raise authority.Unfit(
                "There is no authority: make one with `manage.py create_ca`, or set CA_URL."
            )
        wanted = authority.request_in(csr)
        row.subject = wanted.subject.rfc4514_string()[:255]
        _check_name(charger, authority.requested_name(wanted))
    except authority.Unfit as error:
        row.state, row.detail = State.REJECTED, str(error)[:255]
    # Of several requests the newest counts: its key is the one that the charger keeps.
    charger.certificates.filter(kind=Kind.CHARGE_POINT, state=State.REQUESTED).update(
        state=State.REJECTED, detail="The charger asked anew", updated_at=utcnow()
    )
    row.save()
    return row.state == State.REQUESTED


def _check_name(charger: Charger, name: str) -> None:
    """The name must be the charger's and nobody else's: a charger says itself what its serial number is."""
    if name not in (charger.identity, charger.serial_number):
        raise authority.Unfit(
            f"The request is for {name[:80]}, which is neither this charger's identity nor its serial number."
        )
    others = Charger.objects.exclude(pk=charger.pk).filter(Q(identity=name) | Q(serial_number=name))
    if others.exists():
        raise authority.Unfit(f"Another charger is called {name[:80]}, too.")


def claim_requests() -> list[Request]:
    """Requests to bring to the authority now, taken so that no other process brings them too."""
    now = utcnow()
    free = Q(asked_at=None) | Q(asked_at__lte=now - LEASE)
    waiting = Certificate.objects.filter(free, state=State.REQUESTED, pem="").order_by("created_at")
    return [
        Request(pk, pem)
        for pk, pem in waiting.values_list("pk", "signing_request")[:AT_ONCE]
        if Certificate.objects.filter(free, pk=pk, state=State.REQUESTED).update(asked_at=now)
    ]


def signed(pk: int, chain: str) -> None:
    """The authority signed: the certificate waits until its charger is there."""
    first = authority.certificates_in(chain)[0]
    Certificate.objects.filter(pk=pk, state=State.REQUESTED).update(
        pem=chain, detail="", updated_at=utcnow(), **_facts_of(first)
    )


def not_signed(pk: int, why: str, *, for_good: bool) -> None:
    """The authority refused (`for_good`), or does not answer: then it is asked again, but not for ever."""
    now = utcnow()
    row = Certificate.objects.get(pk=pk)
    has_failed = for_good or row.created_at < now - PATIENCE
    state = State.REJECTED if has_failed else State.REQUESTED
    Certificate.objects.filter(pk=pk, state=State.REQUESTED).update(
        state=state, detail=why[:255], updated_at=now
    )


def send_signed() -> int:
    """Send what is signed to the chargers that are there; returns how many."""
    rows = Certificate.objects.filter(state=State.REQUESTED, kind=Kind.CHARGE_POINT).exclude(pem="")
    rows = rows.exclude(charger__channel_name="")
    return sum(_send(pk, charger_id) for pk, charger_id in list(rows.values_list("pk", "charger_id")))


@transaction.atomic
def _send(pk: int, charger_id: int) -> bool:
    """Send this one, unless another process did, or the charger went away in this moment."""
    charger = Charger.objects.select_for_update(no_key=True).get(pk=charger_id)
    row = Certificate.objects.filter(pk=pk, state=State.REQUESTED).first()
    if row is None or not charger.is_connected:
        return False
    send_certificate(charger=charger, params={"certificate_chain": row.pem})
    return True


@transaction.atomic
def send_certificate(
    *,
    charger: Charger,
    params: dict[str, Any],
    requested_by: AbstractBaseUser | None = None,
    command_id: uuid.UUID | None = None,
) -> Command:
    """CertificateSigned, and the row it is about. Raises ChargerOffline, UnfitCertificate."""
    chain = params.get("certificate_chain")
    first = certificate_in(chain)
    upsert(charger, Kind.CHARGE_POINT, first, pem=str(chain), state=State.SENT)
    return send_command(
        charger=charger,
        action=CERTIFICATE_SIGNED,
        params=params,
        requested_by=requested_by,
        command_id=command_id,
    )


def certificate_sent(command: Command) -> None:
    """What the charger made of its certificate. Unanswered, its next connection tells whether it has it."""
    row = row_of(command, Kind.CHARGE_POINT, command.params.get("certificate_chain"))
    if row is None or row.state == State.DELETED:
        return
    if command.status == Command.Status.ACCEPTED:
        row.state, row.detail = State.INSTALLED, ""
    elif command.error == "charger_offline" or command.sent_at is None:
        # It is sent once the charger is there again; one that has it already only says so.
        row.state, row.detail = State.REQUESTED, ""
    elif command.status in (Command.Status.REJECTED, Command.Status.FAILED):
        row.state, row.detail = State.REJECTED, f"The charger did not take it. {command.error}".strip()[:255]
    else:
        row.detail = "The charger did not answer; it shows when it connects with it"
    row.save(update_fields=["state", "detail", "updated_at"])


def trouble_with(charger: Charger, certificate: x509.Certificate) -> str | None:
    """Why a certificate, believed as such, is not this charger's (A00.FR.404, A00.FR.405); None if it is.

    One that is on file is known by its fingerprint, and then its names do not matter.
    """
    rows = Certificate.objects.filter(
        fingerprint=authority.fingerprint_of(certificate), kind=Kind.CHARGE_POINT
    )
    states = dict(rows.order_by("pk").values_list("charger_id", "state"))
    if (state := states.get(charger.pk)) is not None:
        return "withdrawn_certificate" if state == State.DELETED else None
    names = {charger.identity, charger.serial_number} - {""}
    is_own = not states and authority.is_of_operator(certificate)
    return None if is_own and names & authority.names_in(certificate) else "foreign_certificate"


def used(charger: Charger, certificate: x509.Certificate) -> None:
    """The charger connected with it: it has it, and those before it are replaced (A02.FR.10)."""
    fingerprint = authority.fingerprint_of(certificate)
    rows = charger.certificates.filter(kind=Kind.CHARGE_POINT)
    row = rows.filter(fingerprint=fingerprint).first()
    if row is None:
        row = upsert(charger, Kind.CHARGE_POINT, certificate, pem=authority.pem_of(certificate))
    elif row.state != State.INSTALLED:
        row.state, row.detail = State.INSTALLED, ""
        row.save(update_fields=["state", "detail", "updated_at"])
    older = rows.filter(state=State.INSTALLED, created_at__lt=row.created_at).exclude(pk=row.pk)
    older.update(state=State.DELETED, detail="Replaced by a newer one", updated_at=utcnow())


@transaction.atomic
def withdraw(row: Certificate) -> None:
    """It opens the door no more (whitepaper §2.6.3). A connection that it opened goes on."""
    row.state, row.detail = State.DELETED, "Withdrawn by an operator"
    row.save(update_fields=["state", "detail", "updated_at"])


@transaction.atomic
def reinstate(row: Certificate) -> None:
    """It opens the door again: a charger may have fallen back to its older one (A02.FR.10)."""
    row.state, row.detail = State.INSTALLED, "Reinstated by an operator"
    row.save(update_fields=["state", "detail", "updated_at"])


def renew_expiring() -> int:
    """Ask chargers whose certificate ends soon for a new request (A02), at most once a day; returns how many."""
    if not authority.can_sign():
        return 0
    now = utcnow()
    asked = Command.objects.filter(
        charger=OuterRef("charger"),
        action=EXTENDED_TRIGGER_MESSAGE,
        params__message=TRIGGER,
        created_at__gt=now - timedelta(days=1),
    )
    under_way = Certificate.objects.filter(
        charger=OuterRef("charger"), kind=Kind.CHARGE_POINT, state__in=(State.REQUESTED, State.SENT)
    )
    expiring = (
        _current()
        .filter(expires_at__lt=now + timedelta(days=settings.CERTIFICATE_RENEWAL_DAYS))
        .exclude(charger__channel_name="")
        .filter(charger__registration=Charger.Registration.ACCEPTED)
        .filter(~Exists(asked), ~Exists(under_way.filter(created_at__gt=now - timedelta(days=1))))
    )
    count = 0
    for row in expiring.select_related("charger"):
        try:
            with transaction.atomic():
                Charger.objects.select_for_update(no_key=True).get(pk=row.charger_id)
                if not expiring.filter(pk=row.pk).exists():  # another process was faster
                    continue
                send_command(
                    charger=row.charger, action=EXTENDED_TRIGGER_MESSAGE, params={"message": TRIGGER}
                )
        except DomainError:  # it went away in this moment
            continue
        count += 1
    return count


def _current() -> QuerySet[Certificate]:
    """Of every charger the newest of its own certificates."""
    installed = Certificate.objects.filter(kind=Kind.CHARGE_POINT, state=State.INSTALLED)
    newer = installed.filter(charger=OuterRef("charger"), expires_at__gt=OuterRef("expires_at"))
    return installed.filter(~Exists(newer))


# --- parts, of chargers.root_certificates too ---


def certificate_in(pem: Any) -> x509.Certificate:
    try:
        return authority.certificates_in(str(pem or ""))[0]
    except authority.Unfit as error:
        raise UnfitCertificate(str(error)) from error


def _facts_of(certificate: x509.Certificate) -> dict[str, Any]:
    data = authority.hash_data_of(certificate)
    return {
        "fingerprint": authority.fingerprint_of(certificate),
        "subject": authority.subject_of(certificate),
        "hash_algorithm": "SHA256",
        "issuer_name_hash": data.issuer_name_hash,
        "issuer_key_hash": data.issuer_key_hash,
        "serial_number": data.serial_number[:40],
        "expires_at": certificate.not_valid_after_utc,
    }


def upsert(
    charger: Charger,
    kind: Certificate.Kind,
    certificate: x509.Certificate,
    *,
    pem: str,
    state: Certificate.State | None = State.INSTALLED,
) -> Certificate:
    """The row of this certificate of this charger. Without a state an existing row keeps its own."""
    facts = _facts_of(certificate)
    same = charger.certificates.filter(kind=kind, fingerprint=facts["fingerprint"])
    row = same.order_by("-pk").first() or Certificate(charger=charger, kind=kind, state=State.SENT)
    for name, value in {**facts, "pem": pem, "state": state or row.state, "detail": ""}.items():
        setattr(row, name, value)
    row.save()
    return row


def row_of(command: Command, kind: str, pem: Any) -> Certificate | None:
    """The row that a command was about."""
    try:
        fingerprint = authority.fingerprint_of(certificate_in(pem))
    except UnfitCertificate:
        return None
    rows = command.charger.certificates.filter(kind=kind, fingerprint=fingerprint)
    return rows.order_by("-pk").first()
