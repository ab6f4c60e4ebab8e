"""Cards, what chargers know of them by heart, and what is kept free for them."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from chargers.models import Charger, Command, Connector


class IdTag(models.Model):
    """A card or key fob. Values match without regard to case (OCPP 1.6 §7.28), so they are stored in capitals."""

    value = models.CharField(max_length=20, unique=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="id_tags"
    )
    parent = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="children")
    is_blocked = models.BooleanField("blocked", default=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    note = models.CharField(max_length=120, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("value",)
        verbose_name = "id tag"

    def __str__(self) -> str:
        return self.value

    def save(self, *args: object, **kwargs: object) -> None:
        self.value = self.value.strip().upper()
        super().save(*args, **kwargs)  # type: ignore[arg-type]


class LocalList(models.Model):
    """The id tags a charger knows by heart (SendLocalList), for when it is offline.

    `entries` maps a tag to its idTagInfo as the charger last accepted it, under `held_version`; what differs
    from the id tags of now is what a differential update sends. `version` only grows (E42).
    """

    class State(models.TextChoices):
        UNKNOWN = "unknown"
        SENDING = "sending"
        IN_STEP = "in_step", "in step"
        FAILED = "failed"
        UNSUPPORTED = "unsupported"

    charger = models.OneToOneField(Charger, models.CASCADE, related_name="local_list")
    is_wanted = models.BooleanField("keep in step", default=True)
    version = models.PositiveIntegerField(default=0, help_text="The last one sent")
    reported_version = models.IntegerField(
        null=True, blank=True, help_text="As the charger said; -1: it has no local lists"
    )
    held_version = models.IntegerField(
        null=True,
        blank=True,
        help_text="The one whose entries are below. Empty: what the charger has is unknown",
    )
    state = models.CharField(max_length=11, choices=State.choices, default=State.UNKNOWN)
    detail = models.CharField(max_length=255, blank=True)
    entries = models.JSONField(default=dict, blank=True)
    fingerprint = models.CharField(max_length=64, blank=True, help_text="Of the id tags it is in step with")
    firmware_version = models.CharField(max_length=50, blank=True, help_text="Which has no local lists")
    asked_at = models.DateTimeField(null=True, blank=True, help_text="When its version was last asked for")
    failures = models.PositiveSmallIntegerField(default=0, help_text="One after the other")
    retry_at = models.DateTimeField(null=True, blank=True)
    command = models.ForeignKey(Command, models.SET_NULL, null=True, blank=True, related_name="+")
    updated_at = models.DateTimeField(auto_now=True)

    charger_id: int

    class Meta:
        ordering = ("charger",)

    def __str__(self) -> str:
        return f"{self.charger.identity}: version {self.version}"


class Reservation(models.Model):
    """A connector, or any of a charger's, kept free for a card until it expires. The key is OCPP's reservationId.

    requested ─→ active ─→ used | cancelled | expired | ended (the connector went out of order, E43)
        └─→ rejected
    """

    class State(models.TextChoices):
        REQUESTED = "requested"
        ACTIVE = "active"
        REJECTED = "rejected"
        USED = "used"
        CANCELLED = "cancelled"
        EXPIRED = "expired"
        ENDED = "ended"

    OPEN = (State.REQUESTED, State.ACTIVE)

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="reservations")
    connector = models.ForeignKey(
        Connector,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="reservations",
        help_text="Empty: whichever is free",
    )
    id_tag = models.CharField(max_length=20)
    parent_id_tag = models.CharField(max_length=20, blank=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="reservations"
    )
    expires_at = models.DateTimeField()
    state = models.CharField(max_length=9, choices=State.choices, default=State.REQUESTED)
    detail = models.CharField(max_length=255, blank=True, help_text="In words: why it ended")
    kept_at = models.DateTimeField(null=True, blank=True, help_text="When the connector said so: Reserved")
    remind_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When its holder is next told how long it lasts"
    )
    session = models.OneToOneField(
        "charging.ChargingSession", models.SET_NULL, null=True, blank=True, related_name="reservation"
    )
    command = models.ForeignKey(Command, models.SET_NULL, null=True, blank=True, related_name="+")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    charger_id: int
    connector_id: int | None
    user_id: int | None

    class Meta:
        ordering = ("-created_at", "-pk")
        indexes = [
            # What the sweep looks for, every few seconds: only the open ones are in this index.
            models.Index(
                fields=["expires_at"], name="reservation_open", condition=Q(state__in=("requested", "active"))
            ),
            models.Index(
                fields=["remind_at"],
                name="reservation_to_remind",
                condition=Q(state="active", remind_at__isnull=False),
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["connector"],
                condition=Q(state__in=("requested", "active")),
                name="one_open_reservation_per_connector",
            )
        ]

    def __str__(self) -> str:
        return f"Reservation {self.pk}"
