"""What lists of the resource API can be filtered and ordered by."""

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters  # type: ignore[import-untyped]
from rest_framework.filters import OrderingFilter
from rest_framework.request import Request

from chargers.models import Charger, Station
from gateway.resources.rows import of_word
from gateway.resources.serializers import WORDS
from sessions.models import ChargingSession, MeterReading


class StableOrdering(OrderingFilter):
    """The primary key last, so that rows that are equal keep their place from page to page."""

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> list[str]:
        ordering = list(super().get_ordering(request, queryset, view) or ())
        newest_first = bool(ordering) and ordering[0].startswith("-")
        return [*ordering, "-pk" if newest_first else "pk"]


BACKENDS = [filters.DjangoFilterBackend, StableOrdering]


class StationFilter(filters.FilterSet):
    name = filters.CharFilter(lookup_expr="icontains", help_text="Part of the name")
    is_under_maintenance = filters.BooleanFilter()

    class Meta:
        model = Station
        fields = ["name", "is_under_maintenance"]


class ChargerFilter(filters.FilterSet):
    station = filters.NumberFilter(field_name="station_id", help_text="A station's id")
    status = filters.ChoiceFilter(
        choices=[(word, word) for word in WORDS], method="by_word", help_text="The map's word"
    )
    registration = filters.ChoiceFilter(choices=Charger.Registration.choices)
    connected = filters.BooleanFilter(method="by_connection")

    class Meta:
        model = Charger
        fields = ["station", "status", "registration", "connected"]

    def by_word(self, chargers: QuerySet[Charger], name: str, word: str) -> QuerySet[Charger]:
        return of_word(chargers, word)

    def by_connection(self, chargers: QuerySet[Charger], name: str, connected: bool) -> QuerySet[Charger]:
        return chargers.exclude(channel_name="") if connected else chargers.filter(channel_name="")


class SessionFilter(filters.FilterSet):
    status = filters.MultipleChoiceFilter(
        choices=ChargingSession.Status.choices, help_text="May be given more than once"
    )
    charger = filters.CharFilter(field_name="charger__identity", help_text="A charger's OCPP identity")
    station = filters.NumberFilter(field_name="charger__station_id", help_text="A station's id")
    user = filters.NumberFilter(field_name="user_id", help_text="A user's id; for operators")
    transaction_id = filters.NumberFilter()
    started_after = filters.IsoDateTimeFilter(field_name="started_at", lookup_expr="gte")
    started_before = filters.IsoDateTimeFilter(field_name="started_at", lookup_expr="lt")

    class Meta:
        model = ChargingSession
        fields = ["status", "charger", "station", "user", "transaction_id", "started_after", "started_before"]


class MeterValueFilter(filters.FilterSet):
    measured_after = filters.IsoDateTimeFilter(field_name="measured_at", lookup_expr="gte")
    measured_before = filters.IsoDateTimeFilter(field_name="measured_at", lookup_expr="lt")

    class Meta:
        model = MeterReading
        fields = ["measured_after", "measured_before"]
