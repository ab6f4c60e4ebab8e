"""The token that an open socket stands on: it warns before it expires, and can be replaced by a fresh one."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from django.conf import settings
from django.contrib.auth.models import User

from chargers.words import Words
from gateway import auth, protocol
from gateway.db import in_db
from gateway.errors import Forbidden, ValidationFailed


class HeldToken:
    """Calls `warn` some time before its end, and `expire` at its end."""

    def __init__(
        self, claims: auth.Claims, *, warn: Callable[[datetime], None], expire: Callable[[], None]
    ) -> None:
        self.warn, self.expire = warn, expire
        self.claims = claims
        self._may_warn = self._is_near = False
        # One timer for both: 10,000 sockets have one each.
        self._timer = self._in(settings.TOKEN_WARNING_S, self._is_due)

    def hold(self, claims: auth.Claims) -> None:
        """From here on this one counts."""
        self.let_go()
        self.claims = claims
        self._is_near = False
        self._timer = self._in(settings.TOKEN_WARNING_S, self._is_due)

    def begin_to_warn(self) -> None:
        """Once the client has been told all that comes first."""
        self._may_warn = True
        if self._is_near:
            self.warn(self.expires_at)

    def _is_due(self) -> None:
        """To be warned of."""
        self._is_near = True
        self._timer = self._in(0, self.expire)
        if self._may_warn:
            self.warn(self.expires_at)

    def _in(self, early_s: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        """So long before the end; at once if that has passed."""
        left_s = self.claims.expires - time.time() - early_s
        return asyncio.get_running_loop().call_later(max(0.0, left_s), call)

    @property
    def expires_at(self) -> datetime:
        return datetime.fromtimestamp(self.claims.expires, UTC)

    def let_go(self) -> None:
        self._timer.cancel()


async def presented(data: msgspec.Raw, user: User) -> auth.Claims:
    """The claims of a token that this user shows in the place of the one before. Raises DomainError."""
    try:
        wish = protocol.decode_data("refresh_token", data)
        assert isinstance(wish, protocol.RefreshToken)  # the action's own type
        claims = auth.claims_of(wish.token)
        if claims.user_id != user.pk:
            raise Forbidden(Words("The token is another user's"))
        await in_db(auth.user_for, claims)
    except msgspec.DecodeError as error:
        sentence = Words("The data of %(action)s is not valid", action="refresh_token")
        raise ValidationFailed(sentence, detail=str(error)) from error
    except auth.Refused as refusal:
        raise ValidationFailed(Words("The token does not count"), detail=str(refusal)) from refusal
    return claims
