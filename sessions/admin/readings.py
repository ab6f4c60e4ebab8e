"""The page of meter readings."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from chargers.admin import columns
from chargers.admin.pages import Facts, narrowed
from chargers.models import Charger
from sessions.admin import figures
from sessions.models import ChargingSession, MeterReading


@admin.register(MeterReading)
class MeterReadingAdmin(Facts):
    list_display = (
        *("measured", "charger_link", "connector", "session_link"),
        *("register", "power", "current", "voltage", "soc", "context"),
    )
    list_filter = (
        narrowed(Charger, "charger"),
        narrowed(ChargingSession, "session", title="session"),
        ("received_at", admin.DateFieldListFilter),
        ("session", admin.EmptyFieldListFilter),
        "is_suspect",
    )
    list_select_related = ("charger", "session")
    search_fields = ("charger__identity",)
    search_help_text = "Identity of the charger"
    list_per_page = 100
    fields = (
        *("charger_link", "connector", "session_link", "measured", "received", "context"),
        *("register", "power", "current", "voltage", "soc", "as_sent"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[MeterReading]:
        return super().get_queryset(request).select_related("charger", "session")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Of a charger or a session by time, as its index has them; of all by the key: no other order is at hand."""
        is_narrowed = "charger" in request.GET or "session" in request.GET
        return ("-measured_at", "-pk") if is_narrowed else ("-pk",)

    @admin.display(description="measured", ordering="measured_at")
    def measured(self, reading: MeterReading) -> str:
        return columns.moment(reading.measured_at)

    @admin.display(description="received")
    def received(self, reading: MeterReading) -> str:
        return columns.moment(reading.received_at)

    @admin.display(description="charger", ordering="charger__identity")
    def charger_link(self, reading: MeterReading) -> str:
        return columns.to_page(reading.charger)

    @admin.display(description="connector", ordering="connector_number")
    def connector(self, reading: MeterReading) -> str:
        return str(reading.connector_number) if reading.connector_number else "main meter"

    @admin.display(description="session", ordering="session")
    def session_link(self, reading: MeterReading) -> str:
        return columns.to_page(reading.session)

    @admin.display(description="register", ordering="energy_wh")
    def register(self, reading: MeterReading) -> str:
        return figures.register(reading)

    @admin.display(description="power", ordering="power_w")
    def power(self, reading: MeterReading) -> str:
        return figures.power(reading.power_w)

    @admin.display(description="current", ordering="current_a")
    def current(self, reading: MeterReading) -> str:
        return figures.quantity(reading.current_a, "A")

    @admin.display(description="voltage", ordering="voltage_v")
    def voltage(self, reading: MeterReading) -> str:
        return figures.quantity(reading.voltage_v, "V")

    @admin.display(description="car's charge", ordering="soc_percent")
    def soc(self, reading: MeterReading) -> str:
        return figures.quantity(reading.soc_percent, "%")

    @admin.display(description="as the charger sent it")
    def as_sent(self, reading: MeterReading) -> str:
        return columns.pretty(reading.sampled_values)
