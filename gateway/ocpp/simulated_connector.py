"""A simulated charger's connector in use: what happens when cable, tags, faults and time act on an outlet."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from gateway.ocpp.simulated_car import SimulatedCar
from gateway.ocpp.simulated_equipment import Equipment
from gateway.ocpp.simulated_line import CallFailed, Payload
from gateway.ocpp.simulated_outlet import NO_ERROR, MeterValue, Outlet, Transaction
from gateway.ocpp.simulated_reservations import Reservation
from gateway.ocpp.simulated_uplink import ACCEPTED, ignored

log = logging.getLogger(__name__)

LOOK_S = 5.0
"""How often a connector looks whether the car is full, if it does not sample more often."""
LIMITED_LOOK_S = 1.0

UNDELIVERED = -1
"""The transaction id a charger uses if its StartTransaction never got through (errata 3.18)."""


class Connector(Outlet):
    """An outlet that acts. Every method that changes a fact ends with `update`."""

    def __init__(
        self,
        number: int,
        equipment: Equipment,
        *,
        clock: Callable[[], float],
        speed: float,
        phases: int,
        counted_wh: float,
    ) -> None:
        super().__init__(number, clock, speed, phases, counted_wh)
        self._settings = equipment.settings
        self._uplink = equipment.uplink
        self._tags = equipment.tags
        self._equipment = equipment
        self._promised_profile: Payload | None = None
        self._preparing_since: float | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}

    # The cable

    def plug_in(self, car: SimulatedCar | None = None) -> None:
        """Put the cable into a car, by default a new one; starts what was waiting for it."""
        if self.car is None:
            self.accrue()
            self.car = car or self._equipment.new_car()
            self.update()
            self._begin_if_ready()

    def unplug(self) -> None:
        """Pull the cable out of the car. Whether that ends a transaction is a setting (§4.10)."""
        self.accrue()
        self._cancel("unplug")
        if self.transaction is not None and self._settings.flag("StopTransactionOnEVSideDisconnect"):
            self._close_transaction(self.transaction, "EVDisconnected")
        self.car, self.used_up = None, False
        self.update()

    # Reservations and limits

    def admits(self, id_tag: str) -> bool:
        """Whether the tag may use the connector as far as reservations go (§5.13)."""
        reservation = self.reservation
        return reservation is None or reservation.admits(id_tag, self._tags.parent(id_tag))

    def reserve(self, reservation: Reservation | None) -> None:
        """Keep the connector for somebody, until the reservation expires; None ends it."""
        self.reservation = reservation
        self._cancel("reservation")
        if reservation is not None:
            self._later("reservation", max(0.0, reservation.seconds_left()), partial(self.reserve, None))
        self.update()

    def limit_w(self) -> float | None:
        return self._equipment.profiles.limit_w(self.number, self.transaction, self.phases, datetime.now(UTC))

    # Transactions

    async def claim(self, id_tag: str, *, ask: bool, profile: Payload | None = None) -> bool:
        """Promise the free connector to a tag, if authorized; the transaction starts when a car is there."""
        used_up, self.used_up = self.used_up, False
        self.wanted_by, self.authorizing, self._promised_profile = id_tag, ask, profile
        self._cancel("unplug")
        self.update()
        accepted = not ask or await self._tags.authorized(id_tag)
        accepted = accepted and self.admits(id_tag)  # whose child a tag is, the answer may have told
        if self.wanted_by != id_tag:
            return False  # given up meanwhile
        self.authorizing = False
        if not accepted:
            self.wanted_by, self.used_up = None, used_up
        elif self.car is None and self._equipment.auto_plug_s is not None:
            self._later("plug", self._equipment.auto_plug_s, self.plug_in)
        self.update()
        self._begin_if_ready()
        return accepted

    def claim_later(self, id_tag: str, profile: Payload | None = None) -> None:
        """What follows an accepted remote start (§5.11); the profile is the transaction's."""
        ask = self._settings.flag("AuthorizeRemoteTxRequests")
        self._equipment.spawn(self.claim(id_tag, ask=ask, profile=profile))

    async def present_tag(self, id_tag: str) -> bool:
        """Hold a tag to the reader: stops the transaction of that tag, or else asks for a new one."""
        if self.transaction is None:
            return self.free and await self.claim(id_tag, ask=True)
        transaction = self.transaction
        if not await self._may_stop(id_tag, transaction) or self.transaction is not transaction:
            return False
        self._end(transaction, "Local", id_tag=id_tag)
        return True

    def end_if_running(self, reason: str) -> bool:
        """End the transaction, if there is one."""
        if self.transaction is None:
            return False
        self._end(self.transaction, reason)
        return True

    def restart(self, reason: str) -> None:
        """What a restart of the charger leaves behind: nothing runs and nothing is promised."""
        self.break_promise()
        self.end_if_running(reason)
        self.update()

    def break_promise(self) -> None:
        """What was asked for and had not begun will not begin."""
        self.wanted_by, self.authorizing = None, False
        self._cancel("plug")
        self.update()

    async def _may_stop(self, id_tag: str, transaction: Transaction) -> bool:
        """The tag that started a transaction stops it; another one only if they share a parent (§4.1)."""
        if id_tag.casefold() == transaction.id_tag.casefold():
            return True
        accepted, parent_id_tag = await self._tags.authorized(id_tag), self._tags.parent(id_tag)
        return accepted and parent_id_tag is not None and parent_id_tag == transaction.parent_id_tag

    def _begin_if_ready(self) -> None:
        can_begin = self.car is not None and not self.authorizing and self.status == "Preparing"
        if self.wanted_by is not None and can_begin:
            self._begin(self.wanted_by)

    def _begin(self, id_tag: str) -> None:
        self.accrue()
        now = self._uplink.timestamp()
        meter_wh = self.register_wh
        entry = self._equipment.books.begin(
            charger=self._equipment.charger, connector=self.number, id_tag=id_tag, meter_wh=meter_wh, at=now
        )
        transaction = Transaction(id_tag, self._stop_data("Transaction.Begin", now), entry)
        transaction.began_offline = not self._uplink.online
        self.transaction, self.wanted_by = transaction, None
        if self._promised_profile is not None:
            self._equipment.profiles.put(self.number, self._promised_profile, transaction)
            self._promised_profile = None
        payload: Payload = {"connectorId": self.number, "idTag": id_tag}
        payload |= {"meterStart": meter_wh, "timestamp": now}
        if self.reservation is not None:
            payload["reservationId"] = self.reservation.number
            self.reserve(None)
        self._uplink.keep(
            "StartTransaction",
            lambda: payload,
            answered=partial(self._begun, transaction),
            failed=partial(self._not_begun, transaction),
        )
        self._begin_rhythm()
        self.update()

    def _begun(self, transaction: Transaction, answer: Payload) -> None:
        transaction_id, info = answer.get("transactionId"), self._tags.remember(transaction.id_tag, answer)
        transaction.transaction_id = transaction_id if isinstance(transaction_id, int) else UNDELIVERED
        self._equipment.books.named(transaction.entry, transaction.transaction_id)
        if transaction.began_offline and self._equipment.faults.has("minus_one"):
            transaction.transaction_id = UNDELIVERED
        transaction.parent_id_tag = info.get("parentIdTag")
        if info.get("status") != ACCEPTED and self.transaction is transaction:
            self._deauthorize(transaction)

    def _not_begun(self, transaction: Transaction, error: CallFailed) -> None:
        log.info("StartTransaction discarded: %r", error)
        transaction.transaction_id = UNDELIVERED
        self._equipment.books.mark(transaction.entry, "start_lost")

    def _deauthorize(self, transaction: Transaction) -> None:
        """The central system does not accept the tag of a running transaction (errata 3.17)."""
        if self._settings.flag("StopTransactionOnInvalidId"):
            self._end(transaction, "DeAuthorized")
            return
        self.accrue()
        transaction.energy_allowed = False
        self.update()

    def _end(self, transaction: Transaction, reason: str, *, id_tag: str | None = None) -> None:
        self._close_transaction(transaction, reason, id_tag=id_tag)
        self._wait_for_unplug()

    def _wait_for_unplug(self) -> None:
        self.used_up = self.car is not None
        if self.used_up and self._equipment.auto_unplug_s is not None:
            self._later("unplug", self._equipment.auto_unplug_s, self.unplug)
        self.update()

    def _close_transaction(self, transaction: Transaction, reason: str, *, id_tag: str | None = None) -> None:
        now = self._uplink.timestamp()
        self.accrue()
        transaction.energy_allowed = False  # the register stands still now, however often it is read
        meter_wh = self.register_wh
        self._equipment.books.end(transaction.entry, meter_wh=meter_wh, at=now, reason=reason)
        payload: Payload = {"meterStop": meter_wh, "timestamp": now, "reason": reason}
        if data := transaction.begin + self._stop_data("Transaction.End", now):
            payload["transactionData"] = data
        if id_tag is not None:
            payload["idTag"] = id_tag
        if "idTag" not in payload and self._equipment.faults.has("minus_one"):
            payload["idTag"] = transaction.id_tag  # those that do not know the number tell the tag
        self._let_go(transaction)
        lost = partial(self._equipment.books.mark, transaction.entry, "stop_lost")
        self._keep("StopTransaction", payload, transaction, failed=lambda error: lost())

    def _let_go(self, transaction: Transaction) -> None:
        self.transaction = None
        self._equipment.profiles.ended(transaction)
        self._cancel("sample", "look")

    def forget(self, at: str) -> None:
        """Power fails, and the charger keeps nothing of its transaction (E36): nobody is ever told of its end."""
        if (transaction := self.transaction) is None:
            return
        meter_wh = self.register_wh
        self._equipment.books.end(transaction.entry, meter_wh=meter_wh, at=at, reason="forgotten")
        self._equipment.books.mark(transaction.entry, "forgotten")
        self._let_go(transaction)
        self._wait_for_unplug()

    def jump_register(self, by_wh: int) -> None:
        """The register leaps, without energy; it does not fall below 0. Only in a transaction, whose trouble it is."""
        if self.transaction is None:
            return
        by_wh = max(by_wh, -self.register_wh)
        self.counted_wh += by_wh
        self._equipment.books.jumped(self.transaction.entry, by_wh)

    def _keep(
        self,
        action: str,
        payload: Payload,
        transaction: Transaction,
        *,
        answered: Callable[[Payload], None] = ignored,
        failed: Callable[[CallFailed], None] = ignored,
    ) -> None:
        """The transaction's id may still be unknown, so it is put in when the message goes."""
        self._uplink.keep(
            action,
            lambda: {"transactionId": transaction.transaction_id} | payload,
            answered=answered,
            failed=failed,
        )

    # Faults and availability

    def set_error_code(self, error_code: str) -> None:
        """A fault takes the power away; with NoError the status before it comes back (§4.9, I1 to I8)."""
        self.accrue()
        self.error_code = error_code
        if error_code != NO_ERROR:
            self.reserve(None)  # it can no longer be kept for anybody (§5.13)
        self.update()
        self._begin_if_ready()

    def set_operative(self, operative: bool) -> None:
        """A busy connector becomes Unavailable when it no longer is (§5.2)."""
        # No way leads from Unavailable to Finishing (§4.9): a car still there counts as just plugged in.
        self.used_up = self.used_up and not operative
        self.operative = operative
        if not operative:
            self.reserve(None)
        self.update()

    # Meter values

    def sample_afresh(self) -> None:
        """After a change of the settings."""
        if self.transaction is not None:
            self._begin_rhythm()

    def send_meter_values(self) -> None:
        """Present values on demand; they are not kept if the connection is lost."""
        if payload := self._meter_values("Trigger"):
            if self.transaction_id is not None:
                payload["transactionId"] = self.transaction_id
            self._uplink.post("MeterValues", payload, early=True)

    def _begin_rhythm(self) -> None:
        interval_s = self._settings.seconds("MeterValueSampleInterval")
        self._look_later()
        self._cancel("sample")
        if interval_s > 0:
            due = asyncio.get_running_loop().time() + interval_s
            self._later("sample", interval_s, partial(self._sample, due, interval_s))

    def _look_later(self) -> None:
        limited = bool(self._equipment.profiles.installed)  # a limit may change at any second
        self._later("look", LIMITED_LOOK_S if limited else LOOK_S, self._look)

    def _look(self) -> None:
        self.accrue()
        self.update()
        self._look_later()

    def _sample(self, due: float, interval_s: float) -> None:
        payload = self._meter_values("Sample.Periodic")
        if payload and self.transaction is not None:
            acknowledge = partial(self._equipment.books.acknowledge, self.transaction.entry)
            self._keep("MeterValues", payload, self.transaction, answered=lambda answer: acknowledge())
        self.update()
        # Keep to the rhythm, but after a long sleep of the whole process do not make up for what was missed.
        now = asyncio.get_running_loop().time()
        due = due + interval_s if due + interval_s > now else now + interval_s
        self._later("sample", due - now, partial(self._sample, due, interval_s))

    def _meter_values(self, context: str) -> Payload:
        """A MeterValues payload without its transaction id; empty if no measurand is configured."""
        measurands, now = self._settings.items("MeterValuesSampledData"), self._uplink.timestamp()
        values = self.meter_values(measurands, context=context, timestamp=now)
        return {"connectorId": self.number, "meterValue": values} if values else {}

    def _stop_data(self, context: str, timestamp: str) -> list[MeterValue]:
        """For StopTransaction: of its values only the first and the last are kept (errata 3.89 allows it)."""
        return self.meter_values(
            self._settings.items("StopTxnSampledData"), context=context, timestamp=timestamp
        )

    # Time

    def update(self) -> None:
        """Draw the conclusions from changed facts: the time for preparing, and StatusNotification."""
        if self.status != "Preparing":
            self._preparing_since = None
            self._cancel("preparing")
        elif self._preparing_since is None:
            self._preparing_since = asyncio.get_running_loop().time()
            self.time_preparing_afresh()
        self._uplink.report(self.number, 0)

    def time_preparing_afresh(self) -> None:
        """Give up when ConnectionTimeOut has passed since Preparing began (errata 3.87)."""
        if self._preparing_since is not None:
            end = self._preparing_since + self._settings.seconds("ConnectionTimeOut")
            left_s = max(end - asyncio.get_running_loop().time(), 0)
            self._later("preparing", left_s, self._give_up_preparing)

    def _give_up_preparing(self) -> None:
        """A plugged-in car keeps the connector from being Available to the next driver (errata 3.20)."""
        self.wanted_by, self.authorizing = None, False
        self.used_up = self.car is not None
        self._cancel("plug")
        self.update()

    def resume(self) -> None:
        """Set the timers again that `pause` stopped."""
        if not self._timers:
            self.sample_afresh()
            self.time_preparing_afresh()
            if self.reservation is not None:
                self.reserve(self.reservation)

    def pause(self) -> None:
        """Stop all timers."""
        self._cancel(*list(self._timers))

    def _later(self, name: str, delay_s: float, action: Callable[[], None]) -> None:
        """Do something once; replaces the timer of the same name."""
        self._cancel(name)
        self._timers[name] = asyncio.get_running_loop().call_later(delay_s, self._run, name, action)

    def _run(self, name: str, action: Callable[[], None]) -> None:
        del self._timers[name]
        action()

    def _cancel(self, *names: str) -> None:
        for name in names:
            if timer := self._timers.pop(name, None):
                timer.cancel()
