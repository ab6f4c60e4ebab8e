"""What a session leaves behind: its course for a chart, and its receipt, as JSON and as PDF."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import translation
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gateway import languages, openapi, protocol
from gateway.api import caller, plain
from gateway.errors import ValidationFailed
from gateway.receipt_pdf import pdf_of
from gateway.resources import rows
from sessions import history
from sessions.models import ChargingSession
from sessions.receipts import Receipt, receipt_of


def _session(request: Request, pk: int) -> ChargingSession:
    return get_object_or_404(rows.sessions_for(caller(request)).select_related("user"), pk=pk)


class Chart(APIView):
    """A session's course in few points: no peak of the power is lost, however many readings there are."""

    @extend_schema(
        operation_id="sessions_chart",
        tags=["sessions"],
        parameters=[
            OpenApiParameter(
                "points", int, description=f"{history.MIN_POINTS} to {history.MAX_POINTS}; 200 by default"
            )
        ],
        responses={
            200: OpenApiResponse(protocol.SessionChart, "The oldest first"),
            **openapi.failures(400, 404),
        },
    )
    def get(self, request: Request, pk: int) -> Response:
        session = _session(request, pk)
        text = request.query_params.get("points", "200")
        if not (text.isascii() and text.isdigit() and history.MIN_POINTS <= int(text) <= history.MAX_POINTS):
            raise ValidationFailed(
                f"points must be a number from {history.MIN_POINTS} to {history.MAX_POINTS}"
            )
        chart = protocol.SessionChart(session_id=pk, points=history.chart(session, points=int(text)))
        return Response(plain(chart))


class SessionReceipt(APIView):
    """A receipt with its figures of now."""

    @extend_schema(
        operation_id="sessions_receipt",
        tags=["sessions"],
        responses={200: OpenApiResponse(Receipt, "The receipt"), **openapi.failures(404, 409)},
    )
    def get(self, request: Request, pk: int) -> Response:
        return Response(plain(receipt_of(_session(request, pk))))


class SessionReceiptPdf(APIView):
    """The same to print and to keep: `lang`, or the Accept-Language header, says in which language."""

    @extend_schema(
        operation_id="sessions_receipt_pdf",
        tags=["sessions"],
        parameters=[OpenApiParameter("lang", str, description="Such as `de`")],
        responses={(200, "application/pdf"): OpenApiTypes.BINARY, **openapi.failures(404, 409)},
    )
    def get(self, request: Request, pk: int) -> HttpResponse:
        receipt = receipt_of(_session(request, pk))
        with translation.override(languages.of_request(request)):
            document = pdf_of(receipt)
        name = f"receipt-{receipt.number}.pdf"
        return HttpResponse(
            document,
            content_type="application/pdf",
            headers={"Content-Disposition": f'inline; filename="{name}"'},
        )

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Whoever accepts PDF alone gets it; only failures are JSON."""
        return super().perform_content_negotiation(request, force=True)
