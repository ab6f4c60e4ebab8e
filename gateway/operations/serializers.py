"""What is known of a charger, as its lists show it. Unknown is null; times are RFC 3339 in UTC; no secrets."""

from typing import Any

from rest_framework import serializers

from chargers.models import Breach, Certificate, FirmwareUpdate, LogUpload, OcppCall, SecurityEvent
from gateway.resources.rows import Figures, figures_of
from gateway.resources.serializers import Number, RowSerializer, SessionListSerializer, Wh
from sessions.models import ChargingProfile, ChargingSession, LocalList, Reservation


class ConnectorNumber(serializers.IntegerField):
    """OCPP's connectorId."""

    def __init__(self, source: str = "connector.number", **options: Any) -> None:
        super().__init__(source=source, default=None, read_only=True, allow_null=True, **options)


class Id(serializers.IntegerField):
    """The id of another row."""

    def __init__(self, **options: Any) -> None:
        super().__init__(read_only=True, allow_null=True, **options)


class CommandId(serializers.UUIDField):
    """The command, under /api/commands/."""

    def __init__(self, **options: Any) -> None:
        super().__init__(read_only=True, allow_null=True, help_text="See /api/commands/{id}/", **options)


class TransactionSerializer(RowSerializer):
    """A transaction as the charger told it, and what was judged of it. `energy_wh` is what was delivered, so far.

    `start_reported` and `stop_reported` are the charger's own times, as it wrote them.
    """

    session_id = serializers.IntegerField(source="pk", read_only=True, help_text="See /api/sessions/{id}/")
    transaction_id = serializers.IntegerField(read_only=True, help_text="OCPP's transactionId")
    connector_id = ConnectorNumber()
    user_id = Id()
    energy_wh = Wh(source="figures.energy_wh")
    cost = Number(source="figures.cost", help_text="In `currency`; so far, while it runs")
    flags = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = ChargingSession
        list_serializer_class = SessionListSerializer
        fields = [
            "transaction_id",
            "session_id",
            "connector_id",
            "id_tag",
            "id_tag_status",
            "user_id",
            "status",
            "started_at",
            "start_reported",
            "stopped_at",
            "stop_reported",
            "stop_reason",
            "meter_start_wh",
            "meter_stop_wh",
            "energy_wh",
            "cost",
            "currency",
            "flags",
            "review",
        ]
        read_only_fields = fields

    def to_representation(self, instance: Any) -> dict[str, Any]:
        figures: Figures = (self.context.get("figures") or figures_of([instance]))[instance.pk]
        instance.figures = figures
        return super().to_representation(instance)


class ReservationSerializer(RowSerializer):
    """A connector kept free for a card. `id` is OCPP's reservationId.

    `connector_id` null: whichever is free. `kept_at`: when the connector said that it is reserved.
    """

    connector_id = ConnectorNumber()
    user_id = Id()
    session_id = Id()
    command_id = CommandId()
    requested_by = Id(source="requested_by_id", help_text="A user's id")

    class Meta:
        model = Reservation
        fields = [
            "id",
            "connector_id",
            "id_tag",
            "parent_id_tag",
            "user_id",
            "state",
            "detail",
            "expires_at",
            "kept_at",
            "session_id",
            "command_id",
            "requested_by",
            "created_at",
            "ended_at",
        ]
        read_only_fields = fields


class ChargingProfileSerializer(RowSerializer):
    """A limit set at the charger. `id` is OCPP's chargingProfileId; `connector_id` 0 is the whole charger."""

    connector_id = ConnectorNumber("connector_number")
    session_id = Id()
    min_rate = Number()
    periods = serializers.ListField(
        child=serializers.DictField(), read_only=True, help_text="[{start_s, limit, phases?}, …], by start_s"
    )
    command_id = CommandId()
    requested_by = Id(source="requested_by_id", help_text="A user's id")

    class Meta:
        model = ChargingProfile
        fields = [
            "id",
            "connector_id",
            "session_id",
            "purpose",
            "stack_level",
            "kind",
            "recurrency",
            "valid_from",
            "valid_to",
            "starts_at",
            "duration_s",
            "unit",
            "min_rate",
            "periods",
            "state",
            "detail",
            "command_id",
            "requested_by",
            "created_at",
            "ended_at",
        ]
        read_only_fields = fields


class LocalListSerializer(RowSerializer):
    """The id tags the charger knows by heart. `entries` maps each to its idTagInfo, as it last accepted them."""

    is_in_step = serializers.SerializerMethodField(help_text="The charger has what we would send it")
    entries = serializers.DictField(child=serializers.DictField(), read_only=True)
    command_id = CommandId()

    class Meta:
        model = LocalList
        fields = [
            "version",
            "reported_version",
            "held_version",
            "state",
            "is_in_step",
            "is_wanted",
            "detail",
            "entries",
            "command_id",
            "updated_at",
        ]
        read_only_fields = fields

    def get_is_in_step(self, local: LocalList) -> bool:
        return local.state == LocalList.State.IN_STEP


class CertificateSerializer(RowSerializer):
    """A certificate that the charger has, or is to have; all of it is public."""

    class Meta:
        model = Certificate
        fields = [
            "id",
            "kind",
            "state",
            "subject",
            "serial_number",
            "fingerprint",
            "hash_algorithm",
            "issuer_name_hash",
            "issuer_key_hash",
            "expires_at",
            "detail",
            "pem",
            "signing_request",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields


class FirmwareUpdateSerializer(RowSerializer):
    """The charger's way to another firmware. `status` is its own last word."""

    campaign_id = Id()
    campaign = serializers.CharField(source="campaign.name", default=None, read_only=True, allow_null=True)
    command_id = CommandId()

    class Meta:
        model = FirmwareUpdate
        fields = [
            "id",
            "location",
            "is_signed",
            "state",
            "status",
            "detail",
            "previous_version",
            "installed_version",
            "campaign_id",
            "campaign",
            "command_id",
            "created_at",
            "reported_at",
            "finished_at",
        ]
        read_only_fields = fields


class LogUploadSerializer(RowSerializer):
    """A log the charger was asked to upload. `status` is its own last word."""

    command_id = CommandId()

    class Meta:
        model = LogUpload
        fields = [
            "id",
            "kind",
            "location",
            "oldest_at",
            "latest_at",
            "file_name",
            "status",
            "detail",
            "command_id",
            "created_at",
            "reported_at",
            "finished_at",
        ]
        read_only_fields = fields


class SecurityEventSerializer(RowSerializer):
    """Something the charger noticed."""

    class Meta:
        model = SecurityEvent
        fields = ["id", "kind", "is_critical", "tech_info", "occurred_at", "received_at"]
        read_only_fields = fields


class BreachSerializer(RowSerializer):
    """A rule that the charger broke, with an example frame and how often."""

    class Meta:
        model = Breach
        fields = [
            "id",
            "rule",
            "action",
            "detail",
            "frame",
            "remedy",
            "count",
            "first_at",
            "last_at",
        ]
        read_only_fields = fields


class OcppMessageSerializer(RowSerializer):
    """A CALL and its answer, as they were on the wire, secrets masked. `at` is when the CALL was."""

    class Meta:
        model = OcppCall
        fields = [
            "id",
            "direction",
            "message_id",
            "action",
            "request",
            "answer",
            "verdict",
            "at",
            "latency_ms",
        ]
        read_only_fields = fields


class ConfigurationKeySerializer(serializers.Serializer[Any]):
    """A key as last read; null: it has no value."""

    key = serializers.CharField(read_only=True)
    value = serializers.CharField(read_only=True, allow_null=True)
