"""What goes wrong with a simulated charger: decided by rate or script, seen on the wire, true in the books."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from rich.console import Console

from gateway.management.commands.simulate import Command, simulate
from gateway.ocpp.simulated_books import Books, Entry
from gateway.ocpp.simulated_faults import HAPPENINGS, KINDS, QUIRKS, Event, Faults, rate, script
from gateway.ocpp.simulated_happenings import GARBAGE, happen
from gateway.ocpp.simulated_line import Payload
from gateway.ocpp.simulated_quirks import HABITS, with_habits
from gateway.ocpp.simulator import SimulatedCharger

from .scripted_central import NOW, ScriptedCentral, conversation
from .test_simulator import QUICK, NetworkCentral, central, dialling, options, port_of, start

__all__ = ["central"]

AT = "2026-01-02T03:04:05.678Z"


def armed(*events: str, **more: Any) -> Faults:
    """Faults of a script that is due at once."""
    faults = Faults("CP001", events=script("\n".join(f"0 * {event}" for event in events)), **more)
    faults.due(0)
    return faults


@asynccontextmanager
async def troubled(
    central: ScriptedCentral, *events: str, rates: dict[str, float] | None = None, **more: Any
) -> AsyncIterator[tuple[SimulatedCharger, Books]]:
    """A charger that has booted; only then do the events strike."""
    faults, books = Faults("CP001", rates=rates), Books()
    charger = SimulatedCharger(
        "CP001", **(QUICK | {"call_timeout_s": 0.1, "faults": faults, "books": books} | more)
    )
    async with conversation(charger, central):
        await central.next_status(2, "Available")
        central.skip()
        faults._events = list(script("\n".join(f"0 * {event}" for event in events)))
        faults.due(0)
        yield charger, books
    await charger.close()


# Rates and scripts


def test_same_seed_has_the_same_chance_and_one_fault_does_not_disturb_another() -> None:
    def drawn(**rates: float) -> list[bool]:
        faults = Faults("CP001", rates=rates, seed=7)
        return [faults.strikes("lost_answer") for _ in range(50) if faults.strikes("garbage") or True]

    alone = drawn(lost_answer=0.3)
    assert 5 < sum(alone) < 25
    assert drawn(lost_answer=0.3) == alone
    assert drawn(lost_answer=0.3, garbage=0.5) == alone


def test_quirks_are_habits_of_a_share_of_the_chargers() -> None:
    fleet = [Faults(f"CP{number}", rates={"kwh": 0.5}) for number in range(60)]
    assert 15 < sum(faults.has("kwh") for faults in fleet) < 45
    assert not any(faults.has("no_zone") for faults in fleet)
    for faults in fleet:
        had = faults.has("kwh")
        faults.off()
        assert faults.has("kwh") is had


def test_what_struck_is_counted_and_off_is_off() -> None:
    seen: list[str] = []
    faults = Faults(rates={"garbage": 1}, on_fault=seen.append)
    assert faults.strikes("garbage")
    faults.off()
    assert not faults.strikes("garbage")
    assert (seen, faults.struck["garbage"]) == (["garbage"], 1)


def test_script_strikes_when_and_where_it_says() -> None:
    events = script("# a comment\n20 CP0* offline 8\n\n10 CP001 lost_answer StartTransaction # here\n")
    assert events[0] == Event(10, "CP001", "lost_answer", "StartTransaction")
    faults, other = Faults("CP001", events=events), Faults("CP002", events=events)
    assert faults.due(9) == []
    assert not faults.strikes("lost_answer", "StartTransaction")
    assert faults.due(11) == []
    assert not faults.strikes("lost_answer", "StopTransaction")
    assert faults.strikes("lost_answer", "StartTransaction")
    assert not faults.strikes("lost_answer", "StartTransaction")
    assert other.due(30) == faults.due(30) == [Event(20, "CP0*", "offline", "8")]


@pytest.mark.parametrize(
    "line", ["5 CP001", "soon CP001 offline", "5 CP001 nonsense", "5 CP001 kwh", "5 a offline 1 2"]
)
def test_script_that_cannot_be_read_names_the_line(line: str) -> None:
    with pytest.raises(ValueError, match="line 2"):
        script(f"1 * offline\n{line}")


@pytest.mark.parametrize("text", ["nonsense=1", "garbage=2", "garbage=much"])
def test_rate_that_cannot_be(text: str) -> None:
    with pytest.raises(ValueError, match=r"rate|fault|float"):
        rate(text)
    with pytest.raises((CommandError, SystemExit)):
        options("--fault", text)


def test_help_names_every_fault() -> None:
    text = Command().create_parser("manage.py", "simulate").format_help()
    assert [kind for kind in KINDS if kind not in text] == []


# Messages


@pytest.mark.parametrize("fault", ["lost_message", "lost_answer"])
async def test_message_without_an_answer_is_sent_again_and_the_books_have_one(
    central: ScriptedCentral, fault: str
) -> None:
    async with troubled(central, f"{fault} StartTransaction") as (charger, books):
        await charger.plug_in(1)
        await charger.present_tag(1, "TAG1")
        await charger.until(lambda it: it.connectors[1].transaction_id)
        starts = [payload for action, payload in central.heard if action == "StartTransaction"]
        assert len(starts) == (2 if fault == "lost_answer" else 1)
        assert all(each == starts[0] for each in starts)
        (entry,) = books
        assert (entry.started, entry.meter_start_wh) == (starts[0]["timestamp"], starts[0]["meterStart"])
        assert entry.transaction_id == charger.connectors[1].transaction_id


@pytest.mark.parametrize(("faults", "ids"), [((), 2), (("same_id StartTransaction",), 1)])
async def test_repeated_message_has_a_new_id_or_the_same(
    central: ScriptedCentral, faults: tuple[str, ...], ids: int
) -> None:
    seen: list[str] = []
    take = central._take_call

    def watch(message_id: str, action: str, payload: Payload) -> None:
        if action == "StartTransaction":
            seen.append(message_id)
        take(message_id, action, payload)

    central._take_call = watch  # type: ignore[method-assign]
    async with troubled(central, "lost_answer StartTransaction", *faults) as (charger, _):
        await start(central, charger)
        assert (len(seen), len(set(seen))) == (2, ids)


@pytest.mark.parametrize("fault", ["duplicate", "duplicate_new_id"])
async def test_doubled_message_is_heard_twice(central: ScriptedCentral, fault: str) -> None:
    async with troubled(central, f"{fault} StartTransaction") as (charger, books):
        await start(central, charger)
        assert [action for action, _ in central.heard].count("StartTransaction") == 2
        assert len(books) == 1


async def test_start_that_was_given_up_ends_as_minus_one(central: ScriptedCentral) -> None:
    """Errata 3.18."""
    async with troubled(central, "discarded StartTransaction") as (charger, books):
        await charger.plug_in(1)
        await charger.present_tag(1, "TAG1")
        await charger.stop_locally(1)
        assert (await central.next("StopTransaction"))["transactionId"] == -1
        (entry,) = books
        assert entry.marks == ["start_lost"]
        assert (entry.reason, entry.transaction_id) == ("Local", None)


async def test_stop_that_was_given_up_is_never_heard_but_in_the_books(central: ScriptedCentral) -> None:
    async with troubled(central, "discarded StopTransaction") as (charger, books):
        await start(central, charger)
        await charger.stop_locally(1)
        await central.next_status(1, "Finishing")
        assert not central.unread("StopTransaction")
        (entry,) = books
        assert entry.marks == ["stop_lost"]
        assert entry.meter_stop_wh is not None


async def test_meter_values_come_after_the_stop(central: ScriptedCentral) -> None:
    async with troubled(central, "out_of_order MeterValues") as (charger, _):
        await start(central, charger)
        await charger.until(lambda it: it.uplink._held_back)
        await charger.stop_locally(1)
        stop = await central.next("StopTransaction")
        late = await central.next("MeterValues")
        assert late["transactionId"] == stop["transactionId"]
        assert late["meterValue"][0]["timestamp"] <= stop["timestamp"]


async def test_lost_and_slow_and_wrong_answers(central: ScriptedCentral) -> None:
    async with troubled(central, "call_error", "lost_request Reset") as (charger, _):
        change = {"key": "ConnectionTimeOut", "value": "33"}
        assert await central.ask("ChangeConfiguration", change) == "InternalError"
        assert charger.settings["ConnectionTimeOut"] == "33"  # done all the same
        with pytest.raises(TimeoutError):
            await central.ask("Reset", {"type": "Soft"})
        assert await central.ask("ClearCache") == {"status": "Accepted"}


async def test_slow_answers_come_in_the_end_and_hold_up_no_other(central: ScriptedCentral) -> None:
    async with troubled(central, "slow_reply") as (charger, _):
        charger.faults.choose = lambda fault, among: 0.2  # type: ignore[method-assign]
        slow = asyncio.create_task(central.ask("GetConfiguration", {"key": ["NumberOfConnectors"]}))
        await asyncio.sleep(0)
        assert await central.ask("ClearCache") == {"status": "Accepted"}
        assert not slow.done()
        assert (await slow)["configurationKey"]


async def test_garbage_goes_out_beside_the_message() -> None:
    """Straight onto the wire, since the scripted central refuses it."""
    sent: list[str] = []
    stuck = asyncio.Event()

    class Wire:
        async def send(self, text: str) -> None:
            sent.append(text)

        async def recv(self) -> str:
            await stuck.wait()
            raise EOFError

    charger = SimulatedCharger("CP001", faults=armed("garbage BootNotification"))
    talk = asyncio.create_task(charger.converse(Wire()))
    async with asyncio.timeout(2):
        while len(sent) < 2:
            await asyncio.sleep(0)
    assert sent[0] in GARBAGE
    assert json.loads(sent[1])[2] == "BootNotification"
    stuck.set()
    await talk


# Happenings


async def power_returns(charger: SimulatedCharger, central: ScriptedCentral) -> list[tuple[str, Payload]]:
    """What a new connection begins with."""
    central.skip()
    before = len(central.heard)
    async with conversation(charger, central):
        await charger.until(lambda it: it.uplink.ready and it.uplink.is_quiet)
        return central.heard[before:]


@pytest.mark.parametrize("outcome", ["reboot", "power_loss", "forgotten"])
async def test_power_fails_in_mid_transaction(central: ScriptedCentral, outcome: str) -> None:
    books = Books()
    charger = SimulatedCharger("CP001", books=books, **QUICK)
    async with conversation(charger, central):
        await charger.until(lambda it: it.registration == "Accepted")
        await start(central, charger)
        await happen(charger, outcome, 0)
        await charger.until(lambda it: not it.online)
    heard = await power_returns(charger, central)
    actions = [action for action, _ in heard]
    stops = [payload for action, payload in heard if action == "StopTransaction"]
    assert actions[0] == "BootNotification"
    (entry,) = books
    if outcome == "reboot":
        assert charger.connectors[1].transaction is not None
        assert (stops, entry.stopped) == ([], None)
    elif outcome == "power_loss":
        assert [(stop["reason"], stop["meterStop"]) for stop in stops] == [("PowerLoss", entry.meter_stop_wh)]
    else:
        assert (stops, entry.marks, charger.connectors[1].transaction) == ([], ["forgotten"], None)
        assert entry.meter_stop_wh is not None
    await charger.close()


async def test_register_jumps_and_the_books_know_what_flowed(central: ScriptedCentral) -> None:
    async with troubled(central) as (charger, books):
        charger.jump_register(5_000)  # nobody charges: it is nobody's trouble
        await start(central, charger)
        await happen(charger, "register_jump", 5_000_000)
        await charger.stop_locally(1)
        (entry,) = books
        assert (entry.marks, entry.jumped_wh) == (["register_jump"], 5_000_000)
        assert entry.meter_stop_wh is not None
        assert entry.flowed_wh == entry.meter_stop_wh - entry.meter_start_wh - 5_000_000
        assert 0 <= entry.flowed_wh < 5_000_000


async def test_register_does_not_fall_below_zero(central: ScriptedCentral) -> None:
    async with troubled(central) as (charger, _):
        await start(central, charger)
        charger.jump_register(-(10**12))
        assert charger.connectors[1].register_wh >= 0


async def test_clock_is_wrong_until_it_recovers(central: ScriptedCentral) -> None:
    async with troubled(central, speed=0) as (charger, books):
        await happen(charger, "clock_jump", -7_200)
        await start(central, charger)
        (entry,) = books
        assert (entry.began_at - datetime.fromisoformat(entry.started)).total_seconds() == pytest.approx(
            7_200, abs=5
        )
        charger.recover()
        assert entry.stopped is not None  # the cable is out
        assert entry.stopped > entry.started


@pytest.mark.parametrize("fault", ["half_open", "second_socket"])
async def test_socket_is_left_open_and_a_new_one_comes(fault: str) -> None:
    network, charger = NetworkCentral(), SimulatedCharger("CP001", **QUICK)
    async with await network.serve() as server, dialling(charger, port_of(server)):
        await charger.until(lambda it: it.registration == "Accepted")
        old = network.connection
        assert old is not None
        await happen(charger, fault, 0.05)
        await charger.until(lambda it: not it.online)
        await charger.until(lambda it: it.online)
        async with asyncio.timeout(2):
            while network.connection is old:
                await asyncio.sleep(0.01)
        assert old.close_code is None
        assert charger.registration == "Accepted"


async def test_what_the_script_says_happens_by_itself() -> None:
    network = NetworkCentral()
    charger = SimulatedCharger("CP001", faults=Faults("CP001", events=script("0 * offline 0.1")), **QUICK)
    async with await network.serve() as server, dialling(charger, port_of(server)):
        await charger.until(lambda it: it.registration == "Accepted")
        await charger.until(lambda it: not it.online)
        await charger.until(lambda it: it.online)
    assert charger.faults.struck["offline"] == 1


# Quirks


def meter_values(value: str = "12345") -> Payload:
    sample = {"value": value, "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
    return {"connectorId": 1, "transactionId": 5, "meterValue": [{"timestamp": AT, "sampledValue": [sample]}]}


def habit(name: str, action: str, payload: Payload) -> Any:
    return with_habits(Faults(rates={name: 1}), action, payload)


def sample_of(payload: Payload) -> Payload:
    sample: Payload = payload["meterValue"][0]["sampledValue"][0]
    return sample


def test_habits_of_meter_values() -> None:
    kwh = sample_of(habit("kwh", "MeterValues", meter_values()))
    assert (kwh["value"], kwh["unit"]) == ("12.345", "kWh")
    bare = sample_of(habit("kwh_without_unit", "MeterValues", meter_values()))
    assert (bare["value"], "unit" in bare) == ("12.345", False)
    assert isinstance(habit("one_meter_value", "MeterValues", meter_values())["meterValue"], dict)
    odd = habit("odd_measurands", "MeterValues", meter_values())["meterValue"]
    assert [len(value["sampledValue"]) for value in odd] == [3, 0]
    text = habit("numbers_as_text", "MeterValues", meter_values())
    assert (text["connectorId"], sample_of(text)["value"]) == ("1", 12345.0)


def test_habits_of_tags_times_and_texts() -> None:
    begin = {"connectorId": 1, "idTag": "TAG1", "meterStart": 5, "timestamp": AT}
    assert habit("padded_tags", "StartTransaction", begin)["idTag"] == "TAG1 \u0000\u0003"
    assert habit("other_case", "StartTransaction", begin)["idTag"] == "tag1"
    assert habit("no_zone", "StartTransaction", begin)["timestamp"] == "2026-01-02T03:04:05.678"
    local = habit("local_zone", "StartTransaction", begin)["timestamp"]
    assert local == "2026-01-02T08:34:05.678000+05:30"
    assert datetime.fromisoformat(local) == datetime.fromisoformat(AT)
    assert len(habit("long_texts", "StatusNotification", {})["info"]) > 50
    assert habit("null_payload", "Heartbeat", {}) is None
    assert begin["idTag"] == "TAG1"  # what the charger itself knows stays as it is


def test_all_habits_together_and_every_quirk_has_its_place() -> None:
    every = Faults(rates=dict.fromkeys(QUIRKS, 1.0))
    payload = with_habits(every, "MeterValues", meter_values())
    assert payload is not None
    assert payload["meterValue"]["timestamp"].endswith("+05:30")
    elsewhere = {"minus_one", "null_payload", "status_before_boot", "boots_always"}
    assert HABITS.keys() | elsewhere == QUIRKS.keys()
    assert not HAPPENINGS.keys() & QUIRKS.keys()


async def test_charger_that_forgets_numbers_says_minus_one_and_its_tag(central: ScriptedCentral) -> None:
    charger = SimulatedCharger("CP001", faults=Faults(rates={"minus_one": 1}), **QUICK)
    async with conversation(charger, central):
        await charger.until(lambda it: it.registration == "Accepted")
    await charger.plug_in(1)
    await charger.present_tag(1, "TAG1")
    async with conversation(charger, central):
        await central.next("StartTransaction")
        await charger.stop_locally(1)
        stop = await central.next("StopTransaction")
        assert (stop["transactionId"], stop["idTag"]) == (-1, "TAG1")
    await charger.close()


async def test_status_comes_before_boot(central: ScriptedCentral) -> None:
    charger = SimulatedCharger("CP001", faults=Faults(rates={"status_before_boot": 1}), **QUICK)
    async with conversation(charger, central):
        await charger.until(lambda it: it.registration == "Accepted")
    assert central.heard[0][0] == "StatusNotification"
    await charger.close()


# Books


def test_books_are_written_as_it_happens(tmp_path: Path) -> None:
    path = tmp_path / "books"
    books = Books(path)
    entry = books.begin(charger="CP001", connector=1, id_tag="A", meter_wh=10, at=NOW)

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in path.read_text().splitlines()]

    assert [(line["event"], line["id_tag"]) for line in lines()] == [("begin", "A")]
    books.named(entry, 4)
    books.jumped(entry, 5)
    books.end(entry, meter_wh=30, at=NOW, reason="Local")
    assert [line["event"] for line in lines()] == ["begin", "named", "register_jump", "end"]
    assert lines()[-1]["meter_stop_wh"] == 30
    assert entry.flowed_wh == 15
    books.close()
    again = Books(path)
    again.begin(charger="CP002", connector=1, id_tag="B", meter_wh=1, at=NOW)
    again.close()
    assert len(lines()) == 5
    assert all(isinstance(each, Entry) for each in books)


async def test_command_takes_faults_a_script_and_books(tmp_path: Path) -> None:
    network = NetworkCentral()
    plan, books = tmp_path / "script", tmp_path / "books"
    plan.write_text("0 CP0* lost_answer StartTransaction\n")
    async with await network.serve() as server:
        chosen = options(
            "--url", f"ws://127.0.0.1:{port_of(server)}", "--tag", "TAG1", "--identity", "CP007", "--quiet",
            "--fault", "duplicate=1", "--script", str(plan), "--books", str(books),
        )  # fmt: skip
        running = asyncio.create_task(simulate(Console(quiet=True), chosen))
        await network.script.next("StartTransaction")
        await network.script.next("StartTransaction")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert json.loads(books.read_text().splitlines()[0])["charger"] == "CP007"
