"""Who is asking: tokens of apps, Basic auth of chargers, accounts of the demo."""

import base64
import binascii
import time
from collections.abc import Collection
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AbstractBaseUser, User
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken
from rest_framework_simplejwt.utils import get_md5_hash_password

AUTHENTICATION_REQUIRED = "Authentication required"
INVALID_TOKEN = "Invalid authentication token"  # noqa: S105  (a sentence)
TOKEN_EXPIRED = "Token expired"  # noqa: S105


class AccountBackend(ModelBackend):
    """Django's accounts. Outside the demo a password that is the user's own name is refused, so that demo
    accounts which found their way into a real database open nothing."""

    def authenticate(
        self, request: Any, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> Any:
        if not settings.DEMO and username and password == username:
            return None
        return super().authenticate(request, username=username, password=password, **kwargs)


class Refused(Exception):
    """A token that opens nothing; the text is for the client."""


class Claims(NamedTuple):
    """What a token says: whose it is, until when (Unix seconds), and the password it was issued under."""

    user_id: int
    expires: float
    password_hash: str


def claims_of(token: str | None) -> Claims:
    """Check an access token's signature and life. Raises Refused; no database is asked."""
    if not token:
        raise Refused(AUTHENTICATION_REQUIRED)
    claims = _verified(token)
    if claims.expires <= time.time():
        raise Refused(TOKEN_EXPIRED)
    return claims


@lru_cache(maxsize=20_000)
def _verified(token: str) -> Claims:
    """Remembered, since a phone dials again with the token it has: after an outage all of them, at once."""
    try:
        access = AccessToken(token)  # type: ignore[arg-type]
        user_id = int(access[api_settings.USER_ID_CLAIM])
    except ExpiredTokenError as error:
        raise Refused(TOKEN_EXPIRED) from error
    except (TokenError, KeyError, TypeError, ValueError) as error:
        raise Refused(INVALID_TOKEN) from error
    return Claims(user_id, float(access["exp"]), access.get(api_settings.REVOKE_TOKEN_CLAIM, ""))


def user_for(claims: Claims) -> User:
    """The token's user. Raises Refused where it does not count any more."""
    if user := users_for([claims]).get(claims):
        return user
    raise Refused(INVALID_TOKEN)


def users_for(claims: Collection[Claims]) -> dict[Claims, User]:
    """The tokens' users: those that exist, are active, and have the password of then."""
    users = get_user_model().objects.in_bulk({claim.user_id for claim in claims})
    return {
        claim: user
        for claim in claims
        if (user := users.get(claim.user_id)) is not None
        and user.is_active
        and get_md5_hash_password(user.password) == claim.password_hash
    }


def revoked_among(claims: list[Claims]) -> set[Claims]:
    """Those that no longer count: the user is disabled or deleted, or has another password since."""
    ids = {claim.user_id for claim in claims}
    passwords = dict(
        get_user_model().objects.filter(pk__in=ids, is_active=True).values_list("pk", "password")
    )
    valid = {pk: get_md5_hash_password(password) for pk, password in passwords.items()}
    return {claim for claim in claims if valid.get(claim.user_id) != claim.password_hash}


def tokens_for(user: AbstractBaseUser) -> tuple[str, str]:
    """A fresh (access, refresh) pair."""
    refresh = RefreshToken.for_user(user)
    return str(refresh.access_token), str(refresh)


def bearer(headers: list[tuple[bytes, bytes]]) -> str | None:
    """The token of an `Authorization: Bearer …` header."""
    value = next((v for k, v in headers if k == b"authorization"), b"").decode("latin-1")
    scheme, _, token = value.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def basic(headers: list[tuple[bytes, bytes]]) -> tuple[bytes, bytes] | None:
    """User and password of a Basic `Authorization` header, as bytes: a charger's key may be any bytes (E8)."""
    value = next((v for k, v in headers if k == b"authorization"), b"")
    scheme, _, encoded = value.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except binascii.Error:
        return None
    return (user, password) if colon else None
