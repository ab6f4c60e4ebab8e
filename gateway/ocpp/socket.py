"""The charger's socket: who owns the charger, frames in and commands out."""

import asyncio
import logging
import time
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseFailure

from chargers import commands
from chargers import services as charger_services
from chargers.errors import Superseded
from chargers.events import utcnow
from chargers.models import Command
from chargers.quirks import Quirks
from chargers.security import Refused
from gateway import counters, logs, returning, tracing
from gateway.consumer import AGAIN, SocketConsumer
from gateway.db import guard, in_db
from gateway.ocpp import handshake, v16
from gateway.ocpp.rpc import CallError, CallTimeout, ConnectionLost, Handler, Rpc
from gateway.ocpp.standstill import standstills
from gateway.ocpp.wire_log import recorder_of
from gateway.pings import PingedSocket, line_of
from sessions import services

logger = logging.getLogger(__name__)

ADAPTERS = {v16.VERSION: v16}
PROTOCOL_ERROR, TRY_AGAIN_LATER = 1002, 1013
MISSED_HEARTBEATS = 2  # of a charger that is not pinged, before it is taken for gone

_present: set["ChargerSocket"] = set()
# In their handshake; they take a place too.
_arriving: set["ChargerSocket"] = set()


def present_charger_ids() -> list[int]:
    """The chargers whose sockets this process holds."""
    return [socket.charger_id for socket in list(_present)]  # asked for from other threads too


async def confirm_presence() -> None:
    """Tell the database that our chargers are here, and find out whose they are not any more."""
    sockets = {socket.channel_name: socket for socket in _present}
    chargers = {name: socket.charger_id for name, socket in sockets.items()}
    for name in await in_db(charger_services.confirm_presence, chargers):
        await sockets[name].reclaim()


async def resync(since: datetime) -> None:
    """Messages since then may not have been heard: whose the chargers are, which commands wait, which sessions run."""
    for socket in list(_present):
        socket.conversation.forget_sessions()
    await confirm_presence()
    sockets = {socket.channel_name: socket for socket in _present}
    names = list(sockets)
    for start in range(0, len(names), 500):
        for command_id, name in await in_db(commands.queued_for, names[start : start + 500]):
            await sockets[name].command_ready({"id": command_id})


class ChargerSocket(SocketConsumer):
    """One connection of one charger. The newest owns the charger; an older one only ends."""

    charger_id: int
    rpc: Rpc
    epoch: int = 0  # until it has entered
    _listening: asyncio.Task[None] | None = None
    _line: PingedSocket | None = None
    _early: tuple[dict[str, Any], ...] = ()
    role = "chargers"
    leaves_late = True  # an app's action may wait for its answer

    def __init__(self) -> None:
        super().__init__()
        self.standstills = standstills()

    # --- handshake ---

    async def connect(self) -> None:
        if len(_present) + len(_arriving) >= settings.MAX_CHARGER_SOCKETS:
            counters.refused[self.role, "capacity"] += 1
            await self.refuse(503, "Server at capacity", [returning.header("Server at capacity")])
            return
        _arriving.add(self)
        try:
            await self._enter()
        except DatabaseFailure:
            counters.refused[self.role, "unavailable"] += 1
            logger.exception("the database is away; a charger is sent off to dial again")
            if self.is_open:
                await self.close(TRY_AGAIN_LATER, "Try again later")
            else:
                await self.refuse(503, AGAIN, [returning.header(AGAIN)])
        finally:
            _arriving.discard(self)

    async def _enter(self) -> None:
        try:
            admission, known = await handshake.admit(self.scope)
        except Refused as refusal:
            counters.refused[self.role, refusal.reason] += 1
            logger.info("refused a charger at %.80r: %s", self.scope["path"], refusal.reason)
            await self.refuse(*handshake.answer(refusal))
            return
        charger = admission.charger
        logs.about(charger=charger.identity)
        # The charger's order of preference counts, and what it spoke last time does not (E7).
        offered = self.scope["subprotocols"]
        version = next((p for p in offered if p in ADAPTERS), None)
        self.charger_id, self.recorder = charger.pk, recorder_of(charger.pk)
        await self.accept(version)
        if version is None:
            header = f"Sec-WebSocket-Protocol: {', '.join(offered)}"
            self.recorder.breach("subprotocol_missing", "", "None that we speak was offered", header)
            version = known.default_subprotocol if known.default_subprotocol in ADAPTERS else None
        if version is None:
            counters.refused[self.role, "no_subprotocol"] += 1
            await in_db(handshake.no_subprotocol, admission)
            await self.close(PROTOCOL_ERROR, "No supported subprotocol; this server speaks ocpp1.6")
            return
        self.adapter = ADAPTERS[version]
        self.rpc = Rpc(
            version=version,
            send=self.send_text,
            tolerant=self.adapter.TOLERANT,
            on_late=self._late_answer,
            recorder=self.recorder,
            readers=self.adapter.READERS,
            send_now=self._answer_now,
        )
        self._line = line_of(self.scope)
        self._adopt(known)
        self.conversation = self.adapter.V16(charger, self.rpc, known, adopt=self._adopt)
        self.rpc.handler_of, self.rpc.at_once = self._handler_of, self.conversation.at_once
        self.epoch = await in_db(
            handshake.enter, admission, channel_name=self.channel_name, ocpp_version=version
        )
        self._guard()
        for message in self._early:
            await self.command_ready(message)
        if self.is_open:  # a still newer socket may have taken over meanwhile
            _present.add(self)
            counters.accepted[self.role] += 1
            if self._line is not None:
                self._line.listener = self._take

    # --- whose charger it is ---

    def _guard(self) -> None:
        """What this task does in the database it does as the charger's owner, or not at all."""
        guard.set(partial(charger_services.as_owner, charger_id=self.charger_id, epoch=self.epoch))

    def _handler_of(self, action: str) -> Handler | None:
        handler = self.conversation.handler_of(action)
        return None if handler is None else partial(self._as_owner, handler)

    async def _as_owner(self, handler: Handler, payload: Any) -> dict[str, Any]:
        try:
            return await handler(payload)
        except Superseded as error:
            await self.socket_superseded({})
            raise ConnectionLost from error

    async def _is_ours(self) -> bool:
        """Whether the charger is still ours, where this process stood still: it may have dialled another meanwhile.
        If it is not, or nobody can say, this socket ends."""
        so_often = standstills()
        try:
            is_ours = await in_db(charger_services.is_owner, charger_id=self.charger_id, epoch=self.epoch)
        except DatabaseFailure:
            await self.close(TRY_AGAIN_LATER, "Try again later")
            return False
        except Superseded:
            is_ours = False
        if is_ours:
            self.standstills = so_often
        else:
            await self.socket_superseded({})
        return is_ours

    # --- its quirks, and whether it lives ---

    def _adopt(self, known: Quirks) -> None:
        """What is known of it: by what it said when it last booted, and again when it boots."""
        self.rpc.is_lenient = known.is_lenient
        if self._line is not None:
            self._line.send_pings(not known.no_pings)
            self._line.silence_s = self._silence_s
        if known.no_pings and self._listening is None:
            self._listening = self.keep(self._listen())
        elif not known.no_pings and self._listening is not None:
            self._listening.cancel()
            self._listening = None

    def _silence_s(self) -> float:
        """Since the last frame; asked where a pong is missing. A frame that came since the ping is as good (E4)."""
        silence_s = time.time() - self.rpc.heard_at
        if silence_s < settings.WS_PING_TIMEOUT_S:
            self.recorder.breach("pings_unanswered", "", "A frame came, but no pong", "")
        return silence_s

    def is_at_work(self) -> bool:
        is_answering = self in _present and self.rpc.is_busy  # it has no `rpc` before
        return self.is_handling or is_answering or bool(self.tasks - {self._listening})

    async def _listen(self) -> None:
        """Without pings only its frames tell that it lives; heartbeats come at their interval, if nothing else does."""
        limit_s = MISSED_HEARTBEATS * settings.HEARTBEAT_INTERVAL_S + settings.WS_PING_TIMEOUT_S
        left_s: float = limit_s
        while left_s > 0:
            await asyncio.sleep(left_s)
            left_s = limit_s - (time.time() - self.rpc.heard_at)
        await self.close(1000, "Nothing was heard for too long")

    async def disconnect(self, code: int) -> None:
        if self not in _present:
            return
        try:
            await self.rpc.until_idle()  # what is being stored was said while the charger was here
        finally:
            _present.discard(self)
            self.rpc.close()
        await self._release()

    async def _release(self) -> None:
        guard.set(None)  # it looks for itself whose the charger is
        await in_db(services.charger_disconnected, charger_id=self.charger_id, channel_name=self.channel_name)

    async def reclaim(self) -> None:
        """The database has the charger as somebody else's, or as offline though we are here (a sweep took us for
        dead). Ours again, unless a newer socket has it."""
        if self not in _present:
            return
        ours = await in_db(
            charger_services.reclaim,
            charger_id=self.charger_id,
            channel_name=self.channel_name,
            epoch=self.epoch,
        )
        if self not in _present:  # it closed meanwhile, and found nothing to release
            await self._release()
        elif not ours:
            await self.socket_superseded({})

    # --- frames in ---

    async def receive(self, text: str | None, data: bytes | None) -> None:
        if self in _present and self.rpc.is_busy:  # before it is asked whose the charger is, not after it
            await self.rpc.until_idle()
        if self not in _present or (standstills() != self.standstills and not await self._is_ours()):
            return  # a newer socket owns the charger: what this one still says no longer counts
        if text is None:
            text = (data or b"").decode("utf-8", errors="replace")
        await self.rpc.receive(text)

    def _take(self, text: str) -> bool:
        """A frame, straight from the line: most need no task, and so not the many steps to one and back."""
        return (
            self.is_open
            and not self.is_handling
            and self in _present
            and standstills() == self.standstills
            and self._line is not None
            and self._line.takes_more()  # where it does not, `receive` waits with its answer, and nothing more is read
            and self.rpc.take(text)
        )

    def _answer_now(self, text: str) -> None:
        if not self.is_open:
            return
        try:
            is_sent = (
                standstills() == self.standstills and self._line is not None and self._line.try_send(text)
            )
        except (OSError, RuntimeError) as error:
            self._is_gone(error)
            return
        if not is_sent:
            self.keep(self.send_text(text))

    async def send_text(self, text: str) -> None:
        if self in _present and standstills() != self.standstills and not await self._is_ours():
            return
        await super().send_text(text)

    # --- messages from the layer ---

    async def command_ready(self, message: dict[str, Any]) -> None:
        if self.epoch:
            self.keep(self._run(message["id"], message.get("traceparent", "")))
        else:  # the database knows that the charger is ours, and we do not yet
            self._early += (message,)

    async def socket_superseded(self, message: dict[str, Any]) -> None:
        """The charger opened a newer socket. Its commands go there; this one is done."""
        _present.discard(self)
        self.rpc.close()
        await self.close(1000, "A newer connection of this charger took over")

    async def session_ended(self, message: dict[str, Any]) -> None:
        """A session here was ended by somebody else than the charger: its meter values are no longer live."""
        self.conversation.forget_sessions()

    async def charger_removed(self, message: dict[str, Any]) -> None:
        """An operator turned the charger away. It is still ours until the socket has ended, which releases it."""
        await self.close(1000, "This charger was removed")

    # --- commands out ---

    async def _run(self, command_id: str, traceparent: str) -> None:
        """Send one command when it is its turn, and write how it ended. Never awaited by a handler of frames."""
        logs.also(command_id=command_id)
        self._guard()
        try:
            async with self.rpc.turn():
                command = await in_db(services.claim_command, command_id, channel_name=self.channel_name)
                if command is None:
                    return
                asking = self._ask(command)
                if tracing.live:
                    asking = tracing.live.command(command, asking, traceparent)
                status, answer, error = await asking
        except (ConnectionLost, Superseded):  # before it was ours to send
            return
        await self._finish(command_id, status, answer, error)

    async def _finish(self, command_id: str, status: str, answer: Any, error: str) -> None:
        with suppress(Superseded):  # who took over has written how it ended
            await in_db(services.finish_command, command_id, status=status, answer=answer, error=error)

    async def _ask(self, command: Command) -> tuple[str, Any, str]:
        try:
            action, payload = self.adapter.spoken(command)
        except CallError as error:  # the charger never hears of it, so it has refused nothing
            return Command.Status.FAILED, None, f"not sent: {error.description}"
        try:
            self.conversation.acceptance.asked(action, payload)
            # Before the caller's own time is over, so that it hears our word of it and not its silence.
            elapsed = (utcnow() - command.created_at).total_seconds()
            timeout_s = max(0.1, settings.COMMAND_TIMEOUT_S - elapsed - 0.25)
            answer = await self.rpc.call(str(command.pk), action, payload, timeout_s=timeout_s)
        except CallError as error:
            answer = error
        except CallTimeout:
            status, error_code = commands.without_answer(command)
            return status, None, error_code
        except (ConnectionLost, asyncio.CancelledError):
            status, _ = commands.without_answer(command)
            return status, None, "charger_offline"
        return self.adapter.outcome(command.action, answer)

    def _late_answer(self, message_id: str, answer: Any) -> None:
        """It came after its time, but it is still the truth about that command (E13)."""
        self.keep(self._settle_late(message_id, answer))

    async def _settle_late(self, message_id: str, answer: Any) -> None:
        with suppress(Superseded):
            command = await in_db(Command.objects.get, pk=message_id)
            await self._finish(message_id, *self.adapter.outcome(command.action, answer))
