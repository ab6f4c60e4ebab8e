"""Log-ins: refresh tokens that are exchanged for new ones, and what becomes of the old; logging out.

A refresh token counts until it is exchanged. One that comes again is somebody's copy, so its log-in ends, with all
tokens that came of it; but for a short time it may be the same client, whom the answer did not reach.
"""

import logging
import uuid
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import QuerySet
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import RefreshToken, Token

from chargers.events import utcnow
from gateway.models import LogIn

logger = logging.getLogger(__name__)

CLAIM = "sid"
BATCH = 1000


class Ended(Exception):
    """The log-in is over."""


def begin(user: AbstractBaseUser) -> RefreshToken:
    """The first refresh token of a new log-in."""
    refresh: RefreshToken = RefreshToken.for_user(user)
    now = utcnow()
    login = LogIn.objects.create(
        user_id=user.pk,
        began_at=now,
        renewed_at=now,
        expires_at=_expiry_of(refresh),
        refresh_id=refresh[api_settings.JTI_CLAIM],
    )
    refresh[CLAIM] = str(login.pk)
    return refresh


def id_of(token: Token) -> uuid.UUID | None:
    """The log-in of a token; None of an access token made before there were any. Raises ValueError."""
    return uuid.UUID(found) if (found := token.get(CLAIM)) else None


def renew(refresh: RefreshToken) -> RefreshToken:
    """The next refresh token. Raises Ended."""
    with transaction.atomic():
        login = _locked(refresh)
        if login is None or login.ended_at is not None:
            raise Ended
        is_good = _is_good(login, refresh)
        if not is_good:
            _end(LogIn.objects.filter(pk=login.pk), LogIn.End.REUSED)
        elif refresh[api_settings.JTI_CLAIM] == login.refresh_id:
            login.previous_refresh_id, login.refresh_id = login.refresh_id, uuid.uuid4().hex
            login.renewed_at = utcnow()
            login.expires_at = login.renewed_at + api_settings.REFRESH_TOKEN_LIFETIME
            login.save()
    if not is_good:
        logger.warning("an old refresh token of user %d came again: the log-in is ended", login.user_id)
        raise Ended
    refresh[CLAIM] = str(login.pk)
    refresh[api_settings.JTI_CLAIM] = login.refresh_id
    refresh["exp"] = int(login.expires_at.timestamp())
    refresh.set_iat()
    return refresh


def is_current(refresh: Token) -> bool:
    """Whether it could be exchanged."""
    login = LogIn.objects.filter(pk=_key_of(refresh)).first()
    return CLAIM not in refresh if login is None else login.ended_at is None and _is_good(login, refresh)


def _is_good(login: LogIn, refresh: Token) -> bool:
    jti = refresh[api_settings.JTI_CLAIM]
    grace = timedelta(seconds=settings.REFRESH_GRACE_S)
    return jti == login.refresh_id or (
        jti == login.previous_refresh_id and utcnow() - login.renewed_at < grace
    )


def _key_of(refresh: Token) -> uuid.UUID:
    """One made before there were log-ins is the first of its own."""
    return id_of(refresh) or uuid.UUID(refresh[api_settings.JTI_CLAIM])


def _locked(refresh: Token) -> LogIn | None:
    key, rows = _key_of(refresh), LogIn.objects.select_for_update()
    if CLAIM in refresh:
        return rows.filter(pk=key).first()
    first = {
        "user_id": int(refresh[api_settings.USER_ID_CLAIM]),
        "began_at": utcnow(),
        "renewed_at": utcnow(),
        "expires_at": _expiry_of(refresh),
        "refresh_id": refresh[api_settings.JTI_CLAIM],
    }
    return rows.get_or_create(pk=key, defaults=first)[0]


def _expiry_of(token: Token) -> datetime:
    return datetime.fromtimestamp(token["exp"], UTC)


# --- ends ---


@transaction.atomic
def log_out(token: Token, *, everywhere: bool = False) -> int:
    """End the log-in of a token of either kind, or all of its user's; how many ended. Sockets follow within seconds."""
    if isinstance(token, RefreshToken):
        _locked(token)  # also one that has no row yet
    if everywhere:
        rows = LogIn.objects.filter(user_id=int(token[api_settings.USER_ID_CLAIM]))
        return _end(rows, LogIn.End.EVERYWHERE)
    return _end(LogIn.objects.filter(pk=_key_of(token)), LogIn.End.LOGGED_OUT)


def end(rows: QuerySet[LogIn]) -> int:
    """End these log-ins, by an operator."""
    return _end(rows, LogIn.End.OPERATOR)


def _end(rows: QuerySet[LogIn], why: LogIn.End) -> int:
    return rows.filter(ended_at=None).update(ended_at=utcnow(), end=why)


def forget_expired() -> int:
    """Forget log-ins of which no token can count any more. The last access token may outlive the refresh token."""
    over = utcnow() - api_settings.ACCESS_TOKEN_LIFETIME
    keys = list(LogIn.objects.filter(expires_at__lt=over).values_list("pk", flat=True)[:BATCH])
    return LogIn.objects.filter(pk__in=keys).delete()[0] if keys else 0
