"""What the lists of a charger can be filtered by."""

from typing import Any

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast
from django_filters import rest_framework as filters  # type: ignore[import-untyped]

from chargers.models import Breach, Certificate, FirmwareUpdate, LogUpload, OcppCall, SecurityEvent
from sessions.models import ChargingProfile, ChargingSession, Reservation


def one_of(choices: Any, **options: Any) -> Any:
    return filters.MultipleChoiceFilter(
        choices=choices.choices, help_text="May be given more than once", **options
    )


def since(field: str) -> Any:
    return filters.IsoDateTimeFilter(field_name=field, lookup_expr="gte")


def before(field: str) -> Any:
    return filters.IsoDateTimeFilter(field_name=field, lookup_expr="lt")


class TransactionFilter(filters.FilterSet):
    status = one_of(ChargingSession.Status)
    review = one_of(ChargingSession.Review)
    flag = filters.CharFilter(method="by_flag", help_text="Such as late, recovered, superseded")
    id_tag = filters.CharFilter(lookup_expr="iexact")
    connector_id = filters.NumberFilter(field_name="connector__number")
    transaction_id = filters.NumberFilter()
    stop_reason = filters.CharFilter()
    started_after = since("started_at")
    started_before = before("started_at")

    class Meta:
        model = ChargingSession
        fields = ["status", "review", "id_tag", "transaction_id", "stop_reason"]

    def by_flag(self, rows: QuerySet[ChargingSession], name: str, flag: str) -> QuerySet[ChargingSession]:
        # SQLite cannot look into a JSON list by Django's `contains`.
        return rows.alias(flags_text=Cast("flags", TextField())).filter(flags_text__contains=f'"{flag}"')


class ReservationFilter(filters.FilterSet):
    state = one_of(Reservation.State)
    id_tag = filters.CharFilter(lookup_expr="iexact")
    connector_id = filters.NumberFilter(field_name="connector__number")
    created_after = since("created_at")
    created_before = before("created_at")

    class Meta:
        model = Reservation
        fields = ["state", "id_tag"]


class ChargingProfileFilter(filters.FilterSet):
    state = one_of(ChargingProfile.State)
    purpose = one_of(ChargingProfile.Purpose)
    connector_id = filters.NumberFilter(field_name="connector_number")
    session = filters.NumberFilter(field_name="session_id", help_text="A session's id")

    class Meta:
        model = ChargingProfile
        fields = ["state", "purpose", "stack_level"]


class CertificateFilter(filters.FilterSet):
    kind = one_of(Certificate.Kind)
    state = one_of(Certificate.State)
    expires_before = before("expires_at")

    class Meta:
        model = Certificate
        fields = ["kind", "state"]


class FirmwareUpdateFilter(filters.FilterSet):
    state = one_of(FirmwareUpdate.State)
    campaign = filters.NumberFilter(field_name="campaign_id", help_text="A campaign's id")

    class Meta:
        model = FirmwareUpdate
        fields = ["state"]


class LogUploadFilter(filters.FilterSet):
    kind = one_of(LogUpload.Kind)
    status = filters.CharFilter()

    class Meta:
        model = LogUpload
        fields = ["kind", "status"]


class SecurityEventFilter(filters.FilterSet):
    occurred_after = since("occurred_at")
    occurred_before = before("occurred_at")

    class Meta:
        model = SecurityEvent
        fields = ["kind", "is_critical"]


class BreachFilter(filters.FilterSet):
    class Meta:
        model = Breach
        fields = ["rule", "action", "remedy"]


class OcppMessageFilter(filters.FilterSet):
    direction = filters.ChoiceFilter(choices=OcppCall.Direction.choices)
    text = filters.CharFilter(method="by_text", help_text="Somewhere in either frame")
    after = since("at")
    before = before("at")

    class Meta:
        model = OcppCall
        fields = ["action", "direction", "verdict", "message_id"]

    def by_text(self, rows: QuerySet[OcppCall], name: str, text: str) -> QuerySet[OcppCall]:
        return rows.filter(Q(request__icontains=text) | Q(answer__icontains=text))
