"""The page of tariffs. A session keeps the price it began with; what changes here counts for the next one."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from chargers.admin import columns
from chargers.admin.pages import Page
from chargers.models import Station
from sessions.models import Tariff


class TariffForm(forms.ModelForm):
    def clean_currency(self) -> str:
        return self.cleaned_data["currency"].strip().upper()

    def clean_stations(self) -> QuerySet[Station]:
        """A station has one tariff of its own, or it would be chance which one counts."""
        stations = self.cleaned_data["stations"]
        taken = stations.filter(tariffs__isnull=False).exclude(tariffs=self.instance.pk or 0).distinct()
        if names := ", ".join(station.name for station in taken):
            raise forms.ValidationError(f"They have a tariff of their own already: {names}.")
        return stations


@admin.register(Tariff)
class TariffAdmin(Page):
    form = TariffForm
    list_display = ("name", "currency", "per_kwh", "per_minute", "per_session", "default", "station_count")
    list_filter = ("is_default", "currency")
    search_fields = ("name", "stations__name")
    search_help_text = "Name of the tariff or of a station"
    autocomplete_fields = ("stations",)
    fieldsets = (
        (None, {"fields": ("name", "is_default", "stations")}),
        (
            "Prices",
            {
                "description": "Sessions that have begun keep the prices they began with.",
                "fields": (
                    "currency",
                    "price_per_kwh",
                    "price_per_minute",
                    "price_per_session",
                    "tax_percent",
                ),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tariff]:
        return super().get_queryset(request).annotate(stations_here=Count("stations", distinct=True))

    @admin.display(description="per kWh", ordering="price_per_kwh")
    def per_kwh(self, tariff: Tariff) -> str:
        return _price(tariff.price_per_kwh)

    @admin.display(description="per minute", ordering="price_per_minute")
    def per_minute(self, tariff: Tariff) -> str:
        return _price(tariff.price_per_minute)

    @admin.display(description="per session", ordering="price_per_session")
    def per_session(self, tariff: Tariff) -> str:
        return _price(tariff.price_per_session)

    @admin.display(description="default", ordering="is_default")
    def default(self, tariff: Tariff) -> str:
        return columns.badge("default") if tariff.is_default else columns.NOTHING

    @admin.display(description="stations", ordering="stations_here")
    def station_count(self, tariff: Any) -> str:
        return columns.to_list(
            "chargers.station", columns.counted(tariff.stations_here, "station"), tariffs__id__exact=tariff.pk
        )


def _price(price: Any) -> str:
    """Without the zeros that only the column has: 0.4900 is 0.49, 0.0525 stays."""
    text = f"{price:.4f}"
    return text[:-2] if text.endswith("00") else text
