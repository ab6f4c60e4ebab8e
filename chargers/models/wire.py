"""What was said on the wire, and how chargers depart from the rules."""

from django.core.validators import MaxValueValidator
from django.db import models

from chargers.models.stations import Charger


class OcppCall(models.Model):
    """One CALL and its answer: two frames of the wire log. Rows are only ever added, many at a time.

    The database does not check the reference to the charger: it is written on the hot path. On PostgreSQL the table is
    in parts, by days of `at` (chargers.wire_log).
    """

    class Direction(models.TextChoices):
        IN = "in", "from the charger"
        OUT = "out", "to the charger"

    charger = models.ForeignKey(
        Charger, models.CASCADE, related_name="calls", db_index=False, db_constraint=False
    )
    direction = models.CharField(max_length=3, choices=Direction.choices)
    message_id = models.CharField(max_length=255)
    action = models.CharField(max_length=60, blank=True)
    request = models.TextField(help_text="The frame, secrets masked")
    answer = models.TextField(blank=True, help_text="The frame that answered it; empty: none did")
    verdict = models.CharField(
        max_length=40, help_text="ok, the CALLERROR's code, timeout, lost, late, unreadable, unasked"
    )
    at = models.DateTimeField()
    latency_ms = models.FloatField("latency (ms)", null=True)

    charger_id: int

    class Meta:
        ordering = ("-at", "-pk")
        verbose_name = "OCPP message"
        # docs/data.md has each index with the queries that need it.
        indexes = [
            models.Index(fields=["charger", "-at"], name="call_by_charger"),
            models.Index(fields=["-at"], name="call_by_time"),
            models.Index(fields=["message_id"], name="call_by_message_id"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.message_id}"


class QuirkProfile(models.Model):
    """What chargers of a make do otherwise than the rules say, and how it is mended here.

    Patterns are shell-style (`*`, `?`), without regard to case. Of several that fit the one of highest priority counts.
    """

    class Register(models.TextChoices):
        LIFETIME = "lifetime", "counts for ever, as it should"
        SESSION = "session", "begins at 0 with each session"

    name = models.CharField(max_length=80, unique=True)
    identity_pattern = models.CharField(
        max_length=255,
        default="*",
        help_text="For a single charger, or one that never gets as far as to say what it is",
    )
    vendor_pattern = models.CharField(max_length=50, default="*")
    model_pattern = models.CharField(max_length=50, default="*")
    firmware_pattern = models.CharField(max_length=50, default="*")
    priority = models.SmallIntegerField(default=0)
    is_enabled = models.BooleanField("enabled", default=True)
    note = models.TextField(blank=True)

    is_lenient = models.BooleanField(
        "lenient schema",
        default=False,
        help_text="Its messages are read though they break the official schema",
    )
    energy_factor = models.FloatField(
        default=1, help_text="Its energy times this is Wh; 1000 if it says Wh and means kWh"
    )
    power_factor = models.FloatField(default=1, help_text="Its power times this is W")
    default_subprotocol = models.CharField(
        max_length=12, blank=True, help_text="Taken where it offers none that we know"
    )
    no_pings = models.BooleanField(
        "no pings", default=False, help_text="It never answers them: any frame shows that it lives"
    )
    start_answer_delay_ms = models.PositiveIntegerField(
        "delay before a StartTransaction answer (ms)", default=0, validators=[MaxValueValidator(10_000)]
    )
    id_tag_trim = models.CharField(
        "id tag ends before",
        max_length=8,
        blank=True,
        help_text="Characters; the tag is cut at the first of them",
    )
    timezone = models.CharField(
        max_length=40,
        blank=True,
        help_text="Of its times without a zone, such as Europe/Berlin; UTC where empty",
    )
    register = models.CharField(
        "meter register", max_length=8, choices=Register.choices, default=Register.LIFETIME
    )

    class Meta:
        ordering = ("-priority", "name")

    def __str__(self) -> str:
        return self.name


class Breach(models.Model):
    """A rule that a charger broke: written once with an example, then counted."""

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="breaches")
    rule = models.CharField(max_length=60, help_text="A code")
    action = models.CharField(max_length=60, blank=True)
    detail = models.CharField(max_length=255, help_text="In words")
    frame = models.TextField("example", help_text="The frame that broke it, secrets masked")
    remedy = models.CharField(
        max_length=40, blank=True, help_text="The field of a quirk profile that would mend it"
    )
    count = models.PositiveIntegerField(default=1)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    charger_id: int

    class Meta:
        ordering = ("-last_at",)
        verbose_name_plural = "breaches"
        constraints = [
            models.UniqueConstraint(fields=["charger", "rule", "action"], name="breach_counted_once")
        ]

    def __str__(self) -> str:
        return f"{self.charger.identity}: {self.rule}"
