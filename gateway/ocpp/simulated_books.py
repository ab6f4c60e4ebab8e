"""The books of simulated chargers: every transaction that truly happened, by the charger's own knowledge.

Written as it happens, one line of JSON for each fact, so that whatever is killed they stay true.
"""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson


@dataclass(eq=False)
class Entry:
    """One transaction. `started` and `stopped` are the charger's own clock, `began_at` and `ended_at` the true one."""

    number: int
    charger: str
    connector: int
    id_tag: str
    meter_start_wh: int
    started: str
    began_at: datetime
    meter_stop_wh: int | None = None
    stopped: str | None = None
    ended_at: datetime | None = None
    reason: str | None = None
    transaction_id: int | None = None
    acknowledged: int = 0
    """How many of its periodic meter values were answered: those must not be lost."""
    jumped_wh: int = 0
    """By how much the register jumped meanwhile, without energy."""
    marks: list[str] = field(default_factory=list)
    """What the central system cannot know all of: start_lost, stop_lost, forgotten, register_jump, clock_jump …"""

    @property
    def flowed_wh(self) -> int | None:
        """The energy that truly flowed; None while it flows."""
        if self.meter_stop_wh is None:
            return None
        return self.meter_stop_wh - self.meter_start_wh - self.jumped_wh


class Books:
    """Entries in the order in which they began; with a path also in a file."""

    def __init__(self, path: Path | None = None) -> None:
        self._entries: list[Entry] = []
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def begin(self, *, charger: str, connector: int, id_tag: str, meter_wh: int, at: str) -> Entry:
        entry = Entry(
            len(self._entries) + 1, charger, connector, id_tag, meter_wh, at, began_at=datetime.now(UTC)
        )
        self._entries.append(entry)
        self._write("begin", entry)
        return entry

    def end(self, entry: Entry, *, meter_wh: int, at: str, reason: str) -> None:
        entry.meter_stop_wh, entry.stopped, entry.reason = meter_wh, at, reason
        entry.ended_at = datetime.now(UTC)
        self._write("end", entry)

    def named(self, entry: Entry, transaction_id: int) -> None:
        """The central system gave it a number."""
        entry.transaction_id = transaction_id
        self._write("named", entry)

    def acknowledge(self, entry: Entry) -> None:
        """Meter values of it were answered. Not worth a line of its own: the next one tells how many."""
        entry.acknowledged += 1

    def jumped(self, entry: Entry, by_wh: int) -> None:
        entry.jumped_wh += by_wh
        self.mark(entry, "register_jump")

    def mark(self, entry: Entry, mark: str) -> None:
        if mark not in entry.marks:
            entry.marks.append(mark)
        self._write(mark, entry)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, event: str, entry: Entry) -> None:
        if self._file is not None:
            facts: dict[str, Any] = {"event": event, **asdict(entry)}
            os.write(self._file, orjson.dumps(facts) + b"\n")  # one write: whole lines, whatever happens
