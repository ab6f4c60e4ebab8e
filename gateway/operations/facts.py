"""What is known of a charger: what it told, what it was given, what was said on its wire. Nothing is written here."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from chargers import passwords
from chargers.models import Breach, Certificate, FirmwareUpdate, LogUpload, OcppCall, SecurityEvent
from gateway import openapi
from gateway.operations import filters, serializers
from gateway.operations.views import OfCharger, listed
from sessions.models import ChargingProfile, LocalList, Reservation


@listed("reservations", serializers.ReservationSerializer)
class Reservations(OfCharger):
    """Connectors kept free, the newest reservation first."""

    queryset = Reservation.objects.select_related("connector")
    serializer_class = serializers.ReservationSerializer
    filterset_class = filters.ReservationFilter
    ordering_fields = ["created_at", "expires_at"]
    ordering = ["-created_at"]


@listed("charging_profiles", serializers.ChargingProfileSerializer)
class ChargingProfiles(OfCharger):
    """Limits set at the charger, the newest first; those it has now are `state=active`."""

    queryset = ChargingProfile.objects.all()
    serializer_class = serializers.ChargingProfileSerializer
    filterset_class = filters.ChargingProfileFilter
    ordering_fields = ["created_at", "stack_level"]
    ordering = ["-created_at"]


@listed("certificates", serializers.CertificateSerializer)
class Certificates(OfCharger):
    """Certificates the charger has, had or asked for, the newest first."""

    queryset = Certificate.objects.all()
    serializer_class = serializers.CertificateSerializer
    filterset_class = filters.CertificateFilter
    ordering_fields = ["created_at", "expires_at"]
    ordering = ["-created_at"]


@listed("firmware_updates", serializers.FirmwareUpdateSerializer)
class FirmwareUpdates(OfCharger):
    """Firmware the charger was to install, the newest first."""

    queryset = FirmwareUpdate.objects.select_related("campaign")
    serializer_class = serializers.FirmwareUpdateSerializer
    filterset_class = filters.FirmwareUpdateFilter
    ordering_fields = ["created_at", "finished_at"]
    ordering = ["-created_at"]


@listed("log_uploads", serializers.LogUploadSerializer)
class LogUploads(OfCharger):
    """Logs and diagnostics the charger was to upload, the newest first."""

    queryset = LogUpload.objects.all()
    serializer_class = serializers.LogUploadSerializer
    filterset_class = filters.LogUploadFilter
    ordering_fields = ["created_at", "finished_at"]
    ordering = ["-created_at"]


@listed("security_events", serializers.SecurityEventSerializer)
class SecurityEvents(OfCharger):
    """What the charger noticed, the newest first."""

    queryset = SecurityEvent.objects.all()
    serializer_class = serializers.SecurityEventSerializer
    filterset_class = filters.SecurityEventFilter
    ordering_fields = ["occurred_at", "received_at"]
    ordering = ["-occurred_at"]


@listed("breaches", serializers.BreachSerializer)
class Breaches(OfCharger):
    """Rules the charger broke, the last broken first."""

    queryset = Breach.objects.all()
    serializer_class = serializers.BreachSerializer
    filterset_class = filters.BreachFilter
    ordering_fields = ["last_at", "first_at", "count"]
    ordering = ["-last_at"]


@listed("ocpp_messages", serializers.OcppMessageSerializer)
class OcppMessages(OfCharger):
    """The wire log of the charger, the newest first."""

    queryset = OcppCall.objects.all()
    serializer_class = serializers.OcppMessageSerializer
    filterset_class = filters.OcppMessageFilter
    ordering_fields = ["at", "latency_ms"]
    ordering = ["-at"]


class KeptLocalList(OfCharger):
    """The charger's local list."""

    queryset = LocalList.objects.all()
    serializer_class = serializers.LocalListSerializer

    @extend_schema(
        operation_id="charger_local_list",
        tags=["operators"],
        filters=False,
        responses={200: serializers.LocalListSerializer, **openapi.failures(403, 404)},
    )
    def get(self, request: Request, charger_id: str) -> Response:
        """The id tags the charger knows by heart. Where none were ever sent, its state is `unknown`."""
        row = self.get_queryset().first() or LocalList(charger=self.charger, is_wanted=False)
        return Response(self.get_serializer(row).data)


class Configuration(OfCharger):
    """The charger's configuration."""

    serializer_class = serializers.ConfigurationKeySerializer
    filter_backends = []

    @extend_schema(
        operation_id="charger_configuration_list",
        tags=["operators"],
        parameters=[OpenApiParameter("key", str, description="Part of the key")],
        responses={
            200: serializers.ConfigurationKeySerializer(many=True),
            **openapi.failures(403, 404),
        },
    )
    def get(self, request: Request, charger_id: str) -> Response:
        """Its configuration as last read, by key; values of keys that hold a password are hidden."""
        return self.list(request)

    def get_queryset(self) -> Any:
        part = self.request.query_params.get("key", "").casefold()
        pairs = sorted(self.charger.configuration.items())
        return passwords.masked(
            [{"key": key, "value": value} for key, value in pairs if part in key.casefold()]
        )
