"""A charger's transactions: to be read, and to be ended by hand where nobody else will end them."""

from typing import Annotated

import msgspec
from asgiref.sync import async_to_sync
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from chargers.errors import NotFound
from gateway import openapi
from gateway.api import WireParser, body_of, caller, decoded
from gateway.db import in_db
from gateway.errors import Forbidden
from gateway.operations import filters
from gateway.operations.serializers import TransactionSerializer
from gateway.operations.views import OfCharger, listed
from sessions import reviews
from sessions.models import ChargingSession

MAY_CLOSE = "charging.change_chargingsession"


class Closing(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Why it is closed by hand; it stays on record with your name."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern="^[^\\u0000]*$")]


@listed("transactions", TransactionSerializer)
class Transactions(OfCharger):
    """The charger's transactions, the newest first."""

    queryset = ChargingSession.objects.filter(transaction_id__isnull=False).select_related(
        "charger", "connector"
    )
    serializer_class = TransactionSerializer
    filterset_class = filters.TransactionFilter
    ordering_fields = ["created_at", "started_at", "stopped_at", "energy_wh"]
    ordering = ["-created_at"]


class CloseTransaction(OfCharger):
    """One transaction, to be ended by hand."""

    http_method_names = ["post", "options"]
    parser_classes = [WireParser]
    queryset = Transactions.queryset
    serializer_class = TransactionSerializer
    behind = 3

    @extend_schema(
        operation_id="charger_transaction_close",
        tags=["operators"],
        request=Closing,
        examples=[
            OpenApiExample(
                "A charger that was taken away", {"reason": "Charger was replaced"}, request_only=True
            )
        ],
        filters=False,
        responses={
            200: OpenApiResponse(TransactionSerializer, "It is closed"),
            **openapi.failures(400, 403, 404, 409),
        },
    )
    def post(self, request: Request, charger_id: str, transaction_id: int) -> Response:
        """End a transaction whose end the charger will not tell. Should it tell all the same, that amends it.

        Needs `charging.change_chargingsession`.
        """
        user = caller(request)
        if not user.has_perm(MAY_CLOSE):
            raise Forbidden("You may not close transactions", detail=f"The permission {MAY_CLOSE} is missing")
        closing = decoded(Closing, body_of(request))
        session = self.get_queryset().filter(transaction_id=transaction_id).first()
        if session is None:
            raise NotFound(f"{self.identity} has no transaction {transaction_id}")
        async_to_sync(in_db)(reviews.close_stale, session=session, reason=closing.reason, decided_by=user)
        return Response(TransactionSerializer(self.get_queryset().get(pk=session.pk)).data)
