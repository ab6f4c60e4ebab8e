"""Who is asking: tokens of apps, Basic auth of chargers, accounts of the demo."""

import base64
import binascii
import time
from collections.abc import Collection
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AbstractBaseUser, User
from django.db.models import F
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, Token
from rest_framework_simplejwt.utils import get_md5_hash_password

from chargers.among import Among
from chargers.words import Words
from gateway import lockout, logins, proxies
from gateway.models import LogIn

AUTHENTICATION_REQUIRED = Words("Authentication required")
INVALID_TOKEN = Words("Invalid authentication token")
TOKEN_EXPIRED = Words("Token expired")


class AccountBackend(ModelBackend):
    """Django's accounts. Outside the demo a password that is the user's own name is refused, so that demo
    accounts which found their way into a real database open nothing. Who fails often has to wait: RateLimited."""

    def authenticate(
        self, request: Any, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> Any:
        if request is None or username is None:  # nobody at a door
            return self._user(request, username, password, **kwargs)
        with lockout.attempt(username, proxies.address_in(request)) as attempt:
            user = self._user(request, username, password, **kwargs)
            attempt.has_failed = user is None
        return user

    def _user(self, request: Any, username: str | None, password: str | None, **kwargs: Any) -> Any:
        if not settings.DEMO and username and password == username:
            return None
        return super().authenticate(request, username=username, password=password, **kwargs)


class Refused(Exception):
    """A token that opens nothing; the text is for the client."""


class Claims(NamedTuple):
    """What a token says: whose it is, until when (Unix seconds), the password it was issued under, and the log-in it
    came of (None: it was made outside of any)."""

    user_id: int
    expires: float
    password_hash: str
    login_id: UUID | None = None


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
        return claims_in(AccessToken(token))  # type: ignore[arg-type]
    except ExpiredTokenError as error:
        raise Refused(TOKEN_EXPIRED) from error
    except (TokenError, KeyError, TypeError, ValueError) as error:
        raise Refused(INVALID_TOKEN) from error


def claims_in(token: Token) -> Claims:
    """Raises KeyError or ValueError for a token that is none of ours."""
    return Claims(
        int(token[api_settings.USER_ID_CLAIM]),
        float(token["exp"]),
        token.get(api_settings.REVOKE_TOKEN_CLAIM, ""),
        logins.id_of(token),
    )


def user_for(claims: Claims) -> User:
    """The token's user. Raises Refused where it does not count any more."""
    if user := users_for([claims]).get(claims):
        return user
    raise Refused(INVALID_TOKEN)


def users_for(claims: Collection[Claims]) -> dict[Claims, User]:
    """The tokens' users: those that exist, are active, have the password of then, and are logged in still."""
    log_ins = {claim.login_id for claim in claims if claim.login_id}
    logged_in = User.objects.filter(Among("log_ins__pk", log_ins), log_ins__ended_at=None)
    by_login = {user.login_id: user for user in logged_in.annotate(login_id=F("log_ins__pk"))}
    by_id = User.objects.in_bulk({claim.user_id for claim in claims if not claim.login_id})
    found = {}
    for claim in claims:
        user = by_login.get(claim.login_id) if claim.login_id else by_id.get(claim.user_id)
        if user and user.is_active and get_md5_hash_password(user.password) == claim.password_hash:
            found[claim] = user
    return found


def revoked_among(claims: list[Claims]) -> set[Claims]:
    """Those that no longer count: the user is disabled or deleted, has another password since, or has logged out."""
    log_ins = LogIn.objects.filter(
        pk__in={claim.login_id for claim in claims if claim.login_id}, ended_at=None, user__is_active=True
    )
    users = User.objects.filter(
        pk__in={claim.user_id for claim in claims if not claim.login_id}, is_active=True
    )
    passwords = dict[Any, str](log_ins.values_list("pk", "user__password"))
    passwords.update(users.values_list("pk", "password"))
    valid = {key: get_md5_hash_password(password) for key, password in passwords.items()}
    return {claim for claim in claims if valid.get(claim.login_id or claim.user_id) != claim.password_hash}


def tokens_for(user: AbstractBaseUser) -> tuple[str, str]:
    """A fresh (access, refresh) pair: a log-in of its own."""
    refresh = logins.begin(user)
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
