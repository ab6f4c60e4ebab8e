"""Commands over REST: to be sent, to be waited for, to be looked at."""

from typing import Any

import msgspec
from django.db.models import QuerySet
from django.urls import reverse
from django_filters import rest_framework as filters  # type: ignore[import-untyped]
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response

from chargers.models import Command
from gateway import idempotency, openapi
from gateway.api import WireParser, caller
from gateway.operations import words
from gateway.operations.rows import commands
from gateway.operations.sending import CommandWish, send, wish_from
from gateway.operations.views import OfCharger, listed
from gateway.resources.serializers import RowSerializer
from gateway.resources.views import Resource, documented


class CommandSerializer(RowSerializer):
    """Something asked of a charger, in OCPP's words. `id` is the OCPP CALL's message id; `answer` the charger's own.

    queued → sent → accepted, rejected (by the charger), failed (it never heard of it), timed_out, or unknown (a start
    that may have worked). Values of keys that hold a password are hidden.
    """

    charger_id = serializers.CharField(source="charger.identity", read_only=True)
    action = serializers.SerializerMethodField(help_text="OCPP's name")
    payload = serializers.SerializerMethodField()
    state = serializers.ChoiceField(source="status", choices=Command.Status.choices, read_only=True)
    answer = serializers.JSONField(read_only=True, allow_null=True)
    requested_by = serializers.IntegerField(
        source="requested_by_id", read_only=True, allow_null=True, help_text="A user's id"
    )
    requester = serializers.CharField(
        source="requested_by.username", default=None, read_only=True, allow_null=True
    )
    duration_ms = serializers.SerializerMethodField(help_text="From the asking to the end")

    class Meta:
        model = Command
        fields = [
            "id",
            "charger_id",
            "action",
            "payload",
            "state",
            "answer",
            "error",
            "requested_by",
            "requester",
            "created_at",
            "sent_at",
            "finished_at",
            "duration_ms",
        ]
        read_only_fields = fields

    def get_action(self, command: Command) -> str:
        return words.action_of(command)

    def get_payload(self, command: Command) -> dict[str, Any]:
        return words.payload_of(command)

    def get_duration_ms(self, command: Command) -> int | None:
        if command.finished_at is None:
            return None
        return max(0, round((command.finished_at - command.created_at).total_seconds() * 1000))


class CommandFilter(filters.FilterSet):
    action = filters.MultipleChoiceFilter(
        choices=[(action, action) for action in words.ACTIONS],
        method="by_action",
        help_text="OCPP's name; may be given more than once",
    )
    state = filters.MultipleChoiceFilter(
        field_name="status", choices=Command.Status.choices, help_text="May be given more than once"
    )
    requested_by = filters.NumberFilter(field_name="requested_by_id", help_text="A user's id")
    created_after = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_before = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Command
        fields = ["action", "state", "requested_by", "created_after", "created_before"]

    def by_action(self, rows: QuerySet[Command], name: str, actions: list[str]) -> QuerySet[Command]:
        return rows.filter(action__in=[words.word_of(action) for action in actions]) if actions else rows


class AnyCommandFilter(CommandFilter):
    charger = filters.CharFilter(field_name="charger__identity", help_text="A charger's OCPP identity")

    class Meta(CommandFilter.Meta):
        fields = ["charger", *CommandFilter.Meta.fields]


EXAMPLES = [
    OpenApiExample(name, value, request_only=True)
    for name, value in {
        "Reset, and wait for the answer": {"action": "Reset", "payload": {"type": "Soft"}, "wait": True},
        "ReserveNow": {
            "action": "ReserveNow",
            "payload": {
                "connectorId": 1,
                "expiryDate": "2025-01-29T18:00:00Z",
                "idTag": "EV0123456789ABCDEF",
                "reservationId": 1,
            },
        },
        "SetChargingProfile": {
            "action": "SetChargingProfile",
            "payload": {
                "connectorId": 1,
                "csChargingProfiles": {
                    "chargingProfileId": 1,
                    "stackLevel": 0,
                    "chargingProfilePurpose": "TxDefaultProfile",
                    "chargingProfileKind": "Absolute",
                    "chargingSchedule": {
                        "chargingRateUnit": "A",
                        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}],
                    },
                },
            },
            "wait": 10,
        },
        "ChangeConfiguration": {
            "action": "ChangeConfiguration",
            "payload": {"key": "HeartbeatInterval", "value": "300"},
        },
        "GetConfiguration, safe to send twice": {
            "action": "GetConfiguration",
            "payload": {},
            "message_id": "6f1f3c9e-0d4b-4c51-9d0e-3f6a2b7c8d90",
        },
        "UpdateFirmware": {
            "action": "UpdateFirmware",
            "payload": {
                "location": "https://firmware.example.com/wallbox-2.1.bin",
                "retrieveDate": "2025-01-30T02:00:00Z",
            },
        },
        "RemoteStartTransaction": {
            "action": "RemoteStartTransaction",
            "payload": {"connectorId": 1, "idTag": "EV0123456789ABCDEF"},
            "wait": 20,
        },
    }.items()
]


@listed("commands", CommandSerializer)
class ChargerCommands(OfCharger):
    """What was asked of a charger, the newest first; and the one way to ask it for anything."""

    parser_classes = [WireParser]
    queryset = commands()
    serializer_class = CommandSerializer
    filterset_class = CommandFilter
    ordering_fields = ["created_at", "finished_at"]
    ordering = ["-created_at"]

    @extend_schema(
        operation_id="charger_commands_send",
        tags=["operators"],
        parameters=[idempotency.HEADER],
        request=CommandWish,
        examples=EXAMPLES,
        filters=False,
        responses={
            200: OpenApiResponse(CommandSerializer, "It has ended; `state` and `answer` say how"),
            202: OpenApiResponse(
                CommandSerializer, "It is on its way, or its end was not waited for; see `Location`"
            ),
            **openapi.failures(400, 403, 404, 409),
        },
    )
    def post(self, request: Request, charger_id: str) -> Response:
        """Ask the charger for something. Needs `chargers.send_command`, or the permission of that word alone."""
        body: Any = request.data
        data = idempotency.with_key(request, body or msgspec.Raw(b"{}"))
        command = send(caller(request), self.identity, wish_from(bytes(data)))
        return Response(
            CommandSerializer(command).data,
            status=200 if command.is_finished else 202,
            headers={"Location": reverse("command", args=[command.pk])},
        )


@documented("operators", CommandSerializer, operators=True)
class Commands(Resource):
    """What was asked of chargers, the newest first; for operators."""

    permission_classes = [IsAdminUser]
    queryset = commands()
    serializer_class = CommandSerializer
    filterset_class = AnyCommandFilter
    ordering_fields = ["created_at", "finished_at"]
    ordering = ["-created_at"]
