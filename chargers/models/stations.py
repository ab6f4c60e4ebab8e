"""Which chargers exist, and whether they can be reached."""

from typing import TYPE_CHECKING

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager

    from chargers.models.commands import Command


class Station(models.Model):
    """A place with one or more chargers."""

    name = models.CharField(max_length=120)
    address = models.CharField(max_length=240, blank=True)
    latitude = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(-90), MaxValueValidator(90)]
    )
    longitude = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(-180), MaxValueValidator(180)]
    )
    is_under_maintenance = models.BooleanField("under maintenance", default=False)
    maintenance_reason = models.CharField(max_length=240, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        chargers: RelatedManager["Charger"]

    class Meta:
        ordering = ("name", "pk")
        indexes = [models.Index(fields=["latitude", "longitude"], name="station_by_place")]

    def __str__(self) -> str:
        return self.name


class ConnectorStatus(models.TextChoices):
    """OCPP 1.6 §7.7 ChargePointStatus; the words are the field's own."""

    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EVSE = "SuspendedEVSE"
    SUSPENDED_EV = "SuspendedEV"
    FINISHING = "Finishing"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


class SecurityProfile(models.IntegerChoices):
    """OCPP 1.6 security whitepaper §2: what guards the connection."""

    NONE = 0, "None"
    BASIC = 1, "1 – Basic auth"
    TLS = 2, "2 – TLS, Basic auth"
    CERTIFICATE = 3, "3 – TLS, client certificate"


class Charger(models.Model):
    """One charge point, known by the identity it dials in with.

    `channel_name` is where the socket that owns it listens; empty means offline. `epoch` grows with every
    connect, so that what an older socket does can be told from what the newest does.
    """

    class Registration(models.TextChoices):
        ACCEPTED = "Accepted"
        PENDING = "Pending"
        REJECTED = "Rejected"

    identity = models.CharField(max_length=255, unique=True)
    station = models.ForeignKey(Station, models.SET_NULL, null=True, blank=True, related_name="chargers")
    registration = models.CharField(max_length=8, choices=Registration.choices, default=Registration.ACCEPTED)
    password_hash = models.CharField(max_length=200, blank=True, editable=False)
    # While a change of password is under way the charger may come with either: it tells us which it kept.
    next_password_hash = models.CharField(max_length=200, blank=True, editable=False)
    security_profile = models.PositiveSmallIntegerField(
        choices=SecurityProfile.choices,
        default=SecurityProfile.NONE,
        help_text="The least it must connect with. The installation's floor counts where it is higher",
    )
    used_security_profile = models.PositiveSmallIntegerField(
        choices=SecurityProfile.choices,
        default=SecurityProfile.NONE,
        editable=False,
        help_text="The highest it ever connected with: it may not fall below",
    )

    vendor = models.CharField(max_length=50, blank=True)
    model = models.CharField(max_length=50, blank=True)
    serial_number = models.CharField(max_length=50, blank=True)
    firmware_version = models.CharField(max_length=50, blank=True)
    meter_type = models.CharField(max_length=50, blank=True)
    ocpp_version = models.CharField(max_length=12, blank=True)

    status = models.CharField(
        max_length=13, blank=True, help_text="What the charger says of itself as a whole"
    )
    error_code = models.CharField(max_length=50, blank=True)
    status_at = models.DateTimeField(null=True, blank=True)
    firmware_status = models.CharField(max_length=30, blank=True)
    diagnostics_status = models.CharField(max_length=30, blank=True)
    configuration = models.JSONField(default=dict, blank=True, help_text="Keys as last read from the charger")

    channel_name = models.CharField(max_length=100, blank=True, editable=False)
    epoch = models.PositiveIntegerField(default=0, editable=False)
    connected_at = models.DateTimeField(null=True, blank=True, editable=False)
    disconnected_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    booted_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    station_id: int | None
    if TYPE_CHECKING:
        connectors: RelatedManager["Connector"]
        commands: RelatedManager["Command"]

    class Meta:
        ordering = ("identity",)

    def __str__(self) -> str:
        return self.identity

    @property
    def is_connected(self) -> bool:
        return self.channel_name != ""


class Connector(models.Model):
    """One outlet of a charger; `number` is OCPP's connectorId, counted from 1."""

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="connectors")
    number = models.PositiveSmallIntegerField(validators=[MinValueValidator(1)])
    status = models.CharField(max_length=13, choices=ConnectorStatus.choices, blank=True)
    error_code = models.CharField(max_length=50, blank=True)
    info = models.CharField(max_length=255, blank=True)
    vendor_error_code = models.CharField(max_length=50, blank=True)
    status_at = models.DateTimeField(null=True, blank=True, help_text="When it was last told")
    status_since = models.DateTimeField(null=True, blank=True, help_text="When it became so")
    stuck_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When it was found to be stuck in that status"
    )

    charger_id: int

    class Meta:
        ordering = ("charger", "number")
        constraints = [
            models.UniqueConstraint(fields=["charger", "number"], name="connector_once_per_charger"),
            models.CheckConstraint(condition=Q(number__gte=1), name="connector_number_from_one"),
        ]
        indexes = [
            # What the sweep looks for, every few seconds: only those that may get stuck are in this index.
            models.Index(
                fields=["status_since"],
                name="connector_may_be_stuck",
                condition=Q(status__in=("Preparing", "Finishing"), stuck_at=None),
            )
        ]

    def __str__(self) -> str:
        return f"{self.charger.identity} #{self.number}"
