"""The page of charging profiles: what limits which charger has, and what they come to. Set and cleared elsewhere."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.timezone import localtime

from chargers.admin import columns
from chargers.admin.pages import Facts, narrowed
from chargers.events import utcnow
from chargers.models import Charger
from sessions import profiles, smart_charging
from sessions.admin import figures, steps
from sessions.models import ChargingProfile, ChargingSession
from sessions.readings import duration_display
from sessions.schedules import CYCLES, Limit

HOUR_S = 3600
EXPECTED_S = 24 * HOUR_S

_STARTS = {"Daily": "daily from %H:%M", "Weekly": "weekly from %A %H:%M"}


@admin.register(ChargingProfile)
class ChargingProfileAdmin(Facts):
    list_display = (*("number", "badge", "where", "place", "limits", "course", "session_link", "created"),)
    list_filter = (
        narrowed(Charger, "charger"),
        narrowed(ChargingSession, "session"),
        "state",
        "purpose",
        "kind",
        ("created_at", admin.DateFieldListFilter),
    )
    search_fields = ("charger__identity", "id__exact", "session__transaction_id__exact")
    search_help_text = "Charger, profile id, transaction id"
    ordering = ("-pk",)
    fieldsets = (
        (None, {"fields": ("badge", "why", "where", "purpose", "stack_level", "session_link")}),
        ("Schedule", {"fields": ("course", "validity", "schedule", "least")}),
        ("With all that the charger has", {"fields": ("expected",)}),
        ("When", {"fields": ("created", "ended", "requester", "command_link")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChargingProfile]:
        return super().get_queryset(request).select_related("charger", "session", "command", "requested_by")

    # --- columns ---

    @admin.display(description="profile", ordering="pk")
    def number(self, row: ChargingProfile) -> str:
        return str(row.pk)

    @admin.display(description="state", ordering="state")
    def badge(self, row: ChargingProfile) -> str:
        is_open = row.state == ChargingProfile.State.SENT and row.command and not row.command.is_finished
        return columns.badge(row.state, refresh_s=2 if is_open else 0)

    @admin.display(description="charger", ordering="charger__identity")
    def where(self, row: ChargingProfile) -> str:
        number = f" #{row.connector_number}" if row.connector_number else ""
        return columns.to_page(row.charger, f"{row.charger}{number}")

    @admin.display(description="purpose", ordering="purpose")
    def place(self, row: ChargingProfile) -> str:
        return f"{row.get_purpose_display()}, level {row.stack_level}"

    @admin.display(description="limits")
    def limits(self, row: ChargingProfile) -> str:
        rates = [period.limit.rate for period in profiles.as_profile(row).periods if period.limit]
        limits = [steps.limit(Limit(rate), row.unit) for rate in rates]
        more = f"… {len(limits)} periods" if len(limits) > 3 else ""
        return columns.joined(columns.joined(*limits[:3], by=" → "), more)

    @admin.display(description="course", ordering="kind")
    def course(self, row: ChargingProfile) -> str:
        """When it counts, in a few words."""
        length = f" for {_span(row.duration_s)}" if row.duration_s else ""
        if row.starts_at is None:
            return f"from the start of charging{length}"
        written = localtime(row.starts_at).strftime(_STARTS.get(row.recurrency, "from %Y-%m-%d %H:%M"))
        return f"{written}{length}"

    @admin.display(description="session", ordering="session")
    def session_link(self, row: ChargingProfile) -> str:
        return columns.to_page(row.session)

    @admin.display(description="asked by", ordering="requested_by__username")
    def requester(self, row: ChargingProfile) -> str:
        return columns.to_page(row.requested_by) if row.requested_by else "the system"

    @admin.display(description="set", ordering="created_at")
    def created(self, row: ChargingProfile) -> str:
        return columns.moment(row.created_at, seconds=False)

    # --- on its page only ---

    @admin.display(description="why")
    def why(self, row: ChargingProfile) -> str:
        return row.detail or columns.NOTHING

    @admin.display(description="valid")
    def validity(self, row: ChargingProfile) -> str:
        if not (row.valid_from or row.valid_to):
            return "always"
        ends = (row.valid_from, row.valid_to)
        return columns.joined(*(columns.moment(at) if at else "…" for at in ends), by=" – ")

    @admin.display(description="periods")
    def schedule(self, row: ChargingProfile) -> str:
        periods = profiles.as_profile(row).periods
        cycle = CYCLES.get(row.recurrency)
        last_s = periods[-1].start_s if periods else 0
        span_s = row.duration_s or (
            int(cycle.total_seconds()) if cycle else last_s + max(HOUR_S, last_s // 4)
        )
        return columns.joined(
            steps.chart(periods, row.unit, span_s=span_s, begins_at=row.starts_at),
            steps.table(periods, row.unit, span_s=span_s, begins_at=row.starts_at),
        )

    @admin.display(description="least useful rate")
    def least(self, row: ChargingProfile) -> str:
        return (
            figures.quantity(float(row.min_rate), row.unit) if row.min_rate is not None else columns.NOTHING
        )

    @admin.display(description="the next 24 hours")
    def expected(self, row: ChargingProfile) -> str:
        """All active profiles together, as the charger should see it too."""
        now = utcnow().replace(microsecond=0)
        periods = smart_charging.expected(
            charger=row.charger,
            connector_number=row.connector_number,
            unit=row.unit,
            duration_s=EXPECTED_S,
            begins_at=now,
        )
        return columns.joined(
            steps.chart(periods, row.unit, span_s=EXPECTED_S, begins_at=now),
            steps.table(periods, row.unit, span_s=EXPECTED_S, begins_at=now),
        )

    @admin.display(description="ended")
    def ended(self, row: ChargingProfile) -> str:
        return columns.moment(row.ended_at)

    @admin.display(description="command")
    def command_link(self, row: ChargingProfile) -> str:
        if row.command is None:
            return columns.NOTHING
        return columns.joined(
            columns.to_page(row.command, columns.word_of(row.command.action)),
            columns.command_status(row.command),
            columns.outcome(row.command),
        )


def _span(seconds: int) -> str:
    return duration_display(seconds) or "" if seconds >= 60 else f"{seconds} s"
