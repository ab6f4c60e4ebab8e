"""The app's socket: a token in, then actions and their answers, and the user's events as they happen."""

import asyncio
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import msgspec
from channels.layers import get_channel_layer
from django.conf import settings
from django.contrib.auth.models import User

from chargers.errors import DomainError
from chargers.events import user_group, utcnow
from chargers.words import Words
from gateway import actions, auth, counters, languages, limits, logs, protocol, proxies, returning, tracing
from gateway.arrivals import Situation, arrival_of, situations_of
from gateway.consumer import AGAIN, TRY_AGAIN_LATER, SocketConsumer
from gateway.db import in_db
from gateway.errors import InvalidMessage, ValidationFailed, domain_error, failure
from gateway.held_token import HeldToken, presented
from gateway.pings import line_of
from gateway.subscriptions import Subscriptions
from sessions import feed
from sessions.events import ActiveSessionUpdate

logger = logging.getLogger(__name__)

POLICY_VIOLATION = 1008
AT_CAPACITY, TOO_MANY_CONNECTIONS = Words("Server at capacity"), Words("Too many connections")
# Actions that one socket may have under way; one more is told to wait for an answer first.
MAX_CONCURRENT_ACTIONS = 32
REMEMBERED = 64  # a charger's events are told to its groups one right after the other
LOOK_BACK_S = 60  # longer than a transaction takes, and clocks of several machines differ

_REASONS: dict[str, str] = {
    auth.AUTHENTICATION_REQUIRED: "no_token",
    auth.INVALID_TOKEN: "invalid_token",
    auth.TOKEN_EXPIRED: "token_expired",
    AT_CAPACITY: "at_capacity",
    TOO_MANY_CONNECTIONS: "too_many",
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
    token: HeldToken
    place: limits.Place | None = None

    def __init__(self) -> None:
        super().__init__()
        self.language = self.language_of_close = languages.ENGLISH
        self.seq = 0  # of the user's last message that was sent here
        self._asked: dict[str, list[str]] = {}  # the query of its handshake
        self.held: list[dict[str, Any]] | None = []  # events that came before the state was sent
        self.seen: dict[str, None] = {}  # ids of the last events, for a socket in several of their groups
        self.subscriptions = Subscriptions(self)
        self.watched: set[str] = set()  # groups of the chargers the user charges at

    async def connect(self) -> None:
        """Accept first, so that a browser can read why it is refused; join first, so that no event is missed."""
        address = proxies.address_of(self.scope)
        if limits.check_address(address):
            counters.refused[self.role, limits.RateLimited.code] += 1
            await self.refuse(429, limits.RateLimited.sentence, [returning.header(AGAIN)])
            return
        query = self.scope.get("query_string", b"").decode("latin-1")
        self._asked = parse_qs(query, keep_blank_values=True)
        self.language = languages.of_handshake(self._asked, self.scope["headers"])
        self.language_of_close = languages.of_wish(self._asked)
        await self.accept()
        try:
            self.claims = auth.claims_of(self._token())
            logs.about(user_id=self.claims.user_id)
            if len(open_sockets) + len(_arriving) >= settings.MAX_APP_SOCKETS:
                raise auth.Refused(AT_CAPACITY)
            self.place = limits.place_for(self.claims.user_id, address)
            if self.place is None:
                raise auth.Refused(TOO_MANY_CONNECTIONS)
            _arriving.add(self)
            await self.join(user_group(self.claims.user_id))
            self.user, situation = await arrival_of(self.claims)
            await self._watch(situation.watched)
            missed = await self._missed(situation.seq)
            self.token = HeldToken(self.claims, warn=self._warn, expire=self._expire)
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
            await self.close(TRY_AGAIN_LATER, AGAIN)
            return
        finally:
            _arriving.discard(self)
        try:
            await self._begin(situation, missed)
        except Exception as error:  # the database has gone away meanwhile
            if domain_error(error) is None:
                raise
            await self.close(TRY_AGAIN_LATER, AGAIN)
            return
        self.token.begin_to_warn()
        self._asked = {}  # the token is in it

    async def _missed(self, newest: int) -> list[feed.Missed] | None:
        """What was told since the `last_seq` the client gives, sets `seq` to it; None where that is not known."""
        wanted = self._query("last_seq")
        if wanted is None:
            self.seq = newest
            return []
        after = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 19 else -1
        missed = (
            await in_db(feed.missed, self.user.pk, after=after, until=newest)
            if 0 <= after <= newest
            else None
        )
        self.seq = newest if missed is None else after
        return missed

    async def _begin(self, situation: Situation, missed: list[feed.Missed] | None) -> None:
        """The state first, then what was missed, then what has come meanwhile."""
        resume: Any = None
        if self._query("last_seq") is not None:
            resume = "resync" if missed is None else "replayed"
        connected = protocol.Connected(
            userId=self.user.pk, seq=self.seq, resume=resume, reservations=situation.reservations
        )
        await self._send_together(protocol.encode(connected), *self._shown(situation, resync=missed is None))
        for _, message in missed or []:
            await self._forward(message)
        while self.held:
            await self._take(self.held.pop(0))
        self.held = None

    def _shown(self, situation: Situation, *, resync: bool) -> Iterator[str]:
        if resync:
            yield protocol.encode(protocol.Resync(seq=self.seq, reservations=situation.reservations))
        session = situation.session
        state = ActiveSessionUpdate(seq=self.seq, has_active_session=session is not None, data=session)
        yield protocol.encode(languages.translated(state, self.language))

    async def _send_together(self, *texts: str) -> None:
        """In one piece, where the server can: in a storm of phones each packet counts."""
        line = line_of(self.scope)
        try:
            if self.is_open and line is not None and line.try_send_all(texts):
                return
        except (OSError, RuntimeError) as error:
            self._is_gone(error)
        for text in texts:
            await self.send_text(text)

    def _token(self) -> str | None:
        return self._query("token") or auth.bearer(self.scope["headers"])

    def _query(self, name: str) -> str | None:
        return self._asked[name][0] if name in self._asked else None

    def _warn(self, expires_at: datetime) -> None:
        self.keep(self.send_text(protocol.encode(protocol.TokenExpiring(expires_at=expires_at))))

    def _expire(self) -> None:
        self.keep(self.revoke(auth.TOKEN_EXPIRED))

    async def revoke(self, reason: str) -> None:
        """The token no longer counts: no further event, and goodbye."""
        await self.close(POLICY_VIOLATION, reason)

    async def close(self, code: int, reason: str = "") -> None:
        """Who is to come back is told when, and with which `last_seq`."""
        wait_s = returning.wait_s(reason, crowd=len(open_sockets))
        told = languages.sentence(reason, self.language_of_close)
        if wait_s is not None:
            last_seq = self.seq if self in open_sockets else None
            word = protocol.Closing(code=code, reason=told, retry_after=wait_s, last_seq=last_seq)
            await self.send_text(protocol.encode(word))
        await super().close(code, told)

    async def disconnect(self, code: int) -> None:
        if self in open_sockets:
            open_sockets.discard(self)
            self.token.let_go()
        if self.place is not None:
            self.place.give_back()

    # --- messages in ---

    async def receive(self, text: str | None, data: bytes | None) -> None:
        if self not in open_sockets:
            return  # closed already; what was still on its way is not served
        wait_s = limits.check_message(self.user)
        try:
            request = self._request(text)
        except DomainError as error:
            actions.tally.add(None, counters.OTHER, error.code)
            message = error.detail or languages.sentence(error.sentence, self.language)
            await self.send_text(protocol.encode(protocol.ErrorMessage(message=message, code=error.code)))
            await asyncio.sleep(wait_s)
            return
        if wait_s:
            actions.tally.add(None, request.action, limits.RateLimited.code)
            await self._respond(request, failure(limits.RateLimited(wait_s), self.language))
        elif request.action in _INLINE:
            await self._answer(request)
        elif len(self.tasks) >= MAX_CONCURRENT_ACTIONS:
            actions.tally.add(None, request.action, TooMany.code)
            await self._respond(request, failure(TooMany(), self.language))
        else:  # a slow charger must not hold up the next message
            self.keep(self._answer_beside(request))
        if wait_s:  # who goes on all the same is read more slowly
            await asyncio.sleep(wait_s)

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
        if request.action != "subscribe":
            await self._answer_now(request)
            return
        async with self.subscriptions.changing:
            waiting = self.subscriptions.waiting = []  # events come after the state that is answered
            try:
                await self._answer_now(request)
                while waiting:
                    await self._take(waiting.pop(0))
            finally:
                self.subscriptions.waiting = None

    async def _answer_now(self, request: protocol.Request) -> None:
        try:
            if request.action in actions.SUBSCRIPTIONS:
                limits.check_action(self.user, request.action)
                own = self._refresh_token if request.action == "refresh_token" else self._subscribe
                data: Any = await actions.watched(request.action, own(request))
            else:
                data = await actions.perform(self.user, request.action, request.data)
        except Exception as error:
            ours = domain_error(error)
            if ours is None:
                logger.exception("action %s failed", request.action[:40])
            data = failure(ours or DomainError(), self.language)
        await self._respond(request, data)

    async def _respond(self, request: protocol.Request, data: Any) -> None:
        data = languages.translated(data, self.language)
        await self.send_text(protocol.response(request.action, data, request.request_id))

    async def _refresh_token(self, request: protocol.Request) -> protocol.TokenRefreshed:
        self.claims = await presented(request.data, self.user)
        self.token.hold(self.claims)
        return protocol.TokenRefreshed(expires_at=self.token.expires_at)

    async def _subscribe(self, request: protocol.Request) -> protocol.Unsubscribed:
        try:
            wish: Any = protocol.decode_data(request.action, request.data)
        except msgspec.DecodeError as error:
            sentence = Words("The data of %(action)s is not valid", action=request.action)
            raise ValidationFailed(sentence, detail=str(error)) from error
        if request.action == "subscribe":
            return await self.subscriptions.add(wish)
        return await self.subscriptions.remove(wish, needed=self.watched)

    # --- messages from the layer ---

    async def event(self, message: dict[str, Any]) -> None:
        """An event, encoded already."""
        if self.held is not None:  # the state goes first
            self.held.append(message)
        elif self.subscriptions.waiting is not None and "seq" not in message:
            self.subscriptions.waiting.append(message)
        else:
            await self._take(message)

    async def _take(self, message: dict[str, Any]) -> None:
        """Forward it once and in its place: by its number, or, of a socket in several of its groups, by its id."""
        if "seq" in message:
            if message["seq"] > self.seq + 1:
                await self._catch_up(message["seq"] - 1)
            if message["seq"] == self.seq + 1:
                await self._forward(message)
        elif self.subscriptions.wants(message) and message["id"] not in self.seen:
            self.seen[message["id"]] = None
            if len(self.seen) > REMEMBERED:
                del self.seen[next(iter(self.seen))]
            await self._forward(message)

    async def _catch_up(self, until: int) -> None:
        """Forward what the bus did not bring, up to that number; too much of it, and the state is shown instead."""
        missed = await in_db(feed.missed, self.user.pk, after=self.seq, until=until)
        for _, message in missed or []:
            await self._forward(message)
        if missed is None:
            situation = (await in_db(situations_of, [self.user.pk]))[self.user.pk]
            self.seq = situation.seq
            await self._watch(situation.watched)
            await self._send_together(*self._shown(situation, resync=True))

    async def feed_behind(self, message: dict[str, Any]) -> None:
        """There are messages the bus has not brought."""
        if self.held is None and message["seq"] > self.seq:
            await self._catch_up(message["seq"])

    async def _forward(self, message: dict[str, Any]) -> None:
        if "watch" in message:
            await self._watch(message["watch"])
        body = message["body"]
        if self.language != languages.ENGLISH:
            if "tick" in message:
                body = languages.tick_retold(body, self.language)
            elif "words" in message:
                body = languages.retold(body, message["words"], self.language)
        if "tick" in message:  # numberless: who missed it gets the next
            events_sent["tick"] += 1
            body = f'{body[:-1]},"seq":{self.seq}}}'
        else:
            events_sent["event"] += 1
            self.seq = message.get("seq", self.seq)
        if tracing.live and "traceparent" in message:
            await tracing.live.event(message, self.send_text(body))
        else:
            await self.send_text(body)

    async def _watch(self, groups: list[str]) -> None:
        """Hear of the chargers the user charges at, without asking for it and only while it lasts."""
        before, self.watched = self.watched, set(groups)
        for group in self.watched:
            await self.join(group)
        for group in before - self.watched - self.subscriptions.chosen.keys():
            await self.leave(group)


class TooMany(limits.RateLimited):
    def __init__(self) -> None:
        super().__init__(1.0, Words("Too many actions at once; wait for an answer"))


_INLINE = {"ping"}


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


async def close_stuck() -> None:
    """Close the sockets whose clients do not read; they come back with `last_seq`."""
    for socket in list(open_sockets):
        if socket.is_open and socket.is_stuck():
            socket.keep(socket.queue_overflow({}))


async def look_for_missed() -> None:
    """A message can get lost on the bus without a word, or with the process that was about to send it."""
    await catch_up(utcnow() - timedelta(seconds=LOOK_BACK_S))


async def catch_up(since: datetime) -> None:
    """Let the sockets look for what was told since then and the bus did not bring (E46)."""
    sockets = [socket for socket in open_sockets if socket.held is None]
    newest = await in_db(feed.newest_since, since) if sockets else {}
    layer: Any = get_channel_layer()
    for socket in sockets:
        if (seq := newest.get(socket.user.pk, 0)) > socket.seq:
            await layer.send(socket.channel_name, {"type": "feed.behind", "seq": seq})
