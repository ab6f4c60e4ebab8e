"""Who charged, where, how much, at what price. The constraints here are the last word on money."""

import uuid
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

from chargers.models import Charger, Command, Connector, Station
from sessions.models.fields import JSONAsSent
from sessions.pricing import Price

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager


class Tariff(models.Model):
    """Prices. A charger takes the tariff of its station, else the default one, at the moment a session starts."""

    name = models.CharField(max_length=80)
    currency = models.CharField(
        max_length=3, default="EUR", validators=[RegexValidator(r"^[A-Z]{3}$", "ISO 4217 code, such as EUR")]
    )
    price_per_kwh = models.DecimalField(
        max_digits=10, decimal_places=4, default=0, validators=[MinValueValidator(0)]
    )
    price_per_minute = models.DecimalField(
        max_digits=10, decimal_places=4, default=0, validators=[MinValueValidator(0)]
    )
    price_per_session = models.DecimalField(
        max_digits=10, decimal_places=4, default=0, validators=[MinValueValidator(0)]
    )
    tax_percent = models.DecimalField(
        "tax (%)",
        max_digits=5,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="Included in the prices. Empty: receipts say nothing of tax",
    )
    stations = models.ManyToManyField(Station, blank=True, related_name="tariffs")
    is_default = models.BooleanField("default", default=False)

    class Meta:
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"],
                condition=Q(is_default=True),
                name="one_default_tariff",
                violation_error_message="Another tariff is the default already.",
            ),
            models.CheckConstraint(
                condition=Q(price_per_kwh__gte=0, price_per_minute__gte=0, price_per_session__gte=0),
                name="tariff_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ChargingSession(models.Model):
    """One charge, from the wish for it to its price.

    pending ─→ active ⇄ stopping ─→ completed
       └─→ failed ─→ active   (the charger began after we had given up: it is still this driver's, E31)

    The facts as the charger told them (`*_reported`, meter values) stay as they came; times and energy are
    what was judged from them.
    """

    class Status(models.TextChoices):
        PENDING = "pending"
        ACTIVE = "active"
        STOPPING = "stopping"
        COMPLETED = "completed"
        FAILED = "failed"

    class Review(models.TextChoices):
        WAITING = "waiting"
        ACCEPTED = "accepted"
        CORRECTED = "corrected"
        VOIDED = "voided"

    class Kept(models.TextChoices):
        """What is left of its readings (sessions.retention)."""

        ALL = "all"
        THINNED = "thinned"  # as many as give the same totals
        NONE = "none"

    OPEN = (Status.PENDING, Status.ACTIVE, Status.STOPPING)
    RUNNING = (Status.ACTIVE, Status.STOPPING)

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="charging_sessions",
        db_index=False,  # session_by_user begins with it
    )
    # Sessions begun from an app take one of the user's places; a card at the charger is a fact and needs none.
    user_place = models.PositiveSmallIntegerField(null=True, editable=False)
    charger = models.ForeignKey(Charger, models.PROTECT, related_name="sessions", db_index=False)
    connector = models.ForeignKey(Connector, models.PROTECT, null=True, blank=True, related_name="sessions")
    id_tag = models.CharField(max_length=40)
    id_tag_status = models.CharField(
        max_length=13, blank=True, help_text="What the charger was told of the tag"
    )
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.PENDING)
    transaction_id = models.PositiveBigIntegerField(null=True, blank=True, unique=True)
    start_command = models.OneToOneField(
        Command, models.SET_NULL, null=True, blank=True, related_name="started_session"
    )
    stop_command = models.ForeignKey(
        Command, models.SET_NULL, null=True, blank=True, related_name="stopped_sessions"
    )

    requested_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    start_reported = models.CharField(max_length=64, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True)
    stop_reported = models.CharField(max_length=64, blank=True)
    # As judged when it came; a person's correction changes `stopped_at` and not this. Empty: no stop was ever told.
    stop_told_at = models.DateTimeField(null=True, blank=True, editable=False)
    stop_reason = models.CharField(max_length=40, blank=True)
    meter_start_wh = models.BigIntegerField(null=True, blank=True)
    meter_stop_wh = models.BigIntegerField(null=True, blank=True)
    energy_wh = models.BigIntegerField(
        null=True, blank=True, help_text="Final energy; live energy is in the readings"
    )

    currency = models.CharField(max_length=3, blank=True)
    price_per_kwh = models.DecimalField(max_digits=10, decimal_places=4, null=True, blank=True)
    price_per_minute = models.DecimalField(max_digits=10, decimal_places=4, null=True, blank=True)
    price_per_session = models.DecimalField(max_digits=10, decimal_places=4, null=True, blank=True)
    tax_percent = models.DecimalField("tax (%)", max_digits=5, decimal_places=2, null=True, blank=True)
    cost = models.DecimalField(max_digits=12, decimal_places=3, null=True, blank=True)

    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.CharField(max_length=255, blank=True)
    review = models.CharField(
        max_length=9,
        choices=Review.choices,
        blank=True,
        help_text="Waiting: something is odd, and a person is to look at it. Empty: nothing was",
    )
    flags = models.JSONField(
        default=list, blank=True, help_text="What was odd: late, reconciled, superseded …"
    )
    # Its default is the database's too: processes of an earlier version, in a rolling restart, do not name it.
    readings_kept = models.CharField(
        max_length=7, choices=Kept.choices, default=Kept.ALL, db_default=Kept.ALL, editable=False
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    user_id: int | None
    charger_id: int
    connector_id: int | None
    start_command_id: uuid.UUID | None
    stop_command_id: uuid.UUID | None
    if TYPE_CHECKING:
        readings: RelatedManager["MeterReading"]
        oddities: RelatedManager["Oddity"]
        decisions: RelatedManager["Decision"]

    class Meta:
        ordering = ("-created_at", "-pk")
        verbose_name = "charging session"
        # docs/data.md has each index with the queries that need it.
        indexes = [
            models.Index(fields=["user", "-created_at"], name="session_by_user"),
            models.Index(fields=["-created_at", "-id"], name="session_by_time"),
            models.Index(fields=["charger", "-created_at"], name="session_by_charger"),
            models.Index(fields=["charger", "id_tag"], name="session_by_tag"),
            models.Index(fields=["-created_at"], name="session_to_review", condition=Q(review="waiting")),
            models.Index(fields=["readings_kept", "stopped_at"], name="session_by_readings_kept"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["connector"],
                condition=Q(status__in=("pending", "active", "stopping")),
                name="one_open_session_per_connector",
            ),
            models.UniqueConstraint(
                fields=["user", "user_place"],
                condition=Q(status__in=("pending", "active", "stopping")),
                name="one_open_session_per_user_place",
            ),
            # The same StartTransaction is the same session, whenever it comes again (E21).
            models.UniqueConstraint(
                fields=["charger", "connector", "id_tag", "start_reported", "meter_start_wh"],
                condition=Q(transaction_id__isnull=False) & ~Q(start_reported=""),
                name="one_session_per_reported_start",
            ),
            models.CheckConstraint(
                condition=Q(status__in=("pending", "failed")) | Q(transaction_id__isnull=False),
                name="running_session_has_transaction",
            ),
            models.CheckConstraint(
                condition=Q(energy_wh__gte=0) | Q(energy_wh=None), name="energy_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"Session {self.pk}"

    @property
    def is_open(self) -> bool:
        return self.status in self.OPEN

    @property
    def price(self) -> Price | None:
        if self.price_per_kwh is None or self.price_per_minute is None or self.price_per_session is None:
            return None
        prices = (self.price_per_kwh, self.price_per_minute, self.price_per_session)
        return Price(self.currency, *prices, self.tax_percent)

    def agree_price(self, price: Price | None) -> None:
        if price is not None:
            (
                self.currency,
                self.price_per_kwh,
                self.price_per_minute,
                self.price_per_session,
                self.tax_percent,
            ) = price

    def add_flag(self, flag: str) -> None:
        """Something is odd. sessions.oddities says why in words, and keeps the frame."""
        if flag not in self.flags:
            self.flags = [*self.flags, flag]


class WaitingSession(ChargingSession):
    """A session as a line of the reconcile queue: something about it is odd, and nobody has decided yet."""

    class Meta:
        proxy = True
        verbose_name = "session to review"
        verbose_name_plural = "sessions to review"


class MeterReading(models.Model):
    """What a meter showed at one moment. Rows are only ever added, many at a time (sessions.meter_store).

    The database does not check the two references again: it would be half the cost of a row. On PostgreSQL the table is
    in parts, by months of `measured_at` (sessions.retention): who names a time looks into few of them.
    """

    session = models.ForeignKey(
        ChargingSession,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="readings",
        db_index=False,
        db_constraint=False,
    )
    charger = models.ForeignKey(
        Charger, models.CASCADE, related_name="readings", db_index=False, db_constraint=False
    )
    connector_number = models.PositiveSmallIntegerField(help_text="0 is the charger's own main meter")
    measured_at = models.DateTimeField()
    received_at = models.DateTimeField()
    context = models.CharField(max_length=40, blank=True)
    energy_wh = models.BigIntegerField("register (Wh)", null=True)
    power_w = models.FloatField("power (W)", null=True)
    current_a = models.FloatField("current (A)", null=True)
    voltage_v = models.FloatField("voltage (V)", null=True)
    soc_percent = models.FloatField("state of charge (%)", null=True)
    sampled_values = JSONAsSent(help_text="As the charger sent them")
    is_suspect = models.BooleanField(
        "suspect", default=False, help_text="Its register cannot be right; it does not count"
    )
    digest = models.BigIntegerField(editable=False)

    session_id: int | None
    charger_id: int

    class Meta:
        ordering = ("measured_at", "pk")
        indexes = [models.Index(fields=["session", "measured_at"], name="reading_by_session")]
        constraints = [
            # The same report twice is stored once; and a charger's readings by time.
            models.UniqueConstraint(
                fields=["charger", "measured_at", "connector_number", "digest"], name="reading_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.measured_at:%F %T}"


class Oddity(models.Model):
    """Why a session carries a flag: the reason in words, and what the charger said."""

    session = models.ForeignKey(ChargingSession, models.CASCADE, related_name="oddities")
    flag = models.CharField(max_length=20)
    reason = models.CharField(max_length=255)
    frame = models.TextField(blank=True, help_text="The charger's message, as it came")
    created_at = models.DateTimeField(auto_now_add=True)

    session_id: int

    class Meta:
        ordering = ("created_at", "pk")
        verbose_name_plural = "oddities"
        constraints = [models.UniqueConstraint(fields=["session", "flag", "reason"], name="oddity_once")]

    def __str__(self) -> str:
        return f"{self.flag}: {self.reason}"


class Decision(models.Model):
    """What a person decided about a session, and how it stood before and after. Never changed, never deleted."""

    class Verdict(models.TextChoices):
        ACCEPTED = "accepted"
        CORRECTED = "corrected"
        VOIDED = "voided"
        CLOSED = "closed"  # a stale one, ended by hand

    session = models.ForeignKey(ChargingSession, models.PROTECT, related_name="decisions")
    verdict = models.CharField(max_length=9, choices=Verdict.choices)
    reason = models.CharField(max_length=255)
    before = models.JSONField()
    after = models.JSONField()
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("decided_at", "pk")

    def __str__(self) -> str:
        return f"{self.verdict} by {self.decided_by}"
