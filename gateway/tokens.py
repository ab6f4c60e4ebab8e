"""Tokens over REST: obtain, refresh, verify, validate, log out."""

from datetime import UTC, datetime
from math import ceil
from typing import Any

import msgspec
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BooleanField, CharField, Serializer
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.serializers import (
    TokenObtainPairSerializer,
    TokenRefreshSerializer,
    TokenVerifySerializer,
)
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token, UntypedToken
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView, TokenVerifyView

from gateway import auth, logins, openapi, proxies
from gateway.errors import ValidationFailed


class LoginThrottle(ScopedRateThrottle):
    """So many attempts per address and minute."""

    def get_ident(self, request: Request) -> str:
        """The peer's address, as gateway.proxies has it: what a client writes into X-Forwarded-For does not count,
        otherwise every attempt could come from a new address."""
        return proxies.address_in(request)

    def wait(self) -> float | None:
        """Whole seconds, at least one: `Retry-After` has no fractions."""
        seconds = super().wait()
        return None if seconds is None else max(1, ceil(seconds))


# --- what simplejwt does not ask: whether the token's user is still there, active, and of the same password ---


def check_owner(token: Token) -> None:
    """Raises AuthenticationFailed for a token whose user it opens nothing to any more."""
    try:
        auth.user_for(auth.claims_in(token))
    except (KeyError, ValueError, auth.Refused) as error:
        raise AuthenticationFailed(auth.INVALID_TOKEN) from error


class LoginSerializer(TokenObtainPairSerializer):
    """User name and password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Blanks at its ends are part of it.
        self.fields["password"] = CharField(write_only=True, trim_whitespace=False)

    @classmethod
    def get_token(cls, user: Any) -> Token:
        return logins.begin(user)


class RefreshSerializer(TokenRefreshSerializer):
    """A refresh token, which is exchanged for the next."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, str]:
        refresh = RefreshToken(attrs["refresh"])
        check_owner(refresh)
        try:
            renewed = logins.renew(refresh)
        except logins.Ended as error:
            raise AuthenticationFailed(auth.INVALID_TOKEN) from error
        return {"access": str(renewed.access_token), "refresh": str(renewed)}


class VerifySerializer(TokenVerifySerializer):
    """A token of either kind."""

    def validate(self, attrs: dict[str, Any]) -> dict[Any, Any]:
        token = UntypedToken(attrs["token"])
        check_owner(token)
        if token.get(api_settings.TOKEN_TYPE_CLAIM) == RefreshToken.token_type and not logins.is_current(
            token
        ):
            raise AuthenticationFailed(auth.INVALID_TOKEN)
        return super().validate(attrs)


# --- views ---


class Tokens(msgspec.Struct, kw_only=True):
    """The access token opens the socket and the API; the refresh token gets the next access token."""

    access: str
    refresh: str


class Nothing(msgspec.Struct, kw_only=True):
    """An empty object; the status says it."""


class Login(TokenObtainPairView):
    """User name and password → access and refresh token."""

    _serializer_class = "gateway.tokens.LoginSerializer"
    throttle_classes = [LoginThrottle]
    throttle_scope = "login"

    @extend_schema(
        operation_id="token_obtain",
        tags=["token"],
        auth=[],
        responses={200: OpenApiResponse(Tokens, "Both tokens"), **openapi.failures(400, 429)},
    )
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().post(request, *args, **kwargs)


class Refresh(TokenRefreshView):
    """Refresh token → the next pair. The old one does not count any more, but for a minute in which the same client may
    not have got the answer; coming again later it ends the log-in, and all tokens of it."""

    _serializer_class = "gateway.tokens.RefreshSerializer"

    @extend_schema(
        operation_id="token_refresh",
        tags=["token"],
        auth=[],
        responses={200: OpenApiResponse(Tokens, "Fresh ones"), **openapi.failures(400)},
    )
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().post(request, *args, **kwargs)


class Verify(TokenVerifyView):
    """200 if the token is valid, 401 if not."""

    _serializer_class = "gateway.tokens.VerifySerializer"

    @extend_schema(
        operation_id="token_verify",
        tags=["token"],
        auth=[],
        responses={200: OpenApiResponse(Nothing, "Valid"), **openapi.failures(400)},
    )
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().post(request, *args, **kwargs)


class TokenToValidate(msgspec.Struct, kw_only=True):
    """Left out where the token comes as Bearer."""

    token: str | None = None


class Holder(msgspec.Struct, kw_only=True):
    """Whose token it is."""

    user_id: int
    username: str
    expires_at: datetime


class ValidateToken(APIView):
    """Whose access token this is, and until when it is good. The token comes in the body or as Bearer."""

    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="validate_token",
        tags=["token"],
        auth=[],
        request={"application/json": TokenToValidate},
        responses={
            200: OpenApiResponse(openapi.envelope(Holder), "It is good"),
            **openapi.failures(400),
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
            raise AuthenticationFailed(str(refusal)) from refusal
        expires_at = datetime.fromtimestamp(claims.expires, UTC).isoformat().replace("+00:00", "Z")
        data = {"user_id": user.pk, "username": user.get_username(), "expires_at": expires_at}
        return Response({"success": True, "data": data})

    def get_authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'  # with no authentication class DRF would answer 403


class LogOutSerializer(Serializer):
    """The refresh token, left out where the access token comes as Bearer; `everywhere` ends all log-ins of the user."""

    refresh = CharField(required=False)
    everywhere = BooleanField(default=False)


class LoggedOut(msgspec.Struct, kw_only=True):
    """How many log-ins ended; 0 if it had ended before."""

    ended: int


class LogOut(APIView):
    """End a log-in: its refresh token, its access tokens and the sockets opened with them, these within 5 s."""

    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="log_out",
        tags=["token"],
        auth=[],
        request=LogOutSerializer,
        responses={
            200: OpenApiResponse(openapi.envelope(LoggedOut), "It has ended"),
            **openapi.failures(400),
        },
    )
    def post(self, request: Request) -> Response:
        wish = LogOutSerializer(data=request.data)
        wish.is_valid(raise_exception=True)
        refresh, everywhere = wish.validated_data.get("refresh"), wish.validated_data["everywhere"]
        header = request.headers.get("Authorization", "").encode("latin-1", errors="replace")
        try:
            token = (
                RefreshToken(refresh)
                if refresh
                else AccessToken(auth.bearer([(b"authorization", header)]) or "")  # type: ignore[arg-type]
            )
            ended = logins.log_out(token, everywhere=everywhere)
        except (TokenError, KeyError, ValueError) as error:
            raise AuthenticationFailed(auth.INVALID_TOKEN) from error
        return Response({"success": True, "data": {"ended": ended}})

    def get_authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'
