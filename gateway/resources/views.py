"""The views of the resource API. Drivers see what is theirs or everybody's, operators everything."""

from functools import cached_property
from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.generics import ListAPIView
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ReadOnlyModelViewSet

from gateway import actions, openapi, protocol
from gateway.api import caller, enveloped, identity_in
from gateway.resources import Pages, filters, rows, serializers
from sessions.models import ChargingSession, MeterReading


def documented(tag: str, kind: Any, *, operators: bool = False) -> Any:
    """The schema of a viewset's list and detail."""
    refusals = (403,) if operators else ()
    return extend_schema_view(
        list=extend_schema(tags=[tag], responses={200: kind(many=True), **openapi.failures(400, *refusals)}),
        retrieve=extend_schema(tags=[tag], responses={200: kind, **openapi.failures(404, *refusals)}),
    )


class Resource(ReadOnlyModelViewSet[Any]):
    pagination_class = Pages
    filter_backends = filters.BACKENDS


@documented("stations", serializers.StationSerializer)
class Stations(Resource):
    """Places with chargers."""

    serializer_class = serializers.StationSerializer
    filterset_class = filters.StationFilter
    ordering_fields = ["name", "id"]
    ordering = ["name"]

    def get_queryset(self) -> Any:
        return rows.stations_for(self.request.user)


@documented("chargers", serializers.ChargerSerializer)
class Chargers(Resource):
    """Chargers, by their OCPP identity."""

    serializer_class = serializers.ChargerSerializer
    filterset_class = filters.ChargerFilter
    ordering_fields = ["identity", "last_seen_at", "created_at"]
    ordering = ["identity"]
    lookup_field = "identity"
    lookup_url_kwarg = "charger_id"

    def get_permissions(self) -> Any:
        return [IsAdminUser()] if self.action == "status" else super().get_permissions()

    def get_queryset(self) -> Any:
        return rows.chargers_for(self.request.user)

    def get_object(self) -> Any:
        behind = 1 if self.action == "status" else 0
        self.kwargs["charger_id"] = identity_in(self.request, after="/chargers/", behind=behind)
        return super().get_object()

    @extend_schema(
        operation_id="charger_status",
        tags=["operators"],
        responses={
            200: OpenApiResponse(openapi.envelope(protocol.ChargerStatus), "Now"),
            **openapi.failures(403, 404),
        },
    )
    def status(self, request: Request, charger_id: str) -> Response:
        """One charger as it is now, accepted or not; for other back ends."""
        return enveloped(actions.charger_state(self.get_object()))


@documented("sessions", serializers.SessionSerializer)
class Sessions(Resource):
    """Charging sessions, the newest first."""

    serializer_class = serializers.SessionSerializer
    filterset_class = filters.SessionFilter
    ordering_fields = ["created_at", "started_at", "stopped_at", "energy_wh", "cost"]
    ordering = ["-created_at"]

    def get_queryset(self) -> Any:
        return rows.sessions_for(self.request.user)


@extend_schema_view(
    get=extend_schema(
        operation_id="sessions_meter_values_list",
        tags=["sessions"],
        responses={200: serializers.MeterValueSerializer(many=True), **openapi.failures(400, 404)},
    )
)
class MeterValues(ListAPIView[MeterReading]):
    """What the meter showed during a session, the oldest first."""

    pagination_class = Pages
    serializer_class = serializers.MeterValueSerializer
    filter_backends = filters.BACKENDS
    filterset_class = filters.MeterValueFilter
    ordering_fields = ["measured_at"]
    ordering = ["measured_at"]
    queryset = MeterReading.objects.defer("sampled_values")

    @cached_property
    def session(self) -> ChargingSession:
        return get_object_or_404(rows.sessions_for(caller(self.request)), pk=self.kwargs["pk"])

    def get_queryset(self) -> Any:
        readings = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):  # drf-spectacular looks at the model only
            return readings
        return readings.filter(session=self.session)

    def get_serializer_context(self) -> dict[str, Any]:
        context = super().get_serializer_context()
        return context if getattr(self, "swagger_fake_view", False) else {**context, "session": self.session}
