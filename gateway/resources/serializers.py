"""Rows as the resource API shows them. Unknown is null; units are in the names; times are RFC 3339 in UTC."""

from datetime import UTC
from typing import Any

from django.db import models
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from chargers.availability import STUCK, availability, connector_state, listed_station
from chargers.models import Charger, Connector, Station
from gateway.resources.rows import Figures, figures_of
from sessions.models import ChargingSession, MeterReading
from sessions.readings import energy_delivered_wh, kwh

WORDS = ["available", "in_use", "unavailable"]


class UtcTime(serializers.DateTimeField):
    """RFC 3339 with Z, whatever time zone the admin pages are in."""

    def __init__(self, **options: Any) -> None:
        super().__init__(default_timezone=UTC, **options)


class RowSerializer(serializers.ModelSerializer[Any]):
    """A text that was left blank is not known, so it is null."""

    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.DateTimeField: UtcTime,
    }

    def build_standard_field(self, field_name: str, model_field: Any) -> tuple[Any, dict[str, Any]]:
        field, options = super().build_standard_field(field_name, model_field)
        if isinstance(model_field, models.CharField | models.TextField) and model_field.blank:
            options.pop("allow_blank", None)
            options["allow_null"] = True
        return field, options

    def to_representation(self, instance: Any) -> dict[str, Any]:
        row = super().to_representation(instance)
        return {name: None if value == "" else value for name, value in row.items()}


# --- chargers ---


class ConnectorSerializer(RowSerializer):
    """`status` is OCPP's word, or `Offline`, since then; the charger last told of it at `updated_at`."""

    connector_id = serializers.IntegerField(source="number", read_only=True)
    status = serializers.CharField(read_only=True, allow_null=True)
    since = UtcTime(source="status_since", read_only=True, allow_null=True)
    updated_at = UtcTime(source="status_at", read_only=True, allow_null=True)
    stuck = serializers.ChoiceField(
        source="pk", choices=sorted(STUCK.values()), read_only=True, allow_null=True
    )

    class Meta:
        model = Connector
        fields = [
            "connector_id",
            "status",
            "error_code",
            "info",
            "vendor_error_code",
            "since",
            "updated_at",
            "stuck",
        ]
        read_only_fields = fields

    def to_representation(self, instance: Any) -> dict[str, Any]:
        state = connector_state(instance.charger, instance)
        since = self.fields["since"].to_representation(state.since) if state.since else None
        row = super().to_representation(instance)
        return {**row, "status": state.status, "since": since, "stuck": state.stuck}


class ChargerSerializer(RowSerializer):
    """`status` is the map's word, `ocpp_status` the charger's own. What only operators see is null for drivers."""

    OPERATORS_ONLY = ("serial_number", "firmware_version", "connected_at", "booted_at")

    charger_id = serializers.CharField(source="identity", read_only=True, help_text="The OCPP identity")
    station_id = serializers.IntegerField(read_only=True, allow_null=True)
    station_name = serializers.CharField(source="station.name", default=None, read_only=True, allow_null=True)
    status = serializers.ChoiceField(source="state.station_status", choices=WORDS, read_only=True)
    connected = serializers.BooleanField(source="is_connected", read_only=True)
    total_connectors = serializers.IntegerField(source="state.total_connectors", read_only=True)
    available_connectors = serializers.IntegerField(source="state.available_connectors", read_only=True)
    display = serializers.CharField(
        source="state.display", read_only=True, allow_null=True, help_text="free/total"
    )
    is_under_maintenance = serializers.BooleanField(source="state.is_under_maintenance", read_only=True)
    connectors = ConnectorSerializer(many=True, read_only=True)
    ocpp_status = serializers.CharField(source="status", read_only=True, allow_null=True)

    class Meta:
        model = Charger
        fields = [
            "charger_id",
            "station_id",
            "station_name",
            "status",
            "connected",
            "last_seen_at",
            "total_connectors",
            "available_connectors",
            "display",
            "is_under_maintenance",
            "connectors",
            "registration",
            "ocpp_status",
            "error_code",
            "ocpp_version",
            "vendor",
            "model",
            "serial_number",
            "firmware_version",
            "connected_at",
            "booted_at",
            "created_at",
        ]
        read_only_fields = fields

    def to_representation(self, instance: Any) -> dict[str, Any]:
        instance.state = availability(instance)
        row = super().to_representation(instance)
        if not self.context["request"].user.is_staff:
            row.update(dict.fromkeys(self.OPERATORS_ONLY))
        return row


@extend_schema_field({"type": "string", "enum": WORDS, "x-spec-enum-id": "StationCharger.status"})
class Word(serializers.ChoiceField):
    """The map's word. With a name of its own in the document, where other chargers have the same words."""


class StationChargerSerializer(serializers.Serializer[Any]):
    """In brief; the rest is at /api/chargers/."""

    charger_id = serializers.CharField(read_only=True)
    status = Word(choices=WORDS, read_only=True)
    connected = serializers.BooleanField(read_only=True)
    display = serializers.CharField(read_only=True, allow_null=True)


class StationSerializer(RowSerializer):
    """A place, its free connectors and its chargers."""

    total_connectors = serializers.IntegerField(source="listed.total_connectors", read_only=True)
    available_connectors = serializers.IntegerField(source="listed.available_connectors", read_only=True)
    display = serializers.CharField(
        source="listed.display", read_only=True, allow_null=True, help_text="free/total"
    )
    chargers = StationChargerSerializer(source="listed.chargers", many=True, read_only=True)

    class Meta:
        model = Station
        fields = [
            "id",
            "name",
            "address",
            "latitude",
            "longitude",
            "is_under_maintenance",
            "maintenance_reason",
            "total_connectors",
            "available_connectors",
            "display",
            "chargers",
        ]
        read_only_fields = fields

    def to_representation(self, instance: Any) -> dict[str, Any]:
        instance.listed = listed_station(instance, list(instance.chargers.all()))
        return super().to_representation(instance)


# --- sessions ---


class SessionListSerializer(serializers.ListSerializer[Any]):
    """Loads the figures of a whole page at once."""

    def to_representation(self, data: Any) -> list[Any]:
        sessions = list(data)
        self.context["figures"] = figures_of(sessions)
        return super().to_representation(sessions)


class Wh(serializers.IntegerField):
    """Energy in Wh."""

    def __init__(self, **options: Any) -> None:
        super().__init__(read_only=True, allow_null=True, **options)


class Number(serializers.FloatField):
    """A number that may be unknown; money too, as on the socket."""

    def __init__(self, **options: Any) -> None:
        super().__init__(read_only=True, allow_null=True, **options)


class SessionSerializer(RowSerializer):
    """Of a running session the figures of its newest readings, of an ended one its totals.

    `energy_*` is what was delivered; `meter_*` are the meter's registers. `stale`: the charger is not connected.
    """

    user_id = serializers.IntegerField(read_only=True, allow_null=True)
    charger_id = serializers.CharField(source="charger.identity", read_only=True)
    connector_id = serializers.IntegerField(
        source="connector.number", default=None, read_only=True, allow_null=True
    )
    station_id = serializers.IntegerField(
        source="charger.station.pk", default=None, read_only=True, allow_null=True
    )
    station_name = serializers.CharField(
        source="charger.station.name", default=None, read_only=True, allow_null=True
    )
    message_id = serializers.UUIDField(
        source="start_command_id", read_only=True, allow_null=True, help_text="The OCPP CALL that began it"
    )
    duration_s = serializers.IntegerField(source="figures.duration_s", read_only=True)
    energy_wh = Wh(source="figures.energy_wh")
    energy_kwh = Number()
    power_w = Number(source="figures.reading.power_w", default=None)
    current_a = Number(source="figures.reading.current_a", default=None)
    voltage_v = Number(source="figures.reading.voltage_v", default=None)
    soc_percent = Number(source="figures.reading.soc_percent", default=None)
    measured_at = UtcTime(
        source="figures.reading.measured_at",
        default=None,
        read_only=True,
        allow_null=True,
        help_text="Time of the newest reading",
    )
    cost = Number(source="figures.cost", help_text="In `currency`; so far, while the session runs")
    price_per_kwh = Number()
    price_per_minute = Number()
    price_per_session = Number()
    flags = serializers.ListField(child=serializers.CharField(), read_only=True)
    stale = serializers.BooleanField(read_only=True)

    class Meta:
        model = ChargingSession
        list_serializer_class = SessionListSerializer
        fields = [
            "id",
            "status",
            "user_id",
            "charger_id",
            "connector_id",
            "station_id",
            "station_name",
            "transaction_id",
            "message_id",
            "id_tag",
            "requested_at",
            "started_at",
            "stopped_at",
            "stop_reason",
            "duration_s",
            "meter_start_wh",
            "meter_stop_wh",
            "energy_wh",
            "energy_kwh",
            "power_w",
            "current_a",
            "voltage_v",
            "soc_percent",
            "measured_at",
            "cost",
            "currency",
            "price_per_kwh",
            "price_per_minute",
            "price_per_session",
            "error_code",
            "error_message",
            "flags",
            "stale",
        ]
        read_only_fields = fields

    def to_representation(self, instance: Any) -> dict[str, Any]:
        figures: Figures = (self.context.get("figures") or figures_of([instance]))[instance.pk]
        instance.figures = figures
        instance.energy_kwh = kwh(figures.energy_wh)
        instance.stale = instance.is_open and not instance.charger.is_connected
        return super().to_representation(instance)


class MeterValueSerializer(RowSerializer):
    """`register_*` is what the meter showed, `energy_*` what had been delivered by then."""

    connector_id = serializers.IntegerField(source="connector_number", read_only=True)
    register_wh = Wh(source="energy_wh")
    register_kwh = serializers.SerializerMethodField()
    energy_wh = serializers.SerializerMethodField()
    energy_kwh = serializers.SerializerMethodField()

    class Meta:
        model = MeterReading
        fields = [
            "measured_at",
            "received_at",
            "connector_id",
            "context",
            "register_wh",
            "register_kwh",
            "energy_wh",
            "energy_kwh",
            "power_w",
            "current_a",
            "voltage_v",
            "soc_percent",
        ]
        read_only_fields = fields

    def get_register_kwh(self, reading: MeterReading) -> float | None:
        return kwh(reading.energy_wh)

    def get_energy_wh(self, reading: MeterReading) -> int | None:
        start = self.context["session"].meter_start_wh
        register = None if reading.is_suspect else reading.energy_wh
        return energy_delivered_wh(meter_start_wh=start, register_wh=register)

    def get_energy_kwh(self, reading: MeterReading) -> float | None:
        return kwh(self.get_energy_wh(reading))
