"""Who may connect: which security profile it takes, which refusals are kept, and what chargers tell of attacks.

The profiles are those of the OCPP 1.6 security whitepaper §2: 1 is a password, 2 a password over TLS, 3 TLS with a
certificate of the charger's own. A charger may rise, and never fall again (E10).
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from cryptography import x509
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import BooleanField, ExpressionWrapper, F, Q

from chargers import authority, certificates, passwords
from chargers.events import utcnow
from chargers.models import (
    Charger,
    Command,
    ConnectionRefusal,
    SecurityEvent,
    SecurityProfile,
)
from chargers.services import charger_for_handshake

FREE_ATTEMPTS = 5  # failures in a row, by one identity from one address, before the next is slowed down
WINDOW = timedelta(minutes=15)  # a streak ends when it has been quiet for so long
LONGEST_DELAY_S = 60
NEVER_SLOWED = frozenset({"no_subprotocol"})  # its handshake is completed all the same (OCPP-J §3.2)

# Whitepaper §8: what a charger is to tell at once.
CRITICAL_EVENTS = frozenset(
    {
        "FirmwareUpdated",
        "SettingSystemTime",
        "StartupOfTheDevice",
        "ResetOrReboot",
        "SecurityLogWasCleared",
        "MemoryExhaustion",
        "TamperDetectionActivated",
    }
)

# Why a charger was refused, and what its installer or an operator does about it.
REASONS = {
    "unknown_identity": "No charger with this identity is known. Add it in the admin, or correct the last part of the"
    " URL that the charger dials.",
    "inbox_full": "Too many unknown chargers wait to be accepted. Accept or delete some in the admin.",
    "rejected": "This charger was rejected by an operator. Accept it in the admin to let it in.",
    "no_credentials": "The charger sent no user and password. Set its AuthorizationKey.",
    "wrong_user": "The user is not the charger's identity. Both must be the same, letter for letter.",
    "wrong_password": "The password is not the one that is set here. Set the same in the charger (AuthorizationKey)"
    " and in the admin.",
    "no_password_set": "This charger must have a password and none is set here. Set one in the admin and the same in"
    " the charger.",
    "not_encrypted": "This charger must connect over TLS. Set a wss:// URL in it.",
    "no_certificate": "This charger must connect with a certificate of its own, and sent none.",
    "untrusted_certificate": "The charger's certificate has expired, or no authority that is trusted here issued it.",
    "foreign_certificate": "The charger's certificate is not its own: its common name (CN) must be the charger's"
    " identity or serial number, its organisation (O) the operator.",
    "withdrawn_certificate": "The charger's certificate was replaced or withdrawn. Give it a new one.",
    "forged_header": "A certificate came in a header, from an address that is not a trusted proxy's.",
    "no_subprotocol": "The charger offered no version of OCPP that is spoken here. Set it to ocpp1.6.",
}


class Arrival(NamedTuple):
    """A charger at the door, as the line shows it.

    credentials     what Basic auth carried, `user:password`; None without
    certificate     the client's, whose key it has; `is_verified` where TLS has checked its issuer already
    """

    identity: str
    address: str
    is_encrypted: bool = False
    credentials: bytes | None = None
    certificate: x509.Certificate | None = None
    is_verified: bool = False
    has_forged_header: bool = False


class Admission(NamedTuple):
    """A charger that may come in: with which profile, and with which of its passwords and certificates."""

    charger: Charger
    arrival: Arrival
    profile: int
    came_with_next_password: bool = False


class Refused(Exception):
    """A charger that may not. `retry_after_s` is set where it came too soon after it had failed."""

    def __init__(self, reason: str, *, retry_after_s: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.retry_after_s = reason, retry_after_s

    @property
    def sentence(self) -> str:
        again = f" Too many attempts: try again in {self.retry_after_s} s." if self.retry_after_s else ""
        return REASONS[self.reason] + again


def admit(arrival: Arrival) -> Admission:
    """Judge a charger that dials in. Raises Refused, which is written down."""
    charger = None
    try:
        charger = _charger_at(arrival)
        _check_patience(arrival)
        return _judged(charger, arrival)
    except Refused as refusal:
        record_refusal(refusal, identity=arrival.identity, address=arrival.address, charger=charger)
        raise


def _charger_at(arrival: Arrival) -> Charger:
    charger = charger_for_handshake(arrival.identity) if arrival.identity else None
    if charger is None:
        is_full = bool(arrival.identity) and settings.UNKNOWN_CHARGERS == "inbox"
        raise Refused("inbox_full" if is_full else "unknown_identity")
    return charger


def _check_patience(arrival: Arrival) -> None:
    """One that failed often waits, before anything is checked. Only at this address: elsewhere the true one may be."""
    now = utcnow()
    rows = ConnectionRefusal.objects.filter(
        identity=arrival.identity, address=arrival.address, slowed_until__gt=now
    )
    if row := rows.order_by("-slowed_until").first():
        assert row.slowed_until  # it was found by it
        raise Refused(row.reason, retry_after_s=int((row.slowed_until - now).total_seconds()) + 1)


def _judged(charger: Charger, arrival: Arrival) -> Admission:
    if charger.registration == Charger.Registration.REJECTED:
        raise Refused("rejected")
    if arrival.has_forged_header:
        raise Refused("forged_header")
    password = _password_in(arrival)
    if (trouble := _trouble_with_certificate(charger, arrival)) is None:
        return Admission(charger, arrival, SecurityProfile.CERTIFICATE)
    required = required_profile(charger)
    if required == SecurityProfile.CERTIFICATE:
        raise Refused(trouble if arrival.is_encrypted else "not_encrypted")
    if required == SecurityProfile.TLS and not arrival.is_encrypted:
        raise Refused("not_encrypted")
    if not charger.password_hash and required == SecurityProfile.NONE:
        is_next = bool(password) and passwords.matches(password or b"", charger.next_password_hash)
        return _with_password(charger, arrival, is_next=True) if is_next else Admission(charger, arrival, 0)
    if not charger.password_hash and not charger.next_password_hash:
        raise Refused("no_password_set")
    if password is None:
        raise Refused("no_credentials")
    if passwords.matches(password, charger.password_hash):
        return _with_password(charger, arrival, is_next=False)
    if passwords.matches(password, charger.next_password_hash):
        return _with_password(charger, arrival, is_next=True)
    raise Refused("wrong_password")


def _with_password(charger: Charger, arrival: Arrival, *, is_next: bool) -> Admission:
    profile = SecurityProfile.TLS if arrival.is_encrypted else SecurityProfile.BASIC
    return Admission(charger, arrival, profile, came_with_next_password=is_next)


def required_profile(charger: Charger) -> int:
    """The least this charger must connect with."""
    return max(settings.MIN_SECURITY_PROFILE, charger.security_profile, charger.used_security_profile)


def _password_in(arrival: Arrival) -> bytes | None:
    """The password, of the right user (E9). Not split at the first colon, since identities may hold colons (E8)."""
    if arrival.credentials is None:
        return None
    user, colon, password = arrival.credentials.partition(arrival.identity.encode() + b":")
    if user or not colon:
        raise Refused("wrong_user")
    return password


def _trouble_with_certificate(charger: Charger, arrival: Arrival) -> str | None:
    """Why the certificate does not open the door; None if it does (A00.FR.403 to 405)."""
    if arrival.certificate is None or not arrival.is_encrypted:
        return "no_certificate"
    now = utcnow()
    if not arrival.certificate.not_valid_before_utc <= now <= arrival.certificate.not_valid_after_utc:
        return "untrusted_certificate"
    if not arrival.is_verified and not authority.is_trusted(arrival.certificate, at=now):
        return "untrusted_certificate"
    return certificates.trouble_with(charger, arrival.certificate)


# --- coming in ---


@transaction.atomic
def entered(admission: Admission, charger: Charger) -> None:
    """It was let in, and owns its charger (whose row is locked): what it came with is what counts from here on."""
    if admission.profile > charger.used_security_profile:
        charger.used_security_profile = admission.profile
        charger.save(update_fields=["used_security_profile"])
    _settle_password(charger, admission)
    if admission.profile == SecurityProfile.CERTIFICATE and admission.arrival.certificate:
        certificates.used(charger, admission.arrival.certificate)
    _end_streaks(charger.identity, admission.arrival.address)


def _settle_password(charger: Charger, admission: Admission) -> None:
    """The first to come with is the only one from then on, unless the charger said it would take the other.

    One that accepted a new password may still come with the old: it changes at its next start (RebootRequired).
    """
    if not charger.next_password_hash or charger.next_password_hash != admission.charger.next_password_hash:
        return
    if admission.came_with_next_password:
        charger.password_hash = admission.charger.next_password_hash
    elif admission.profile == SecurityProfile.CERTIFICATE or _expects_next_password(charger):
        return
    charger.next_password_hash = ""
    charger.save(update_fields=["password_hash", "next_password_hash"])


def _expects_next_password(charger: Charger) -> bool:
    """Whether the charger took the new password, or is still to be given it."""
    last = passwords.last_change(charger)
    return last is not None and last.status in (Command.Status.ACCEPTED, Command.Status.QUEUED)


@transaction.atomic
def begin_lower(charger: Charger) -> int:
    """Let a charger begin again at a lower profile, down to what is set for it; returns the highest it had used."""
    row = Charger.objects.select_for_update(no_key=True).get(pk=charger.pk)
    used, row.used_security_profile = row.used_security_profile, SecurityProfile.NONE
    row.save(update_fields=["used_security_profile"])
    forgive(charger)
    return used


# --- refusals ---


@transaction.atomic
def record_refusal(refusal: Refused, *, identity: str, address: str, charger: Charger | None = None) -> None:
    """Count it. What comes before its time is counted, and does not lengthen the wait: else one that redials every
    second would never get in again, even with what is right by now."""
    now = utcnow()
    row = _counted(refusal.reason, identity=identity, address=address, charger=charger, now=now)
    if refusal.retry_after_s or refusal.reason in NEVER_SLOWED or charger is None:
        return
    row.refresh_from_db()
    streak = _streak(identity, address, now) + 1
    delay = min(2 ** (streak - FREE_ATTEMPTS - 1), LONGEST_DELAY_S) if streak > FREE_ATTEMPTS else 0
    row.streak += 1
    row.slowed_until = now + timedelta(seconds=delay) if delay else None
    row.save(update_fields=["streak", "slowed_until"])


def _counted(
    reason: str, *, identity: str, address: str, charger: Charger | None, now: datetime
) -> ConnectionRefusal:
    """The row of this identity, address and reason, one higher."""
    same = ConnectionRefusal.objects.filter(identity=identity, address=address, reason=reason)
    same.filter(last_at__lt=now - WINDOW).update(streak=0)
    values: dict[str, Any] = {"last_at": now, "charger": charger, "detail": REASONS[reason]}
    if not same.update(count=F("count") + 1, **values):
        try:
            with transaction.atomic():
                row = ConnectionRefusal.objects.create(
                    identity=identity, address=address, reason=reason, first_at=now, **values
                )
        except IntegrityError:  # another process was faster
            same.update(count=F("count") + 1, **values)
        else:
            _drop_oldest()
            return row
    return same.get()


def _streak(identity: str, address: str, now: datetime) -> int:
    rows = ConnectionRefusal.objects.filter(identity=identity, address=address, last_at__gte=now - WINDOW)
    return sum(rows.values_list("streak", flat=True))


def _end_streaks(identity: str, address: str) -> None:
    rows = ConnectionRefusal.objects.filter(identity=identity, address=address, streak__gt=0)
    rows.update(streak=0, slowed_until=None)


def forgive(charger: Charger) -> None:
    """What it must come with has changed: its next attempt counts, from wherever."""
    rows = ConnectionRefusal.objects.filter(identity=charger.identity, streak__gt=0)
    rows.update(streak=0, slowed_until=None)


def _drop_oldest() -> None:
    """Keep so many. Strangers' go first: with made-up identities nobody can push out what is known of a charger."""
    excess = ConnectionRefusal.objects.count() - settings.MAX_REFUSALS
    if excess > 0:
        is_known = ExpressionWrapper(Q(charger__isnull=False), output_field=BooleanField())
        rows = ConnectionRefusal.objects.annotate(is_known=is_known).order_by("is_known", "last_at", "pk")
        ConnectionRefusal.objects.filter(pk__in=list(rows.values_list("pk", flat=True)[:excess])).delete()


# --- what chargers notice ---


def record_event(*, charger_id: int, kind: str, tech_info: str, occurred_at: datetime | None) -> None:
    """Store a security event, once. Its time is the charger's own, wrong or not: told again it is the same event."""
    now = utcnow()
    event = SecurityEvent(
        charger_id=charger_id,
        kind=kind[:50],
        is_critical=kind in CRITICAL_EVENTS,
        tech_info=tech_info[:255],
        occurred_at=occurred_at or now,
        received_at=now,
    )
    SecurityEvent.objects.bulk_create([event], ignore_conflicts=True)
