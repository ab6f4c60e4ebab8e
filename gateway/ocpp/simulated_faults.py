"""What may go wrong with a simulated charger: by rate or by script, and the same again from the same seed.

Three kinds. Message faults spoil a share of the messages; happenings befall a charger with a chance per second;
quirks are habits that a share of the chargers has. This file decides; simulated_happenings lets things happen.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

MESSAGE_FAULTS = {
    "lost_message": "an own CALL never leaves",
    "lost_answer": "the answer to an own CALL never arrives",
    "lost_request": "a CALL of the central system never arrives",
    "lost_reply": "the charger's answer to it never arrives",
    "duplicate": "an own CALL goes out twice under one message id",
    "duplicate_new_id": "an own CALL goes out twice under two message ids",
    "same_id": "a message that is tried again keeps its message id",
    "discarded": "a transaction's message is given up, as after its last attempt",
    "out_of_order": "a transaction's meter values are delivered after what came later",
    "garbage": "a frame that is no OCPP goes out",
    "slow_reply": "the charger takes seconds to answer",
    "call_error": "the charger does what it was asked and answers with a CALLERROR",
}
HAPPENINGS = {
    "reboot": "power fails; transactions go on after the boot",
    "power_loss": "power fails; transactions were ended by it, as is told after the boot",
    "forgotten": "power fails; the charger knows nothing of its transactions any more",
    "offline": "the connection is lost for some seconds; what is kept is delivered after that",
    "half_open": "the charger neither reads nor writes nor closes, and then opens a new socket",
    "second_socket": "a second socket opens while the first is open, which is closed late",
    "clock_jump": "the charger's clock is wrong from now on, until the next jump",
    "register_jump": "a running meter's register jumps, forwards or backwards",
}
QUIRKS = {
    "kwh": "meter values in kWh",
    "kwh_without_unit": "meter values in kWh that do not say so",
    "padded_tags": "id tags with blanks and control bytes behind",
    "other_case": "id tags come back in small letters",
    "minus_one": "−1 for the number of a transaction that began offline",
    "null_payload": "null where a payload is empty",
    "status_before_boot": "StatusNotification before BootNotification",
    "no_zone": "times without a zone",
    "local_zone": "times with an offset and six decimals",
    "one_meter_value": "meterValue is an object, not a list",
    "odd_measurands": "measurands and units nobody knows, and samples that are empty",
    "numbers_as_text": "numbers as text, and samples as numbers",
    "long_texts": "texts longer than the book allows",
    "boots_always": "BootNotification on every connection",
}
KINDS = MESSAGE_FAULTS | HAPPENINGS | QUIRKS


def no_notice(name: str) -> None:
    """The `on_fault` of a charger nobody watches."""


@dataclass(frozen=True)
class Event:
    """A line of a script: when, which chargers, what; `argument` is seconds, or the action of a message."""

    at_s: float
    charger: str
    fault: str
    argument: str = ""


def rate(text: str) -> tuple[str, float]:
    """`lost_answer=0.05` → its name and rate."""
    name, _, value = text.partition("=")
    if name not in KINDS:
        raise ValueError(f"{name!r} is no fault; there are {', '.join(KINDS)}")
    share = float(value or 1)
    if not 0 <= share <= 1:
        raise ValueError(f"the rate of {name} must be from 0 to 1, not {value}")
    return name, share


def script(text: str) -> list[Event]:
    """Lines of `SECONDS CHARGER FAULT [ARGUMENT]`; CHARGER is a pattern such as CP* and # begins a comment."""
    events = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            at_s, charger, fault, *rest = words
            events.append(Event(float(at_s), charger, fault, *rest))
        except (ValueError, TypeError):
            raise ValueError(f"line {number}: SECONDS CHARGER FAULT [ARGUMENT], not {line!r}") from None
        if fault not in MESSAGE_FAULTS | HAPPENINGS:
            raise ValueError(f"line {number}: {fault!r} is no message fault and no happening")
    return sorted(events, key=lambda event: event.at_s)


class Faults:
    """One charger's faults. Each kind has its own source of chance, so one does not disturb another."""

    def __init__(
        self,
        identity: str = "",
        *,
        rates: Mapping[str, float] | None = None,
        events: Iterable[Event] = (),
        seed: int | str = 1,
        on_fault: Callable[[str], None] = no_notice,
    ) -> None:
        self.struck: Counter[str] = Counter()
        self._rates = dict(rates or {})
        self._chances = {name: random.Random(f"{seed}:{identity}:{name}") for name in KINDS}
        self._quirks = {name for name in QUIRKS if self._chances[name].random() < self._rates.get(name, 0)}
        self._events = [event for event in events if fnmatchcase(identity, event.charger)]
        self._armed: list[tuple[str, str]] = []
        self._on_fault = on_fault
        for quirk in sorted(self._quirks):
            self._notice(quirk)

    def has(self, quirk: str) -> bool:
        return quirk in self._quirks

    def strikes(self, fault: str, action: str = "") -> bool:
        """Whether it strikes here: because a script armed it, or by chance."""
        if self._disarm(fault, action) or self._chance(fault):
            self._notice(fault)
            return True
        return False

    def choose(self, fault: str, among: list[float]) -> float:
        return self._chances[fault].choice(among)

    def due(self, elapsed_s: float) -> list[Event]:
        """The script's happenings of now; its message faults wait for the next message they fit."""
        due = [event for event in self._events if event.at_s <= elapsed_s]
        self._events = self._events[len(due) :]
        self._armed += [(event.fault, event.argument) for event in due if event.fault in MESSAGE_FAULTS]
        happenings = [event for event in due if event.fault in HAPPENINGS]
        for event in happenings:
            self._notice(event.fault)
        return happenings

    def off(self) -> None:
        """Nothing goes wrong any more; the charger keeps its habits."""
        self._rates.clear()
        self._events.clear()
        self._armed.clear()

    def _chance(self, fault: str) -> bool:
        share = self._rates.get(fault, 0)
        return share > 0 and self._chances[fault].random() < share

    def _disarm(self, fault: str, action: str) -> bool:
        for armed in ((fault, action), (fault, "")):
            if armed in self._armed:
                self._armed.remove(armed)
                return True
        return False

    def _notice(self, fault: str) -> None:
        self.struck[fault] += 1
        self._on_fault(fault)
