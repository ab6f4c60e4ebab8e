"""The charger's socket: who may connect, who owns the charger, frames in and commands out."""

import asyncio
import logging
from typing import Any
from urllib.parse import unquote

from django.conf import settings
from django.db import Error as DatabaseFailure

from chargers import commands, passwords
from chargers import services as charger_services
from chargers.events import utcnow
from chargers.models import Charger, Command
from gateway import auth
from gateway.consumer import SocketConsumer
from gateway.db import in_db
from gateway.ocpp import v16
from gateway.ocpp.rpc import CallError, CallTimeout, ConnectionLost, Rpc
from sessions import services

logger = logging.getLogger(__name__)

ADAPTERS = {v16.VERSION: v16}
PROTOCOL_ERROR, TRY_AGAIN_LATER = 1002, 1013
MAX_IDENTITY = 255

_present: set["ChargerSocket"] = set()


def present_charger_ids() -> list[int]:
    """The chargers whose sockets this process holds."""
    return [socket.charger.pk for socket in list(_present)]  # asked for from other threads too


async def confirm_presence() -> None:
    """Tell the database that our chargers are here, and find out whose they are not any more."""
    sockets = {socket.channel_name: socket for socket in _present}
    chargers = {name: socket.charger.pk for name, socket in sockets.items()}
    for name in await in_db(charger_services.confirm_presence, chargers):
        await sockets[name].reclaim()


class ChargerSocket(SocketConsumer):
    """One connection of one charger. The newest owns the charger; an older one only ends."""

    charger: Charger
    rpc: Rpc
    epoch: int

    # --- handshake ---

    async def connect(self) -> None:
        try:
            await self._enter()
        except DatabaseFailure:
            logger.exception("the database is away; a charger is sent off to dial again")
            if self.is_open:
                await self.close(TRY_AGAIN_LATER, "Try again later")
            else:
                await self.refuse(503, "Try again later")

    async def _enter(self) -> None:
        identity = _identity(self.scope)
        charger = await in_db(charger_services.charger_for_handshake, identity) if identity else None
        if charger is None or charger.registration == Charger.Registration.REJECTED:
            logger.info("refused a charger: unknown identity %.80r", identity)
            await self.refuse(404, "Unknown charger")
            return
        if not await self._may_enter(charger):
            logger.info("refused %s: wrong or missing password", charger)
            await self.refuse(
                401, "Wrong user or password", [(b"www-authenticate", b'Basic realm="chargers"')]
            )
            return
        # The charger's order of preference counts, and what it spoke last time does not (E7).
        version = next((p for p in self.scope["subprotocols"] if p in ADAPTERS), None)
        await self.accept(version)
        if version is None:
            await self.close(PROTOCOL_ERROR, "No supported subprotocol; this server speaks ocpp1.6")
            return
        self.adapter = ADAPTERS[version]
        self.charger = charger
        conversation = self.adapter.V16(charger)
        self.rpc = Rpc(
            version=version,
            send=self.send_text,
            handlers=conversation.handlers(),
            tolerant=self.adapter.TOLERANT,
            on_late=self._late_answer,
        )
        _, self.epoch, _ = await in_db(
            services.charger_connected,
            charger_id=charger.pk,
            channel_name=self.channel_name,
            ocpp_version=version,
        )
        if self.is_open:  # a still newer socket may have taken over meanwhile
            _present.add(self)

    async def _may_enter(self, charger: Charger) -> bool:
        """Whether the user, if one is named, is the charger (E9), and the password, if it needs one, fits (E8)."""
        given = auth.basic(self.scope["headers"])
        if given is None:
            return not charger.password_hash
        # Not split at the first colon, since identities may hold colons, as passwords may.
        user, colon, password = b":".join(given).partition(charger.identity.encode() + b":")
        if user or not colon:
            return False
        return not charger.password_hash or await in_db(passwords.matches, password, charger.password_hash)

    async def disconnect(self, code: int) -> None:
        if self not in _present:
            return
        _present.discard(self)
        self.rpc.close()
        await self._release()

    async def _release(self) -> None:
        await in_db(services.charger_disconnected, charger_id=self.charger.pk, channel_name=self.channel_name)

    async def reclaim(self) -> None:
        """The database has the charger as somebody else's, or as offline though we are here (a sweep took us for
        dead). Ours again, unless a newer socket has it."""
        if self not in _present:
            return
        ours = await in_db(
            charger_services.reclaim,
            charger_id=self.charger.pk,
            channel_name=self.channel_name,
            epoch=self.epoch,
        )
        if self not in _present:  # it closed meanwhile, and found nothing to release
            await self._release()
        elif not ours:
            await self.socket_superseded({})

    # --- frames in ---

    async def receive(self, text: str | None, data: bytes | None) -> None:
        if self not in _present:
            return  # a newer socket owns the charger: what this one still says no longer counts
        if text is None:
            text = (data or b"").decode("utf-8", errors="replace")
        await self.rpc.receive(text)

    # --- messages from the layer ---

    async def command_ready(self, message: dict[str, Any]) -> None:
        self.keep(self._run(message["id"]))

    async def socket_superseded(self, message: dict[str, Any]) -> None:
        """The charger opened a newer socket. Its commands go there; this one is done."""
        _present.discard(self)
        self.rpc.close()
        await self.close(1000, "A newer connection of this charger took over")

    async def charger_removed(self, message: dict[str, Any]) -> None:
        """An operator turned the charger away. It is still ours until the socket has ended, which releases it."""
        await self.close(1000, "This charger was removed")

    # --- commands out ---

    async def _run(self, command_id: str) -> None:
        """Send one command when it is its turn, and write how it ended. Never awaited by a handler of frames."""
        try:
            async with self.rpc.turn():
                command = await in_db(commands.claim_command, command_id, channel_name=self.channel_name)
                if command is None:
                    return
                status, answer, error = await self._ask(command)
        except ConnectionLost:  # before it was ours to send
            return
        await in_db(services.finish_command, command_id, status=status, answer=answer, error=error)

    async def _ask(self, command: Command) -> tuple[str, Any, str]:
        try:
            action, payload = self.adapter.spoken(command)
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
        command = await in_db(Command.objects.get, pk=message_id)
        status, content, error = self.adapter.outcome(command.action, answer)
        await in_db(services.finish_command, message_id, status=status, answer=content, error=error)


def _identity(scope: dict[str, Any]) -> str:
    """The last part of the path, percent-decoded here, so that an encoded slash stays part of it (E6)."""
    raw = scope.get("raw_path")
    path = raw.decode("ascii", errors="replace") if raw else scope["path"]
    encoded = path.split("?")[0].rpartition("/ocpp/")[2].rstrip("/")
    try:
        identity = unquote(encoded, errors="strict") if raw else encoded
    except UnicodeDecodeError:
        return ""
    usable = identity.isprintable() and len(identity) <= MAX_IDENTITY
    return identity if usable else ""
