"""The page of sessions. They are facts, and some are billed: an operator can have one stopped, and decide about odd
ones; a decision stands beside the facts.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import (
    BigIntegerField,
    Case,
    DurationField,
    ExpressionWrapper,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse

from chargers.admin import columns, sending
from chargers.admin.pages import Facts, YesNo, narrowed
from chargers.errors import DomainError
from chargers.events import utcnow
from chargers.models import Charger, Command, Connector, Station
from sessions import pricing, services
from sessions.admin import figures, limits, reviews
from sessions.admin.timeline import timeline
from sessions.errors import NoActiveSession
from sessions.models import ChargingSession, MeterReading
from sessions.queries import duration_s
from sessions.readings import duration_display, energy_delivered_wh

RUNNING = [status.value for status in ChargingSession.RUNNING]
LATEST = 12


class Open(YesNo):
    title = "state"
    parameter_name = "open"
    words = ("Open", "Ended")

    def narrow(self, queryset: QuerySet[ChargingSession], yes: bool) -> QuerySet[ChargingSession]:
        condition = Q(status__in=ChargingSession.OPEN)
        return queryset.filter(condition if yes else ~condition)


class Flagged(YesNo):
    title = "anything odd"
    parameter_name = "flagged"
    words = ("Flagged", "Nothing odd")

    def narrow(self, queryset: QuerySet[ChargingSession], yes: bool) -> QuerySet[ChargingSession]:
        return queryset.exclude(flags=[]) if yes else queryset.filter(flags=[])


class Begun(YesNo):
    title = "begun by"
    parameter_name = "begun"
    words = ("An app", "A card or an operator")

    def narrow(self, queryset: QuerySet[ChargingSession], yes: bool) -> QuerySet[ChargingSession]:
        return queryset.filter(requested_at__isnull=not yes)


class Tag(admin.SimpleListFilter):
    """One id tag's, as a link from its page asks; there are too many to choose from."""

    title = "id tag"
    parameter_name = "id_tag"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        value = self.value()
        return [(value, value)] if value else []

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[ChargingSession]
    ) -> QuerySet[ChargingSession]:
        return queryset.filter(id_tag=self.value()) if self.value() else queryset


@admin.action(description="Remote stop…", permissions=["send_remote_stop"])
def remote_stop(
    page: "ChargingSessionAdmin", request: HttpRequest, queryset: QuerySet[ChargingSession]
) -> HttpResponse | None:
    sessions: list[ChargingSession] = sending.chosen(page, request, queryset)
    if not sessions:
        return None
    if "confirmed" not in request.POST:
        return sending.confirmation(
            page,
            request,
            [(session, page.summary(session)) for session in sessions],
            name="remote_stop",
            title="Remote stop",
            warning="The charger is asked to end what is being charged. A start that waits is called off.",
        )
    sent: list[Command] = []
    refused = sending.Refused()
    for session in sessions:
        try:
            _, command = services.stop(session=session, requested_by=request.user)  # type: ignore[arg-type]
        except NoActiveSession:
            page.message_user(request, f"{session} has ended already.", messages.WARNING)
        except DomainError as error:
            refused.add(f"{session} at {session.charger}", error)
        else:
            if session.is_open and command is not None:
                sent.append(command)
            else:
                page.message_user(request, f"{session} is called off.", messages.SUCCESS)
    refused.tell(page, request)
    return sending.answers(request, sent) or sending.back(request, sessions)


@admin.register(ChargingSession)
class ChargingSessionAdmin(Facts):
    actions: Sequence[Any] = (remote_stop, limits.limit_sessions, limits.clear_sessions, *reviews.ACTIONS)
    list_display: tuple[Any, ...] = (
        *("__str__", "badge", "where", "who", "energy", "bill", "duration", "begun_minute"),
        *("end", "flag_badges", "review_badge"),
    )
    list_filter: ClassVar[tuple[Any, ...]] = (
        narrowed(Charger, "charger"),
        narrowed(Connector, "connector"),
        narrowed(Station, "station", lookup="charger__station"),
        narrowed(get_user_model(), "user"),
        narrowed(Command, "start_command", title="start command"),
        narrowed(Command, "stop_command", title="stop command"),
        Tag,
        Open,
        "status",
        "review",
        Flagged,
        Begun,
        ("created_at", admin.DateFieldListFilter),
    )
    search_fields = (
        *("charger__identity", "charger__serial_number", "user__username", "user__email", "id_tag"),
        *("transaction_id__exact", "start_command__id", "stop_command__id"),
    )
    search_help_text = "Charger, serial number, user, id tag, transaction id, message id"
    fieldsets = (
        (None, {"fields": ("badge", "where", "who", "duration", "energy", "power", "bill", "flag_badges")}),
        (
            "Course",
            {"fields": ("requested", "begun", "stopped", "end", "start_command_link", "stop_command_link")},
        ),
        ("Review", {"fields": ("review_badge", "oddities", "decisions")}),
        ("Meter", {"fields": ("meter", "latest_readings", "limits_link")}),
        ("Price agreed at the start", {"fields": ("prices",)}),
        (
            "As the charger told it",
            {"fields": ("transaction_id", "tag", "start_reported", "stop_reported", "created", "updated")},
        ),
        ("Timeline", {"fields": ("timeline",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChargingSession]:
        """With the register's newest value, of running sessions only: a look into an index, not a query per row."""
        newest = MeterReading.objects.filter(session=OuterRef("pk")).order_by("-measured_at", "-pk")
        registers = newest.filter(energy_wh__isnull=False, is_suspect=False).values("energy_wh")[:1]
        now = Value(utcnow())
        return (
            super()
            .get_queryset(request)
            .select_related("charger__station", "connector", "user", "start_command", "stop_command")
            .annotate(
                register_wh=Case(When(status__in=RUNNING, then=Subquery(registers))),
                length=ExpressionWrapper(
                    Coalesce("stopped_at", now) - F("started_at"), output_field=DurationField()
                ),
            )
            .annotate(
                charged_wh=Case(
                    When(status__in=RUNNING, then=F("register_wh") - F("meter_start_wh")),
                    default=F("energy_wh"),
                    output_field=BigIntegerField(),
                )
            )
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        session = self.get_object(request, object_id)
        is_open = session is not None and session.is_open
        may_decide = session is not None and self.has_decide_permission(request)
        buttons = {
            "may_stop": is_open and self.may_use(request, "remote_stop"),
            "may_close": may_decide and session is not None and session.status in RUNNING,
            "may_accept": may_decide and not is_open and session is not None and session.review == "waiting",
            "may_correct": may_decide and session is not None and session.status == "completed",
        }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **buttons})

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Asked by Django for actions that name `decide` among their permissions."""
        return request.user.has_perm(reviews.PERMISSION)

    def summary(self, session: ChargingSession) -> str:
        return columns.links(
            self.badge(session), self.where(session), self.who(session), self.energy(session)
        )

    # --- columns ---

    @admin.display(description="status", ordering="status")
    def badge(self, session: ChargingSession) -> str:
        status = columns.badge(session.status, refresh_s=3 if session.is_open else 0)
        if session.is_open and not session.charger.is_connected:
            return columns.joined(status, columns.badge("", "charger offline", tone="wait"))
        return status

    @admin.display(description="charger", ordering="charger__identity")
    def where(self, session: ChargingSession) -> str:
        number = f" #{session.connector.number}" if session.connector else ""
        return columns.to_page(session.charger, f"{session.charger}{number}")

    @admin.display(description="user", ordering="user__username")
    def who(self, session: ChargingSession) -> str:
        return columns.to_page(session.user) if session.user else session.id_tag or columns.NOTHING

    @admin.display(description="begun", ordering=F("started_at").desc(nulls_last=True))
    def begun_minute(self, session: ChargingSession) -> str:
        return columns.moment(session.started_at, seconds=False)

    @admin.display(description="begun")
    def begun(self, session: ChargingSession) -> str:
        return columns.moment(session.started_at)

    @admin.display(description="duration", ordering="length")
    def duration(self, session: ChargingSession) -> str:
        if session.started_at is None:
            return columns.NOTHING
        return duration_display(duration_s(session)) or columns.NOTHING

    @admin.display(description="energy", ordering="charged_wh")
    def energy(self, session: Any) -> str:
        return figures.energy(_energy_wh(session))

    @admin.display(description="cost", ordering="cost")
    def bill(self, session: Any) -> str:
        if session.status not in RUNNING:
            return figures.money(session.cost, session.currency)
        so_far = pricing.cost(session.price, energy_wh=_energy_wh(session), duration_s=duration_s(session))
        return figures.money(so_far, session.currency)

    @admin.display(description="ended by", ordering="stop_reason")
    def end(self, session: ChargingSession) -> str:
        return session.error_message or session.stop_reason or columns.NOTHING

    @admin.display(description="odd")
    def flag_badges(self, session: ChargingSession) -> str:
        return (
            columns.joined(*(columns.badge("", flag, tone="wait") for flag in session.flags))
            or columns.NOTHING
        )

    @admin.display(description="review", ordering="review")
    def review_badge(self, session: ChargingSession) -> str:
        return reviews.review_badge(session)

    # --- on its page only ---

    @admin.display(description="what is odd")
    def oddities(self, session: ChargingSession) -> str:
        return reviews.oddities(session)

    @admin.display(description="decisions")
    def decisions(self, session: ChargingSession) -> str:
        return reviews.decisions(session)

    @admin.display(description="by time")
    def timeline(self, session: ChargingSession) -> str:
        return timeline(session)

    @admin.display(description="power")
    def power(self, session: ChargingSession) -> str:
        if session.status not in RUNNING:
            return columns.NOTHING
        row = session.readings.filter(power_w__isnull=False).order_by("-measured_at", "-pk").first()
        return figures.power(row.power_w if row else None)

    @admin.display(description="asked for")
    def requested(self, session: ChargingSession) -> str:
        return columns.moment(session.requested_at) if session.requested_at else "not from an app"

    @admin.display(description="stopped")
    def stopped(self, session: ChargingSession) -> str:
        return columns.moment(session.stopped_at)

    @admin.display(description="start command")
    def start_command_link(self, session: ChargingSession) -> str:
        return _command(session.start_command)

    @admin.display(description="stop command")
    def stop_command_link(self, session: ChargingSession) -> str:
        return _command(session.stop_command)

    @admin.display(description="register")
    def meter(self, session: ChargingSession) -> str:
        ends = (session.meter_start_wh, session.meter_stop_wh)
        return columns.joined(*(figures.energy(value) for value in ends), by=" → ")

    @admin.display(description="newest readings")
    def latest_readings(self, session: ChargingSession) -> str:
        rows = [
            [
                columns.moment(row.measured_at),
                figures.register(row),
                figures.power(row.power_w),
                figures.quantity(row.current_a, "A"),
                figures.quantity(row.voltage_v, "V"),
                figures.quantity(row.soc_percent, "%"),
            ]
            for row in session.readings.order_by("-measured_at", "-pk")[:LATEST]
        ]
        table = columns.table(["Measured", "Register", "Power", "Current", "Voltage", "Car's charge"], rows)
        if not rows:
            return table
        return columns.joined(
            table, columns.to_list("charging.meterreading", "All readings", session=session.pk)
        )

    @admin.display(description="limits")
    def limits_link(self, session: ChargingSession) -> str:
        return columns.to_list("charging.chargingprofile", "Set for this charge", session=session.pk)

    @admin.display(description="prices")
    def prices(self, session: ChargingSession) -> str:
        if session.price is None:
            return "No price: no tariff applied when it began"
        return (
            f"{session.price_per_kwh} per kWh, {session.price_per_minute} per minute,"
            f" {session.price_per_session} per session, in {session.currency}"
        )

    @admin.display(description="id tag")
    def tag(self, session: ChargingSession) -> str:
        if not session.id_tag:
            return columns.NOTHING
        told = columns.badge(session.id_tag_status) if session.id_tag_status else ""
        return columns.joined(columns.to_list("charging.idtag", session.id_tag, q=session.id_tag), told)

    @admin.display(description="stored")
    def created(self, session: ChargingSession) -> str:
        return columns.moment(session.created_at)

    @admin.display(description="last changed")
    def updated(self, session: ChargingSession) -> str:
        return columns.moment(session.updated_at)


def _energy_wh(session: Any) -> int | None:
    """Stored at the end; until then by the annotated register."""
    if session.status not in RUNNING:
        return session.energy_wh
    return energy_delivered_wh(meter_start_wh=session.meter_start_wh, register_wh=session.register_wh)


def _command(command: Command | None) -> str:
    if command is None:
        return columns.NOTHING
    return columns.joined(
        columns.to_page(command, columns.word_of(command.action)),
        columns.command_status(command),
        columns.outcome(command),
    )
