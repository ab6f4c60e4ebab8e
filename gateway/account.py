"""A driver's own account: all of its data to take away, and its end."""

from collections.abc import AsyncIterator, Iterator

import msgspec
from django.contrib.auth import authenticate
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import APIView

from chargers.errors import DomainError
from gateway import openapi
from gateway.api import WireView, body_of, caller, decoded
from gateway.db import in_db
from gateway.throttles import UserThrottle
from sessions import erasure, personal_data


class WrongPassword(DomainError):
    code = "wrong_password"
    sentence = "The password is not right"


class ExportThrottle(UserRateThrottle):
    scope = "export"


class Export(APIView):
    """Everything that is kept of the caller, as one JSON document: account, id tags, reservations, watches,
    commands, messages, and sessions with their prices, receipts and readings."""

    throttle_classes = [UserThrottle, ExportThrottle]

    @extend_schema(
        operation_id="account_export",
        tags=["account"],
        responses={200: OpenApiTypes.OBJECT, **openapi.failures(429)},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        return StreamingHttpResponse(
            _streamed(personal_data.document(caller(request).pk)),
            content_type="application/json",
            headers={
                "Content-Disposition": 'attachment; filename="my-data.json"',
                "Cache-Control": "no-store",
            },
        )


async def _streamed(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Each piece as the client has room for it."""
    while (piece := await in_db(next, pieces, None)) is not None:
        yield piece


class Farewell(msgspec.Struct, kw_only=True):
    """The account's own password, so that a phone left lying about cannot do it."""

    password: str


class Account(WireView):
    """The caller's account."""

    @extend_schema(
        operation_id="account_delete",
        tags=["account"],
        request=Farewell,
        responses={204: OpenApiResponse(description="It is deleted"), **openapi.failures(400, 403, 409, 429)},
    )
    def delete(self, request: Request) -> Response:
        """Delete the account, for good. What was charged stays in the ledger, without a name."""
        user = caller(request)
        wish = decoded(Farewell, body_of(request))
        known = authenticate(request._request, username=user.get_username(), password=wish.password)
        if known is None or known.pk != user.pk:
            raise WrongPassword
        erasure.erase(user_id=user.pk, erased_by=user)
        return Response(status=204)
