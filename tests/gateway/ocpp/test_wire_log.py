"""The buffer of the wire log: no message waits for it, nothing grows without end, nothing is lost on a clean stop."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from django.db import DataError, OperationalError

from gateway.ocpp import wire_log
from gateway.ocpp.wire_log import ChargerRecorder, WireLog, recorder_of


class Store:
    """What was written; `fails` may raise instead, and writes wait for `gate`."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.broken: list[Any] = []
        self.gate = threading.Event()
        self.gate.set()
        self.fails: Callable[[list[Any]], Exception | None] = lambda items: None
        self.wrote = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def write(self, items: list[Any]) -> None:
        assert self.gate.wait(5)
        if error := self.fails(items):
            raise error
        self.batches.append(list(items))
        self.loop.call_soon_threadsafe(self.wrote.set)

    def write_broken(self, items: list[Any]) -> None:
        self.broken += items
        self.loop.call_soon_threadsafe(self.wrote.set)

    @property
    def rows(self) -> list[Any]:
        return [row[2] for batch in self.batches for row in batch]


@pytest.fixture
async def store() -> Store:
    return Store()


@pytest.fixture
async def log(store: Store, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WireLog]:
    monkeypatch.setattr("gateway.db._is_lost", lambda: False)  # there is no database behind it
    monkeypatch.setattr("gateway.db._ATTEMPTS", 1)
    log = WireLog(store.write, store.write_broken, interval_s=0.01, away_s=0.01)
    yield log
    store.gate.set()
    store.fails = lambda items: None
    await log.stop()


def say(
    log: WireLog, message_id: Any, *, verdict: str = "ok", action: str = "Heartbeat", text: str = "x"
) -> None:
    ChargerRecorder(1, log).exchange("in", message_id, action, text, "y", verdict, 1.0, 0.1)


async def written(store: Store) -> None:
    await asyncio.wait_for(store.wrote.wait(), 5)
    store.wrote.clear()


async def test_what_was_said_is_written_together_and_in_order(log: WireLog, store: Store) -> None:
    for number in range(5):
        say(log, number)
    await written(store)
    assert store.rows == [0, 1, 2, 3, 4]
    assert len(store.batches) == 1
    assert store.batches[0][0] == (1, "in", 0, "Heartbeat", "x", "y", "ok", 1.0, 0.1)


async def test_a_clean_stop_writes_what_waits(store: Store) -> None:
    log = WireLog(store.write, store.write_broken, interval_s=3600)
    say(log, 1)
    log.add_breach((1, "schema", ""), "", "")
    await asyncio.sleep(0)
    await asyncio.wait_for(log.stop(), 5)
    assert store.rows == [1]
    assert [each.rule for each in store.broken] == ["schema"]


async def test_while_the_database_is_slow_nothing_waits_and_the_oldest_are_left_out_and_counted(
    log: WireLog, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(wire_log, "MAX_WAITING_CHARS", 1000)
    store.gate.clear()
    for number in range(10):  # of 200 and 101 characters
        say(log, number, text="x" * 100)
    assert [row[2] for row in log.waiting] == [7, 8, 9]
    assert log.left_out == 7
    store.gate.set()
    with caplog.at_level(logging.WARNING, "gateway.ocpp.wire_log"):
        await written(store)
    assert store.rows == [7, 8, 9]
    assert "7 messages are left out" in caplog.text
    assert log.waiting_chars == 0


async def test_when_the_database_is_back_what_waited_is_written_once(log: WireLog, store: Store) -> None:
    attempts: list[int] = []

    def away(items: list[Any]) -> Exception | None:
        attempts.append(len(items))
        return OperationalError("away") if len(attempts) < 3 else None

    store.fails = away
    say(log, 1)
    say(log, 2)
    await written(store)
    assert store.rows == [1, 2]
    assert attempts == [2, 2, 2]


async def test_one_that_cannot_be_written_spoils_no_other(log: WireLog, store: Store) -> None:
    store.fails = lambda items: DataError("bad") if any(row[2] == "bad" for row in items) else None
    for message_id in (1, "bad", 2):
        say(log, message_id)
    while store.rows != [1, 2]:
        await written(store)


async def test_a_broken_rule_is_written_when_it_is_new_and_then_counted(store: Store) -> None:
    log = WireLog(store.write, store.write_broken, interval_s=0.01)
    recorder = ChargerRecorder(1, log)
    for number in range(3):
        recorder.breach("timezone_missing", "MeterValues", "no zone", f"frame {number}")
    recorder.breach("timezone_missing", "an action nobody knows", "no zone", "frame")
    await written(store)
    assert [(each.action, each.times, each.frame) for each in store.broken] == [
        ("MeterValues", 3, "frame 0"),
        ("", 1, "frame"),
    ]
    recorder.breach("timezone_missing", "MeterValues", "no zone", "later")
    await log.stop()
    assert [(each.frame, each.times) for each in store.broken[2:]] == [("later", 1)]


async def test_meter_values_can_be_left_out_unless_they_fail(
    log: WireLog, store: Store, settings: Any
) -> None:
    settings.WIRE_LOG = "without_meter_values"
    recorder = ChargerRecorder(1, log)
    for action in ("MeterValues", "Heartbeat", "StatusNotification"):
        for verdict in ("ok", "InternalError"):
            recorder.exchange("in", f"{action} {verdict}", action, "", "", verdict, 1.0, None)
    await written(store)
    assert store.rows == [
        "MeterValues InternalError",
        "Heartbeat InternalError",
        "StatusNotification ok",
        "StatusNotification InternalError",
    ]


async def test_the_log_can_be_off_but_broken_rules_are_noted(
    log: WireLog, store: Store, settings: Any
) -> None:
    settings.WIRE_LOG = "off"
    recorder = ChargerRecorder(1, log)
    recorder.exchange("in", "1", "Heartbeat", "", "", "ok", 1.0, None)
    assert not log.waiting
    recorder.breach("schema", "Heartbeat", "", "")
    await written(store)
    assert len(store.broken) == 1


@pytest.mark.parametrize(("setting", "waiting"), [("off", 0), ("all", 1)])
async def test_the_setting_chooses(setting: str, waiting: int, settings: Any) -> None:
    settings.WIRE_LOG = setting
    recorder = recorder_of(1)
    recorder.exchange("in", "1", "Heartbeat", "", "", "ok", 1.0, None)
    assert len(recorder.log.waiting) == waiting
    recorder.log.waiting.clear()
    await wire_log.stop_wire_log()
