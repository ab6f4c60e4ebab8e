"""Certificates, security events, and who tried to get in."""

from django.db import models
from django.db.models import Q

from chargers.models.stations import Charger


class Certificate(models.Model):
    """A certificate that a charger has, or is to have. `kind` are the words of the security whitepaper."""

    class Kind(models.TextChoices):
        CHARGE_POINT = "ChargePointCertificate"
        CENTRAL_SYSTEM_ROOT = "CentralSystemRootCertificate"
        MANUFACTURER_ROOT = "ManufacturerRootCertificate"

    class State(models.TextChoices):
        REQUESTED = "requested"  # the charger sent a signing request
        SENT = "sent"
        INSTALLED = "installed"
        REJECTED = "rejected"
        DELETED = "deleted"

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="certificates")
    kind = models.CharField(max_length=28, choices=Kind.choices)
    state = models.CharField(max_length=9, choices=State.choices)
    signing_request = models.TextField(blank=True, help_text="PEM, as the charger sent it")
    pem = models.TextField(
        "certificate", blank=True, help_text="PEM; empty where the charger told us only its hash"
    )
    fingerprint = models.CharField(max_length=64, blank=True, db_index=True, help_text="SHA-256, hexadecimal")
    subject = models.CharField(max_length=255, blank=True)
    hash_algorithm = models.CharField(max_length=6, blank=True)
    issuer_name_hash = models.CharField(max_length=128, blank=True)
    issuer_key_hash = models.CharField(max_length=128, blank=True)
    serial_number = models.CharField(max_length=40, blank=True, help_text="Hexadecimal")
    expires_at = models.DateTimeField(null=True, blank=True)
    detail = models.CharField(max_length=255, blank=True)
    # A process that asks the authority takes the request for a while, so that no other asks too.
    asked_at = models.DateTimeField(null=True, blank=True, help_text="When the authority was last asked")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    charger_id: int

    class Meta:
        ordering = ("-created_at", "-pk")

    def __str__(self) -> str:
        return f"{self.charger.identity}: {self.subject or self.kind}"


class SecurityEvent(models.Model):
    """Something a charger noticed (SecurityEventNotification). The same one told again is stored once."""

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="security_events", db_index=False)
    kind = models.CharField("type", max_length=50)
    is_critical = models.BooleanField("critical", default=False)
    tech_info = models.CharField(max_length=255, blank=True)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()

    charger_id: int

    class Meta:
        ordering = ("-occurred_at", "-pk")
        # docs/data.md has each index with the queries that need it.
        indexes = [
            models.Index(fields=["charger", "-occurred_at"], name="security_event_by_charger"),
            models.Index(fields=["-received_at", "-id"], name="security_event_by_time"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["charger", "kind", "tech_info", "occurred_at"], name="security_event_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.charger.identity}: {self.kind}"


class ConnectionRefusal(models.Model):
    """Attempts to dial in that were refused: a row for each identity, address and reason, counted.

    Their number is bounded by a setting; the oldest go.
    """

    identity = models.CharField(max_length=255)
    charger = models.ForeignKey(
        Charger, models.CASCADE, null=True, blank=True, related_name="connection_refusals"
    )
    address = models.CharField(max_length=45, blank=True)
    reason = models.CharField(max_length=40, help_text="A code")
    detail = models.CharField(max_length=255, help_text="In words: what to do about it")
    count = models.PositiveIntegerField(default=1)
    streak = models.PositiveIntegerField(
        default=0,
        help_text="Failures in a row, but for those that came before their time: they slow the next",
    )
    slowed_until = models.DateTimeField(
        null=True, blank=True, help_text="Before this nothing is even checked"
    )
    first_at = models.DateTimeField()
    last_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ("-last_at",)
        constraints = [
            models.UniqueConstraint(fields=["identity", "address", "reason"], name="refusal_counted_once"),
            models.CheckConstraint(condition=Q(last_at__gte=models.F("first_at")), name="refusal_times"),
        ]

    def __str__(self) -> str:
        return f"{self.identity}: {self.reason}"
