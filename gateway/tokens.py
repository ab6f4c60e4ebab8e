"""Tokens over REST: obtain, refresh, verify, validate."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView, TokenVerifyView

from gateway import auth, openapi
from gateway.errors import ValidationFailed


class Login(TokenObtainPairView):
    """User name and password → access and refresh token."""

    throttle_classes = [ScopedRateThrottle]
    throttle_scope = "login"


class Refresh(TokenRefreshView):
    """Refresh token → access token."""


class Verify(TokenVerifyView):
    """200 if the token is valid, 401 if not."""


class ValidateToken(APIView):
    """Whose token this is, and until when it is good. The token comes in the body or as Bearer."""

    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="validate_token",
        request=openapi.raw({"type": "object", "properties": {"token": {"type": "string"}}}),
        responses={
            200: openapi.raw(
                {
                    "type": "object",
                    "properties": {
                        "success": {"const": True},
                        "data": {
                            "type": "object",
                            "properties": {
                                "user_id": {"type": "integer"},
                                "username": {"type": "string"},
                                "expires_at": {"type": "integer", "description": "Unix seconds"},
                            },
                        },
                    },
                }
            )
        },
    )
    def post(self, request: Request) -> Response:
        token = request.data.get("token") if isinstance(request.data, dict) else None
        if token is not None and not isinstance(token, str):
            raise ValidationFailed("`token` must be a string")
        header = request.headers.get("Authorization", "").encode("latin-1", errors="replace")
        try:
            claims = auth.claims_of(token or auth.bearer([(b"authorization", header)]))
            user = auth.user_for(claims)
        except auth.Refused as refusal:
            body = {
                "success": False,
                "error": str(refusal),
                "code": "authentication_failed",
                "message": str(refusal),
            }
            return Response(body, status=401)
        data = {"user_id": user.pk, "username": user.get_username(), "expires_at": int(claims.expires)}
        return Response({"success": True, "data": data})
