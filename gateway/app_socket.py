"""The app's socket: a token in, then actions and their answers, and the user's events as they happen."""

import asyncio
import logging
import time
from collections import deque
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import msgspec
from django.conf import settings
from django.contrib.auth.models import User

from chargers.errors import DomainError, NotFound
from chargers.events import ALL_CHARGERS, charger_group, station_group, user_group
from chargers.models import Charger, Station
from gateway import actions, auth, counters, logs, protocol, tracing
from gateway.arrivals import arrival_of, situations_of
from gateway.consumer import SocketConsumer
from gateway.db import in_db
from gateway.errors import InvalidMessage, Unavailable, ValidationFailed, domain_error, failure
from sessions import queries
from sessions.events import ActiveSessionUpdate, SessionState

logger = logging.getLogger(__name__)

POLICY_VIOLATION, TRY_AGAIN_LATER = 1008, 1013
AT_CAPACITY = "Server at capacity"
# Actions that one socket may have under way; one more is told to wait for an answer first.
MAX_CONCURRENT_ACTIONS = 32

_REASONS = {
    auth.AUTHENTICATION_REQUIRED: "no_token",
    auth.INVALID_TOKEN: "invalid_token",
    auth.TOKEN_EXPIRED: "token_expired",
    AT_CAPACITY: "at_capacity",
}

events_sent = {"tick": 0, "event": 0}

open_sockets: set["AppSocket"] = set()
# Sockets whose token is still being looked at; they take a place too, so that many at once cannot overrun the limit.
_arriving: set["AppSocket"] = set()


class AppSocket(SocketConsumer):
    """One phone, browser or script of one user."""

    role = "apps"
    user: User
    claims: auth.Claims

    def __init__(self) -> None:
        super().__init__()
        self.held: list[dict[str, Any]] | None = []  # events that came before the snapshot was sent
        self.seen: deque[str] = deque(maxlen=64)  # ids of events, for a socket in several of their groups
        self.chosen: dict[str, tuple[str, Any]] = {}  # subscriptions: group → what the client calls it
        self.watched: set[str] = set()  # groups of the chargers the user charges at

    async def connect(self) -> None:
        """Accept first, so that a browser can read why it is refused; join first, so that no event is missed."""
        await self.accept()
        try:
            self.claims = auth.claims_of(self._token())
            logs.about(user_id=self.claims.user_id)
            if len(open_sockets) + len(_arriving) >= settings.MAX_APP_SOCKETS:
                raise auth.Refused(AT_CAPACITY)
            _arriving.add(self)
            await self.join(user_group(self.claims.user_id))
            self.user, session, watched = await arrival_of(self.claims)
            await self._watch(watched)
            open_sockets.add(self)
            counters.accepted[self.role] += 1
        except auth.Refused as refusal:
            counters.refused[self.role, _REASONS[str(refusal)]] += 1
            await self.close(POLICY_VIOLATION, str(refusal))
            return
        except Exception as error:
            counters.refused[self.role, "unavailable"] += 1
            if domain_error(error) is None:
                raise
            await self.close(TRY_AGAIN_LATER, "Try again later")
            return
        finally:
            _arriving.discard(self)
        delay = max(0.0, self.claims.expires - time.time())
        self.expiry = asyncio.get_running_loop().call_later(delay, self._expire)
        await self.send_text(protocol.encode(protocol.Connected(userId=self.user.pk)))
        state = ActiveSessionUpdate(has_active_session=session is not None, data=session)
        await self.send_text(protocol.encode(state))
        await self.forward_held()

    async def show(self, session: SessionState | None, watched: list[str]) -> None:
        """The state as it is, to a socket that `hold`s back events: it may have missed some."""
        await self._watch(watched)
        state = ActiveSessionUpdate(has_active_session=session is not None, data=session)
        await self.send_text(protocol.encode(state))
        await self.forward_held()

    def hold(self) -> bool:
        """Keep events back until the state is sent. False if it is about to be sent anyway."""
        if self.held is not None:
            return False
        self.held = []
        return True

    async def forward_held(self) -> None:
        while self.held:
            await self._forward(self.held.pop(0))
        self.held = None

    def _token(self) -> str | None:
        query = parse_qs(self.scope.get("query_string", b"").decode("latin-1"))
        return (query.get("token") or [None])[0] or auth.bearer(self.scope["headers"])

    def _expire(self) -> None:
        self.keep(self.revoke(auth.TOKEN_EXPIRED))

    async def revoke(self, reason: str) -> None:
        """The token no longer counts: no further event, and goodbye."""
        await self.close(POLICY_VIOLATION, reason)

    async def disconnect(self, code: int) -> None:
        if self in open_sockets:
            open_sockets.discard(self)
            self.expiry.cancel()

    # --- messages in ---

    async def receive(self, text: str | None, data: bytes | None) -> None:
        if self not in open_sockets:
            return  # closed already; what was still on its way is not served
        try:
            request = self._request(text)
        except DomainError as error:
            actions.tally.add(None, counters.OTHER, error.code)
            message = error.detail or error.sentence
            await self.send_text(protocol.encode(protocol.ErrorMessage(message=message, code=error.code)))
            return
        if request.action in _INLINE:
            await self._answer(request)
        elif len(self.tasks) >= MAX_CONCURRENT_ACTIONS:
            actions.tally.add(None, request.action, TooMany.code)
            await self._respond(request, failure(TooMany()))
        else:  # a slow charger must not hold up the next message
            self.keep(self._answer_beside(request))

    def _request(self, text: str | None) -> protocol.Request:
        if text is None:
            raise InvalidMessage(detail="Binary frames are not part of this protocol; send JSON text")
        if (
            4 * len(text) > protocol.MAX_MESSAGE_BYTES < len(text.encode())
        ):  # no character takes more than four
            raise InvalidMessage(detail="The message is larger than 64 KiB")
        try:
            return protocol.decode_request(text)
        except msgspec.ValidationError as error:
            raise InvalidMessage(detail=f"Not a request: {error}") from error
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
            raise InvalidMessage(detail=f"Not JSON: {error}") from error

    async def _answer_beside(self, request: protocol.Request) -> None:
        logs.also(action=request.action, request_id=request.request_id)
        await self._answer(request)

    async def _answer(self, request: protocol.Request) -> None:
        try:
            if request.action in actions.SUBSCRIPTIONS:
                data: Any = await actions.watched(request.action, self._subscribe(request))
            else:
                data = await actions.perform(self.user, request.action, request.data)
        except Exception as error:
            ours = domain_error(error)
            if ours is None:
                logger.exception("action %s failed", request.action[:40])
            data = failure(ours or DomainError())
        await self._respond(request, data)

    async def _respond(self, request: protocol.Request, data: Any) -> None:
        await self.send_text(protocol.response(request.action, data, request.request_id))

    async def _subscribe(self, request: protocol.Request) -> protocol.Subscribed:
        try:
            wish: Any = protocol.decode_data(request.action, request.data)
        except msgspec.DecodeError as error:
            raise ValidationFailed(f"The data of {request.action} is not valid", detail=str(error)) from error
        groups = await in_db(_groups_of, wish)
        for group, label in groups.items():
            if request.action == "subscribe":
                await self.join(group)
                self.chosen[group] = label
            else:
                self.chosen.pop(group, None)
                if group not in self.watched:
                    await self.leave(group)
        return protocol.Subscribed(subscribed=_summary(self.chosen.values()))

    # --- messages from the layer ---

    async def event(self, message: dict[str, Any]) -> None:
        """An event, encoded already. A socket in several of its groups forwards it once."""
        if message["id"] in self.seen:
            return
        self.seen.append(message["id"])
        if self.held is not None:  # the snapshot goes first
            self.held.append(message)
        else:
            await self._forward(message)

    async def _forward(self, message: dict[str, Any]) -> None:
        if "watch" in message:
            await self._watch(message["watch"])
        events_sent["tick" if "tick" in message else "event"] += 1
        if tracing.live and "traceparent" in message:
            await tracing.live.event(message, self.send_text(message["body"]))
        else:
            await self.send_text(message["body"])

    async def _watch(self, groups: list[str]) -> None:
        """Hear of the chargers the user charges at, without asking for it and only while it lasts."""
        before, self.watched = self.watched, set(groups)
        for group in self.watched:
            await self.join(group)
        for group in before - self.watched - self.chosen.keys():
            await self.leave(group)


class TooMany(Unavailable):
    code = "rate_limited"
    sentence = "Too many actions at once; wait for an answer"


_INLINE = {"ping"}


def _groups_of(wish: protocol.Subscribe) -> dict[str, tuple[str, Any]]:
    """Group name → what the client calls it. Raises NotFound for what does not exist."""
    groups: dict[str, tuple[str, Any]] = {}
    if wish.all:
        groups[ALL_CHARGERS] = ("all", True)
    accepted = Charger.objects.filter(registration=Charger.Registration.ACCEPTED)
    known = dict(accepted.filter(identity__in=wish.charger_ids).values_list("identity", "pk"))
    for identity in wish.charger_ids:
        if identity not in known:
            raise NotFound(f"There is no charger {identity}")
        groups[charger_group(known[identity])] = ("charger_ids", identity)
    stations = set(Station.objects.filter(pk__in=wish.station_ids).values_list("pk", flat=True))
    for station_id in wish.station_ids:
        if station_id not in stations:
            raise NotFound(f"There is no station {station_id}")
        groups[station_group(station_id)] = ("station_ids", station_id)
    return groups


def _summary(labels: Any) -> dict[str, Any]:
    summary: dict[str, Any] = {"all": False, "charger_ids": [], "station_ids": []}
    for kind, value in labels:
        if kind == "all":
            summary["all"] = True
        else:
            summary[kind].append(value)
    return summary


async def close_revoked() -> None:
    """Close the sockets of users who were disabled, deleted or given a new password since they connected."""
    sockets = [socket for socket in open_sockets if socket.is_open]
    for start in range(0, len(sockets), 500):
        some = sockets[start : start + 500]
        revoked = await in_db(auth.revoked_among, [socket.claims for socket in some])
        for socket in some:
            if socket.claims in revoked:
                # Not awaited: a client that does not read must not hold up the rest.
                socket.keep(socket.revoke(auth.INVALID_TOKEN))


async def resync(since: datetime) -> None:
    """Events since then may not have been heard: who charges, or did since, gets the state as it is (E46)."""
    sockets = list(open_sockets)
    for start in range(0, len(sockets), 200):
        some = {socket for socket in sockets[start : start + 200] if socket.hold()}
        situations: dict[int, tuple[SessionState | None, list[str]]] = {}
        try:
            situations = await in_db(_news, {socket.user.pk for socket in some}, since)
        finally:
            for socket in some:
                if socket.user.pk in situations:
                    socket.keep(socket.show(*situations[socket.user.pk]))
                else:
                    socket.keep(socket.forward_held())


def _news(user_ids: set[int], since: datetime) -> dict[int, tuple[SessionState | None, list[str]]]:
    return situations_of(queries.users_with_news(user_ids, since))
