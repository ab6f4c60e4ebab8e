"""A simulated charger's way to its central system: it boots, reports, and keeps facts until delivered."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial

from gateway.ocpp.simulated_faults import Faults
from gateway.ocpp.simulated_line import (
    Answerer,
    CallFailed,
    CallTimedOut,
    Connection,
    ConnectionLost,
    Direction,
    Line,
    Message,
    Outbox,
    Payload,
)
from gateway.ocpp.simulated_settings import Settings

ACCEPTED = "Accepted"

State = tuple[str, str, str | None]
"""Status, error code and info of a connector, or of the charger itself (0)."""


def ignored(outcome: object) -> None:
    """For messages whose answer changes nothing."""


class Uplink:
    """Lives on between connections, as the charger's memory does; `converse` takes them one at a time."""

    def __init__(
        self,
        *,
        about: Payload,
        settings: Settings,
        state: Callable[[int], State],
        numbers: Iterable[int],
        answer: Answerer,
        on_frame: Callable[[Direction, str], None],
        on_change: Callable[[], None],
        call_timeout_s: float,
        boot_retry_s: float,
        boot_on_reconnect: bool,
        clock_skew_s: float,
        faults: Faults,
    ) -> None:
        self.registration: str | None = None
        """Accepted, Pending or Rejected; None if no BootNotification was answered since the last boot."""
        self._about = about
        self._settings = settings
        self._state = state
        self._numbers = tuple(numbers)
        self._answer = answer
        self._on_frame = on_frame
        self._on_change = on_change
        self._call_timeout_s = call_timeout_s
        self._boot_retry_s = boot_retry_s
        self._boot_on_reconnect = boot_on_reconnect
        self._faults = faults
        self.clock_skew = timedelta(seconds=clock_skew_s)
        self._held_back: Message | None = None
        self._outbox = Outbox()
        self._line: Line | None = None
        self._booted_on_line = False
        self._boot_asked = False
        self._nudged = asyncio.Event()
        self._reported: dict[int, State] = {}

    @property
    def online(self) -> bool:
        return self._line is not None

    @property
    def ready(self) -> bool:
        """Connected and accepted: free to send."""
        return self.online and self.registration == ACCEPTED

    @property
    def kept(self) -> int:
        """How many transaction-related messages wait to be delivered."""
        return self._outbox.kept

    @property
    def is_quiet(self) -> bool:
        """Whether nothing at all is left to say."""
        return self._outbox.is_empty and self._held_back is None

    def timestamp(self) -> str:
        now = datetime.now(UTC) + self.clock_skew
        return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    # Own messages

    async def call(self, action: str, payload: Payload, *, early: bool = False) -> Payload:
        """Send a message when its turn comes and wait for its answer; raises CallFailed.

        It is dropped with the connection. `early` ones may go before the charger is accepted.
        """
        answer: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()

        def resolve(outcome: Payload | CallFailed) -> None:
            if answer.done():
                return
            if isinstance(outcome, CallFailed):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)

        self._add(Message(action, lambda: payload, resolve, resolve, early=early))
        return await answer

    def post(self, action: str, payload: Payload, *, early: bool = False) -> None:
        """Like `call`, for a message whose answer nobody waits for."""
        self._add(Message(action, lambda: payload, ignored, ignored, early=early))

    def keep(
        self,
        action: str,
        payload: Callable[[], Payload],
        *,
        answered: Callable[[Payload], None] = ignored,
        failed: Callable[[CallFailed], None] = ignored,
    ) -> None:
        """Deliver a transaction-related message, in order and however long it takes (§3.7)."""
        message = Message(action, payload, answered, failed, kept=True)
        if self._faults.strikes("discarded", action):
            message.failed(CallTimedOut(action))
            return
        if action == "MeterValues" and not self._held_back and self._faults.strikes("out_of_order", action):
            self._held_back = message
            return
        self._outbox.add(message)
        self.hold_nothing_back()

    def hold_nothing_back(self) -> None:
        """Deliver what was to be late, though nothing came after it."""
        if self._held_back:
            self._outbox.add(self._held_back)
            self._held_back = None

    def report(self, *numbers: int) -> None:
        """Send the statuses that changed; none while offline, as later only the present one counts (§4.9)."""
        if self.ready:
            for message in self._changes(numbers):
                self._outbox.add(message)
        self._on_change()

    def report_now(self, numbers: Iterable[int]) -> None:
        """Send statuses on demand, changed or not, accepted or still Pending (§5.17)."""
        for number in numbers:
            self._add(self._status_message(number, early=True))

    def _add(self, message: Message) -> None:
        if self.online:
            self._outbox.add(message)
        else:
            message.failed(ConnectionLost(message.action))

    def _changes(self, numbers: Iterable[int]) -> list[Message]:
        return [
            self._status_message(number)
            for number in numbers
            if self._reported.get(number) != self._state(number)
        ]

    def _status_message(self, number: int, *, early: bool = False) -> Message:
        status, error_code, info = self._reported[number] = self._state(number)
        payload: Payload = {"connectorId": number, "errorCode": error_code, "status": status}
        payload["timestamp"] = self.timestamp()
        if info is not None:
            payload["info"] = info
        return Message(
            "StatusNotification", lambda: payload, ignored, partial(self._unreported, number), early=early
        )

    def _unreported(self, number: int, error: CallFailed) -> None:
        self._reported.pop(number, None)

    # The conversation

    async def converse(self, connection: Connection) -> bool:
        """Talk over one connection until it ends; True if the other side ever said a word."""
        line = self._line = Line(connection, answer=self._answer, on_frame=self._on_frame)
        self._booted_on_line = False
        if self._boot_on_reconnect:
            self.registration = None
        self._on_change()
        try:
            await line.converse(self._deliver, self._stay_known)
        finally:
            self._line = None
            self._outbox.drop_unkept()
            self._on_change()
        return line.heard

    def hang_up(self) -> None:
        if self._line is not None:
            self._line.hang_up()

    async def drain(self) -> None:
        """Wait until everything is delivered, but no longer than for one answer that does not come."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._call_timeout_s):
                await self._outbox.empty()

    def forget_registration(self) -> None:
        """What a restart does: nothing may be sent before the next BootNotification is answered (§4.2)."""
        self.registration = None
        self._reported.clear()

    @property
    def may_boot(self) -> bool:
        """Once accepted on this connection, a charger should refuse to boot on demand (errata 3.35)."""
        return not self._booted_on_line

    def ask_to_boot(self) -> None:
        self._boot_asked = True
        self._nudged.set()

    def heartbeat_afresh(self) -> None:
        """Begin the rhythm of heartbeats anew, after a change of the settings."""
        self._nudged.set()

    async def _stay_known(self, line: Line) -> None:
        """Boot until accepted, then heartbeat; after a mere reconnect no boot is needed (OCPP-J §5.4)."""
        if self.registration == ACCEPTED:
            self._outbox.add_first(self._changes(self._numbers))
        else:
            if self._faults.has("status_before_boot"):
                self.report_now(self._numbers)
            self._boot_asked = True
        pause_s = self._heartbeat_interval_s()
        while True:
            if self._boot_asked:
                pause_s = await self._boot()
            if await self._pause(pause_s):
                pause_s = self._heartbeat_interval_s() if self.registration == ACCEPTED else pause_s
            elif self.registration == ACCEPTED:
                await self._heartbeat()
            else:
                self._boot_asked = True

    async def _boot(self) -> float | None:
        """Send BootNotification; returns the seconds to wait before the next message of this rhythm."""
        self._boot_asked = False
        try:
            answer = await self.call("BootNotification", self._about, early=True)
        except CallFailed:
            return self._boot_retry_s
        self.registration, interval_s = answer.get("status"), answer.get("interval")
        if not isinstance(interval_s, int):
            interval_s = 0
        if self.registration != ACCEPTED:
            self._on_change()
            return interval_s or self._boot_retry_s
        self._booted_on_line = True
        if interval_s > 0:
            self._settings["HeartbeatInterval"] = str(interval_s)
        # All statuses first (errata 3.22), then what was kept from before.
        self._outbox.add_first([self._status_message(number) for number in self._numbers])
        self._on_change()
        return self._heartbeat_interval_s()

    async def _heartbeat(self) -> None:
        try:
            await self.call("Heartbeat", {})
        except CallFailed:
            return  # the next one comes anyway

    def _heartbeat_interval_s(self) -> float | None:
        return self._settings.seconds("HeartbeatInterval") or None

    async def _pause(self, seconds: float | None) -> bool:
        """Wait; True if nudged before the time was over."""
        try:
            async with asyncio.timeout(seconds):
                await self._nudged.wait()
        except TimeoutError:
            return False
        self._nudged.clear()
        return True

    async def _deliver(self, line: Line) -> None:
        """Send the outbox, one message at a time."""
        while True:
            message = await self._outbox.next(accepted=lambda: self.registration == ACCEPTED)
            try:
                answer = await line.call(
                    self._message_id(line, message),
                    message.action,
                    message.payload(),
                    timeout_s=self._call_timeout_s,
                )
            except ConnectionLost:
                return
            except CallFailed as error:
                self._not_taken(message, error)
            else:
                self._outbox.remove(message)
                message.answered(answer)
            self._on_change()

    def _message_id(self, line: Line, message: Message) -> str:
        """Each attempt has its own, unless the charger is one that repeats itself to the letter."""
        is_repeat = message.sent_on is line
        if not (is_repeat and self._faults.strikes("same_id", message.action)):
            message.message_id, message.sent_on = line.new_message_id(), line
        return message.message_id

    def _not_taken(self, message: Message, error: CallFailed) -> None:
        """A kept message is tried again, each time after a longer wait, and in the end discarded (§3.7.1)."""
        message.failures += 1
        if message.kept and message.failures < int(self._settings["TransactionMessageAttempts"]):
            wait_s = self._settings.seconds("TransactionMessageRetryInterval") * message.failures
            self._outbox.postpone(message, wait_s)
        else:
            self._outbox.remove(message)
            message.failed(error)
