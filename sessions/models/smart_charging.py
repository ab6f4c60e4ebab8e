"""Limits on power or current over time (OCPP 1.6 §3.13)."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from chargers.models import Charger, Command
from sessions.models.charging import ChargingSession


class ChargingProfile(models.Model):
    """A profile set at a charger. The key is OCPP's chargingProfileId.

    sent ─→ active ─→ cleared | replaced | ended (its transaction is over)
      └─→ rejected
    """

    class Purpose(models.TextChoices):
        CHARGE_POINT_MAX = "ChargePointMaxProfile"
        TX_DEFAULT = "TxDefaultProfile"
        TX = "TxProfile"

    class Kind(models.TextChoices):
        ABSOLUTE = "Absolute"
        RECURRING = "Recurring"
        RELATIVE = "Relative"

    class Recurrency(models.TextChoices):
        DAILY = "Daily"
        WEEKLY = "Weekly"

    class Unit(models.TextChoices):
        A = "A"
        W = "W"

    class State(models.TextChoices):
        SENT = "sent"
        ACTIVE = "active"
        REJECTED = "rejected"
        CLEARED = "cleared"
        REPLACED = "replaced"
        ENDED = "ended"

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="charging_profiles")
    connector_number = models.PositiveSmallIntegerField(help_text="0 is the whole charger")
    session = models.ForeignKey(
        ChargingSession, models.SET_NULL, null=True, blank=True, related_name="charging_profiles"
    )
    purpose = models.CharField(max_length=21, choices=Purpose.choices)
    stack_level = models.PositiveSmallIntegerField(default=0)
    kind = models.CharField(max_length=9, choices=Kind.choices)
    recurrency = models.CharField(max_length=6, choices=Recurrency.choices, blank=True)
    valid_from = models.DateTimeField(null=True, blank=True)
    valid_to = models.DateTimeField(null=True, blank=True)
    starts_at = models.DateTimeField("start of the schedule", null=True, blank=True)
    duration_s = models.PositiveIntegerField("duration (s)", null=True, blank=True)
    unit = models.CharField(max_length=1, choices=Unit.choices)
    min_rate = models.DecimalField(max_digits=10, decimal_places=1, null=True, blank=True)
    periods = models.JSONField(help_text="[{start_s, limit, phases?}, …], by start_s")
    state = models.CharField(max_length=8, choices=State.choices, default=State.SENT)
    detail = models.CharField(max_length=255, blank=True)
    command = models.ForeignKey(Command, models.SET_NULL, null=True, blank=True, related_name="+")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    charger_id: int
    session_id: int | None

    class Meta:
        ordering = ("-created_at", "-pk")
        constraints = [
            models.UniqueConstraint(
                fields=["charger", "connector_number", "purpose", "stack_level"],
                condition=Q(state="active"),
                name="one_active_profile_per_place",
            )
        ]

    def __str__(self) -> str:
        return f"{self.purpose} {self.pk}"
