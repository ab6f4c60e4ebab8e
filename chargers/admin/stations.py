"""The page of stations. Maintenance goes through the service, so that whoever watches the chargers hears of it."""

from copy import copy
from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest

from chargers import services
from chargers.admin import columns
from chargers.admin.pages import Page
from chargers.models import Charger, Station

MAINTENANCE = {"is_under_maintenance", "maintenance_reason"}
PLACE = {"latitude", "longitude"}


class StationForm(forms.ModelForm):
    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if (data.get("latitude") is None) != (data.get("longitude") is None):
            self.add_error("longitude", "Give both latitude and longitude, or neither.")
        return data


@admin.register(Station)
class StationAdmin(Page):
    form = StationForm
    list_display = ("name", "address", "chargers_link", "online_count", "maintenance", "sessions_link")
    list_filter = ("is_under_maintenance",)
    search_fields = ("name", "address", "chargers__identity", "chargers__serial_number")
    search_help_text = "Name or address; identity or serial number of one of its chargers"
    readonly_fields = ("chargers_link", "online_count", "sessions_link", "added")
    fieldsets = (
        (None, {"fields": ("name", "address", ("latitude", "longitude"))}),
        (
            "Maintenance",
            {
                "description": "Nobody can start a session here while it is under maintenance; what runs, runs on.",
                "fields": ("is_under_maintenance", "maintenance_reason"),
            },
        ),
        ("Here", {"fields": ("chargers_link", "online_count", "sessions_link", "added")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Station]:
        return (
            super()
            .get_queryset(request)
            .annotate(
                charger_count=Count("chargers", distinct=True),
                connected_count=Count("chargers", filter=~Q(chargers__channel_name=""), distinct=True),
            )
        )

    # --- saving ---

    def save_model(self, request: HttpRequest, obj: Station, form: Any, change: bool) -> None:
        before = Station.objects.filter(pk=obj.pk).first()
        obj.save()
        if before and PLACE & set(form.changed_data):
            for charger in _accepted(obj):
                services.announce_moved(charger, before=before)
        if MAINTENANCE & set(form.changed_data):
            services.set_maintenance(
                station=obj, is_under_maintenance=obj.is_under_maintenance, reason=obj.maintenance_reason
            )

    def delete_model(self, request: HttpRequest, obj: Station) -> None:
        _delete(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Station]) -> None:
        for station in queryset:
            _delete(station)

    # --- columns ---

    @admin.display(description="chargers", ordering="charger_count")
    def chargers_link(self, station: Station) -> str:
        if station._state.adding:
            return columns.NOTHING
        count = getattr(station, "charger_count", 0)
        return columns.to_list("chargers.charger", columns.counted(count, "charger"), station=station.pk)

    @admin.display(description="online", ordering="connected_count")
    def online_count(self, station: Station) -> str:
        total, up = getattr(station, "charger_count", 0), getattr(station, "connected_count", 0)
        if not total:
            return columns.NOTHING
        tone = "good" if up == total else "bad" if up == 0 else "wait"
        return columns.badge("", f"{up} of {total}", tone=tone)

    @admin.display(description="maintenance", ordering="is_under_maintenance")
    def maintenance(self, station: Station) -> str:
        if not station.is_under_maintenance:
            return columns.NOTHING
        return columns.badge("maintenance", f"maintenance: {station.maintenance_reason}".removesuffix(": "))

    @admin.display(description="sessions")
    def sessions_link(self, station: Station) -> str:
        if station._state.adding:
            return columns.NOTHING
        return columns.to_list("charging.chargingsession", "Sessions", station=station.pk)

    @admin.display(description="added")
    def added(self, station: Station) -> str:
        return columns.moment(station.created_at)


@transaction.atomic
def _delete(station: Station) -> None:
    """Its chargers stay, without a station; whoever lists them is told."""
    moved = list(_accepted(station).values_list("pk", flat=True))
    before = copy(station)  # which keeps its key
    station.delete()
    for charger in Charger.objects.filter(pk__in=moved):
        services.announce_moved(charger, before=before)


def _accepted(station: Station) -> QuerySet[Charger]:
    return station.chargers.filter(registration=Charger.Registration.ACCEPTED)
