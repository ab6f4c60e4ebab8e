"""One connection's frames: what is answered, what is ignored, and whose turn it is."""

import asyncio
import json
import uuid
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ocpp import rpc
from gateway.ocpp.rpc import MAX_ID, REMEMBERED, CallError, CallTimeout, ConnectionLost, Recorder, Rpc


class Line:
    """An Rpc, with what it sent and which payloads reached its handlers."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.heard: list[tuple[str, Any]] = []
        self.late: list[tuple[str, Any]] = []
        self.rpc = Rpc(
            version="ocpp1.6",
            send=self._send,
            handlers={
                name: self._handler(name)
                for name in ("Heartbeat", "StatusNotification", "BootNotification", "StopTransaction")
            },
            tolerant=frozenset({"StopTransaction"}),
            on_late=lambda message_id, answer: self.late.append((message_id, answer)),
        )

    async def _send(self, text: str) -> None:
        self.sent.append(json.loads(text))

    def _handler(self, name: str) -> Any:
        async def handle(payload: dict[str, Any]) -> dict[str, Any]:
            self.heard.append((name, payload))
            if payload.get("vendorId") == "fail":
                raise RuntimeError("a mistake of ours")
            return {"heard": len(self.heard)}

        return handle

    async def receive(self, frame: Any) -> list[Any]:
        """Hand it a frame; returns what it sent on that."""
        before = len(self.sent)
        await self.rpc.receive(frame if isinstance(frame, str) else json.dumps(frame))
        return self.sent[before:]

    async def call(self, message_id: str = "ours", timeout_s: float = 5, action: str = "Reset") -> Any:
        async with self.rpc.turn():
            return await self.rpc.call(message_id, action, {}, timeout_s=timeout_s)


@pytest.fixture
def line() -> Line:
    return Line()


STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}

# --- CALLs of the charger ---


async def test_a_call_is_answered_under_its_id(line: Line) -> None:
    assert await line.receive([2, "7", "Heartbeat", {}]) == [[3, "7", {"heard": 1}]]


@pytest.mark.parametrize("frame", [[2, "7", "Heartbeat", None], [2, "7", "Heartbeat"]])
async def test_no_payload_is_an_empty_one(line: Line, frame: Any) -> None:
    """E15"""
    assert await line.receive(frame) == [[3, "7", {"heard": 1}]]
    assert line.heard == [("Heartbeat", {})]


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        ("", [4, "-1", "FormationViolation"]),
        ("not JSON", [4, "-1", "FormationViolation"]),
        ('[2,"7","Heartbeat",{', [4, "7", "FormationViolation"]),
        (' [ 2 , "7" , "Heartbeat",', [4, "7", "FormationViolation"]),
        ('[2,"7","Heartbeat",{"a":' + "9" * 5000 + "}]", [4, "7", "FormationViolation"]),
        ('[2,"7","Heartbeat",{"a":NaN}]', [4, "7", "FormationViolation"]),
        ('[2,"7","Heartbeat",{"a":"\\ud800"}]', [4, "7", "FormationViolation"]),
        ("[" * 50_000, [4, "-1", "FormationViolation"]),
        ('[2,"7","Heartbeat",' + "[" * 50_000 + "]" * 50_000 + "]", [4, "7", "FormationViolation"]),
        ("{}", [4, "-1", "FormationViolation"]),
        ("null", [4, "-1", "FormationViolation"]),
        ("[]", [4, "-1", "FormationViolation"]),
        ("[2]", [4, "-1", "FormationViolation"]),
        ('[2,"7"]', [4, "7", "FormationViolation"]),
        ('[2,"7",3]', [4, "7", "FormationViolation"]),
        ('[2,"7",["Heartbeat"],{}]', [4, "7", "FormationViolation"]),
        ('[2,"7","Heartbeat",[]]', [4, "7", "FormationViolation"]),
        ('[2,"7","Heartbeat","text"]', [4, "7", "FormationViolation"]),
        ('[2,"7","NoSuchThing",{}]', [4, "7", "NotImplemented"]),
        ('[2,"7","heartbeat",{}]', [4, "7", "NotImplemented"]),
        ('[2,"7","Reset",{"type":"Hard"}]', [4, "7", "NotSupported"]),
        ('[2,null,"Heartbeat",{}]', [4, "-1", "FormationViolation"]),
        ('[2,{},"Heartbeat",{}]', [4, "-1", "FormationViolation"]),
        ('[2,true,"Heartbeat",{}]', [4, "-1", "FormationViolation"]),
        ('[2,1.5,"Heartbeat",{}]', [4, "-1", "FormationViolation"]),
        ('[2,"' + "7" * (MAX_ID + 1) + '","Heartbeat",{}]', [4, "-1", "FormationViolation"]),
        ('[2,"7","StatusNotification",{}]', [4, "7", "OccurenceConstraintViolation"]),
        (
            '[2,"7","StatusNotification",{"connectorId":"1","errorCode":"NoError","status":"Available"}]',
            [4, "7", "TypeConstraintViolation"],
        ),
        (
            '[2,"7","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Asleep"}]',
            [4, "7", "PropertyConstraintViolation"],
        ),
    ],
)
async def test_what_cannot_be_handled_is_answered_with_its_error_and_the_line_goes_on(
    line: Line, frame: str, answer: list[Any]
) -> None:
    """E15, E16"""
    (sent,) = await line.receive(frame)
    assert sent[:3] == answer
    assert isinstance(sent[3], str) and len(sent[3]) <= 255 and sent[4] == {}
    assert line.heard == []
    assert await line.receive([2, "8", "Heartbeat", {}]) == [[3, "8", {"heard": 1}]]


@pytest.mark.parametrize("frame", [[0], [1, "7"], [5, "7", {}], ["2", "7"], [None], [[2]], [{}], [3], [4]])
async def test_an_unknown_message_type_is_ignored(line: Line, frame: Any) -> None:
    """E15: OCPP-J 1.6 §4.1.3"""
    assert await line.receive(frame) == []


async def test_an_id_that_is_a_number_is_echoed_as_one(line: Line) -> None:
    assert await line.receive([2, 7, "Heartbeat", {}]) == [[3, 7, {"heard": 1}]]


async def test_a_charger_is_not_locked_out_for_a_long_name_one_field_too_many_or_a_zoneless_time(
    line: Line,
) -> None:
    boot = {"chargePointVendor": "V" * 100, "chargePointModel": "M", "colour": "green"}
    assert (await line.receive([2, "7", "BootNotification", boot]))[0][0] == 3
    status = {**STATUS, "timestamp": "2026-01-01T10:00:00", "vendorId": "V" * 300}
    assert (await line.receive([2, "8", "StatusNotification", status]))[0][0] == 3
    # What else is wrong is still told, whichever comes first.
    (sent,) = await line.receive([2, "9", "BootNotification", {**boot, "chargePointModel": 5}])
    assert sent[2] == "TypeConstraintViolation"


async def test_a_fact_about_money_reaches_its_handler_whatever_it_looks_like(line: Line) -> None:
    """E18"""
    payload = {"transactionId": "7", "meterStop": None, "colour": "green"}
    assert (await line.receive([2, "7", "StopTransaction", payload]))[0][0] == 3
    assert line.heard == [("StopTransaction", payload)]


async def test_a_fault_of_ours_is_an_internal_error_and_the_line_goes_on(line: Line) -> None:
    (sent,) = await line.receive([2, "7", "StatusNotification", {**STATUS, "vendorId": "fail"}])
    assert sent[:3] == [4, "7", "InternalError"]
    assert "mistake" not in sent[3]
    # It was not done, so saying it again is not a repeat.
    (sent,) = await line.receive([2, "7", "StatusNotification", {**STATUS, "vendorId": "fail"}])
    assert sent[2] == "InternalError"
    assert len(line.heard) == 2


async def test_nul_bytes_that_firmware_pads_with_are_dropped(line: Line) -> None:
    text = r'[2,"7","BootNotification",{"chargePointVendor":"V\u0000\u0000","chargePointModel":"a\\u0000 \\\u0000b"}]'
    await line.receive(text)
    assert line.heard == [
        ("BootNotification", {"chargePointVendor": "V", "chargePointModel": "a\\u0000 \\b"})
    ]


# --- the same id again ---


async def test_a_repeated_call_gets_the_same_answer_and_is_not_done_again(line: Line) -> None:
    """E14"""
    first = await line.receive([2, "7", "StatusNotification", STATUS])
    await line.receive([2, "8", "Heartbeat", {}])
    assert await line.receive([2, "7", "StatusNotification", STATUS]) == first
    assert len(line.heard) == 2


async def test_an_id_used_for_something_else_is_an_error_and_not_the_others_answer(line: Line) -> None:
    """E14"""
    await line.receive([2, "7", "Heartbeat", {}])
    (sent,) = await line.receive([2, "7", "StatusNotification", STATUS])
    assert sent[:3] == [4, "7", "FormationViolation"]
    (sent,) = await line.receive([2, "7", "StatusNotification", {**STATUS, "connectorId": 2}])
    assert sent[:3] == [4, "7", "FormationViolation"]


async def test_a_fact_about_money_under_a_used_id_is_not_lost(line: Line) -> None:
    """E14, E18: refused, it would be told under the same id until it is thrown away."""
    for meter in (1, 2):
        (sent,) = await line.receive([2, "7", "StopTransaction", {"transactionId": 1, "meterStop": meter}])
        assert sent[0] == 3
    assert [payload["meterStop"] for _, payload in line.heard] == [1, 2]


async def test_only_so_many_answers_are_kept(line: Line) -> None:
    for number in range(REMEMBERED + 1):
        await line.receive([2, str(number), "Heartbeat", {}])
    assert await line.receive([2, "1", "Heartbeat", {}]) == [[3, "1", {"heard": 2}]]
    assert await line.receive([2, "0", "Heartbeat", {}]) == [[3, "0", {"heard": REMEMBERED + 2}]]


async def test_another_connection_knows_nothing_of_the_first_ones_ids(line: Line) -> None:
    """E14: the scope of an id is its connection."""
    other = Line()
    await line.receive([2, "7", "Heartbeat", {}])
    await other.receive([2, "7", "StatusNotification", STATUS])
    assert other.heard == [("StatusNotification", STATUS)]


# --- our CALLs ---


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_our_call_returns_the_payload_of_its_answer(line: Line) -> None:
    asking = asyncio.create_task(line.call("a"))
    await settled()
    assert line.sent == [[2, "a", "Reset", {}]]
    await line.receive([3, "a", {"status": "Accepted"}])
    assert await asking == {"status": "Accepted"}


@pytest.mark.parametrize("frame", [[3, "a", None], [3, "a"]])
async def test_an_answer_without_payload_is_an_empty_one(line: Line, frame: Any) -> None:
    """OCPP-J 1.6 §4.2.2"""
    asking = asyncio.create_task(line.call("a"))
    await settled()
    await line.receive(frame)
    assert await asking == {}


@pytest.mark.parametrize(
    ("frame", "code", "description"),
    [
        ([4, "a", "NotSupported", "no reset here", {"x": 1}], "NotSupported", "no reset here"),
        ([4, "a", "NotSupported"], "NotSupported", ""),
        ([4, "a"], "GenericError", ""),
        ([4, "a", None, None, None], "GenericError", ""),
        ([4, "a", ["odd"], {"odd": 1}, 5], "['odd']", "{'odd': 1}"),
    ],
)
async def test_a_callerror_is_raised(line: Line, frame: Any, code: str, description: str) -> None:
    asking = asyncio.create_task(line.call("a"))
    await settled()
    await line.receive(frame)
    with pytest.raises(CallError) as caught:
        await asking
    assert (caught.value.code, caught.value.description) == (code, description)


async def test_one_call_at_a_time_and_the_next_after_the_answer(line: Line) -> None:
    """E11"""
    first, second = asyncio.create_task(line.call("a")), asyncio.create_task(line.call("b"))
    await settled()
    assert [frame[1] for frame in line.sent] == ["a"]
    await line.receive([4, "a", "GenericError", "", {}])
    with pytest.raises(CallError):
        await first
    await settled()
    assert [frame[1] for frame in line.sent] == ["a", "b"]
    await line.receive([3, "b", {}])
    assert await second == {}


async def test_the_next_call_goes_out_after_a_time_out(line: Line) -> None:
    """E11"""
    first, second = asyncio.create_task(line.call("a", 0.02)), asyncio.create_task(line.call("b"))
    with pytest.raises(CallTimeout):
        await first
    await settled()
    assert [frame[1] for frame in line.sent] == ["a", "b"]
    await line.receive([3, "b", {"status": "Accepted"}])
    assert await second == {"status": "Accepted"}


async def test_lines_do_not_wait_for_each_other(line: Line) -> None:
    """E11: the rule is per connection (errata-J 3.4)"""
    other = Line()
    first, second = asyncio.create_task(line.call("a")), asyncio.create_task(other.call("b"))
    await settled()
    assert (len(line.sent), len(other.sent)) == (1, 1)
    await line.receive([3, "a", {}])
    await other.receive([3, "b", {}])
    await asyncio.gather(first, second)


async def test_the_chargers_call_is_answered_while_ours_is_open(line: Line) -> None:
    """E12"""
    asking = asyncio.create_task(line.call("a"))
    await settled()
    assert await line.receive([2, "7", "Heartbeat", {}]) == [[3, "7", {"heard": 1}]]
    assert not asking.done()
    await line.receive([3, "a", {}])
    await asking


async def test_a_late_answer_is_the_old_calls_and_never_the_next_ones(line: Line) -> None:
    """E13"""
    with pytest.raises(CallTimeout):
        await line.call("a", 0.01)
    asking = asyncio.create_task(line.call("b"))
    await settled()
    await line.receive([3, "a", {"status": "Accepted"}])
    assert not asking.done()
    assert line.late == [("a", {"status": "Accepted"})]
    await line.receive([3, "a", {"status": "Rejected"}])
    assert len(line.late) == 1  # it is told once
    await line.receive([3, "b", {"status": "Rejected"}])
    assert await asking == {"status": "Rejected"}


@pytest.mark.parametrize("message_id", ["never", 5, None, {}, ["a"]])
async def test_an_answer_to_nothing_is_ignored(line: Line, message_id: Any) -> None:
    asking = asyncio.create_task(line.call("a"))
    await settled()
    await line.receive([3, message_id, {"status": "Accepted"}])
    await line.receive([4, message_id, "GenericError", "", {}])
    assert not asking.done()
    await line.receive([3, "a", {}])
    await asking
    assert line.late == []


async def test_an_answer_told_twice_is_heard_once(line: Line) -> None:
    asking = asyncio.create_task(line.call("a"))
    await settled()
    await line.receive([3, "a", {"status": "Accepted"}])
    await line.receive([3, "a", {"status": "Rejected"}])
    assert await asking == {"status": "Accepted"}


async def test_whoever_waits_hears_of_the_end_of_the_connection(line: Line) -> None:
    asking, waiting = asyncio.create_task(line.call("a")), asyncio.create_task(line.call("b"))
    await settled()
    line.rpc.close()
    for task in (asking, waiting):
        with pytest.raises(ConnectionLost):
            await task
    assert [frame[1] for frame in line.sent] == ["a"]


async def test_a_peer_that_does_not_read_does_not_stretch_the_time_out(line: Line) -> None:
    async def stuck(text: str) -> None:
        await asyncio.sleep(60)

    line.rpc._send = stuck
    with pytest.raises(CallTimeout):
        await line.call("a", 0.02)


async def test_a_peer_that_is_gone_is_a_lost_connection(line: Line) -> None:
    async def gone(text: str) -> None:
        raise ConnectionResetError

    line.rpc._send = gone
    with pytest.raises(ConnectionLost):
        await line.call("a")


async def test_a_call_given_up_leaves_the_turn_to_the_next(line: Line) -> None:
    first = asyncio.create_task(line.call("a"))
    await settled()
    first.cancel()
    second = asyncio.create_task(line.call(str(uuid.uuid4())))
    await settled()
    assert len(line.sent) == 2
    await line.receive([3, line.sent[1][1], {}])
    assert await second == {}


# --- any frame at all ---

WORDS = st.sampled_from(
    ["Heartbeat", "StatusNotification", "StopTransaction", "BootNotification", "Reset", "x"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
IDS = st.text(max_size=50) | st.integers(-(2**40), 2**40)
CALLS = st.lists(JSON, max_size=3).flatmap(
    lambda more: st.builds(lambda i, word, payload: [2, i, word, payload, *more], IDS, WORDS, JSON)
)


def run(conversation: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(conversation)


def readable_id(text: str) -> Any:
    """The id under which a frame wants its answer, or None."""
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(frame, list) or len(frame) < 2 or frame[0] != 2 or isinstance(frame[0], bool | float):
        return None
    message_id = frame[1]
    if isinstance(message_id, bool) or not isinstance(message_id, str | int):
        return None
    if isinstance(message_id, str):
        message_id = message_id.replace("\0", "")  # padding of some firmware, which is read as not there
    return message_id if len(str(message_id)) <= MAX_ID else None


@given(st.lists(st.one_of(CALLS.map(json.dumps), JSON.map(json.dumps), st.text(max_size=60)), max_size=5))
@settings(max_examples=100, deadline=None)
def test_whatever_comes_the_connection_goes_on_and_each_call_gets_one_answer(texts: list[str]) -> None:
    """E15: exactly one answer under every readable id, at most one to anything else, and no exception."""

    async def told() -> None:
        line = Line()
        for text in texts:
            answers = await line.receive(text)
            message_id = readable_id(text)
            if message_id is not None:
                assert [answer[1] for answer in answers] == [message_id], text
                assert answers[0][0] in (3, 4)
            else:
                assert len(answers) <= 1, text
        assert (await line.receive([2, "still there", "Heartbeat", {}]))[0][:2] in (
            [3, "still there"],
            [4, "still there"],
        )

    run(told())


@given(st.binary(max_size=60))
@settings(deadline=None)
def test_any_bytes_are_survived(data: bytes) -> None:
    async def told() -> None:
        assert len(await Line().receive(data.decode("utf-8", errors="replace"))) <= 1

    run(told())


# --- what is recorded ---


class Heard(Recorder):
    def __init__(self) -> None:
        self.exchanges: list[tuple[Any, ...]] = []
        self.breaches: list[tuple[str, str]] = []

    def exchange(self, *exchange: Any) -> None:
        direction, message_id, action, request, answer, verdict, _, latency_s = exchange
        self.exchanges.append(
            (direction, message_id, action, request, answer, verdict, latency_s is not None)
        )

    def breach(self, rule: str, action: str, detail: str, frame: str) -> None:
        assert detail
        assert frame
        self.breaches.append((rule, action))


@pytest.fixture
def heard(line: Line) -> Heard:
    line.rpc.recorder = heard = Heard()
    return heard


@pytest.mark.parametrize(
    ("frame", "breach"),
    [
        ("[", ("unreadable", "")),
        ("{}", ("unreadable", "")),
        ([2, "7", "Heartbeat", None], ("null_payload", "Heartbeat")),
        ([2, "7", "Heartbeat"], ("null_payload", "Heartbeat")),
        ([2, 7, "Heartbeat", {}], ("message_id_type", "")),
        ([2, "7" * 37, "Heartbeat", {}], ("message_id_too_long", "")),
        (
            [2, "7", "StatusNotification", {**STATUS, "connectorId": "1"}],
            ("wrong_type", "StatusNotification"),
        ),
        ([2, "7", "StatusNotification", {"connectorId": 1}], ("schema", "StatusNotification")),
        ([2, "7", "StatusNotification", {**STATUS, "status": "Idle"}], ("schema", "StatusNotification")),
        ([2, "7", "StatusNotification", {**STATUS, "colour": 1}], ("forgiven", "StatusNotification")),
        ([2, "7", "StopTransaction", {"meterStop": "1"}], ("forgiven", "StopTransaction")),
        ([3, "7", {}], ("unasked", "")),
    ],
)
async def test_a_broken_rule_is_told_with_its_frame(
    line: Line, heard: Heard, frame: Any, breach: Any
) -> None:
    await line.receive(frame)
    assert heard.breaches == [breach]


@pytest.mark.parametrize(
    "frame",
    [
        [2, "7", "Heartbeat", {}],
        [2, "7" * 36, "Heartbeat", {}],
        [2, "7", "StatusNotification", STATUS],
        [2, "7", "Reset", {}],
    ],
)
async def test_what_is_right_or_only_not_for_us_breaks_no_rule(line: Line, heard: Heard, frame: Any) -> None:
    await line.receive(frame)
    assert heard.breaches == []


async def test_a_message_id_used_twice_is_told_unless_it_is_the_same_call(line: Line, heard: Heard) -> None:
    for frame in (
        [2, "7", "Heartbeat", {}],
        [2, "7", "Heartbeat", {}],
        [2, "7", "StatusNotification", STATUS],
    ):
        await line.receive(frame)
    assert heard.breaches == [("message_id_reused", "StatusNotification")]
    assert [(exchange[2], exchange[5]) for exchange in heard.exchanges] == [
        ("Heartbeat", "ok"),
        ("Heartbeat", "repeat"),
        ("StatusNotification", "FormationViolation"),
    ]


async def test_a_call_of_the_chargers_is_recorded_with_both_texts(line: Line, heard: Heard) -> None:
    await line.receive('[2, "7", "Heartbeat", {}]')
    answer = '[3,"7",{"heard":1}]'
    assert heard.exchanges == [("in", "7", "Heartbeat", '[2, "7", "Heartbeat", {}]', answer, "ok", True)]


async def test_a_call_of_ours_is_recorded_once_it_has_ended(line: Line, heard: Heard) -> None:
    asked = asyncio.create_task(line.call("a"))
    await asyncio.sleep(0)
    await line.receive('[3,"a",{"status":"Accepted"}]')
    await asked
    with pytest.raises(CallTimeout):
        await line.call("b", timeout_s=0.01)
    await line.receive('[4,"b","InternalError","too late",{}]')
    lost = asyncio.create_task(line.call("c"))
    await asyncio.sleep(0)
    line.rpc.close()
    with pytest.raises(ConnectionLost):
        await lost
    assert [(each[0], each[1], *each[4:]) for each in heard.exchanges] == [
        ("out", "a", '[3,"a",{"status":"Accepted"}]', "ok", True),
        ("out", "b", "", "timeout", False),
        ("out", "b", '[4,"b","InternalError","too late",{}]', "late", True),
        ("out", "c", "", "lost", False),
    ]
    assert {each[3] for each in heard.exchanges[1:3]} == {'[2,"b","Reset",{}]'}


async def test_a_lenient_line_lets_a_broken_payload_through(line: Line) -> None:
    line.rpc.is_lenient = True
    broken = {"connectorId": "1", "vendorId": "fine"}
    assert await line.receive([2, "7", "StatusNotification", broken]) == [[3, "7", {"heard": 1}]]
    assert line.heard == [("StatusNotification", broken)]


async def test_what_a_handler_cannot_read_is_answered_with_what_is_broken(line: Line) -> None:
    async def needs_status(payload: dict[str, Any]) -> dict[str, Any]:
        return {"status": payload["status"]}

    line.rpc.is_lenient = True
    line.rpc.handlers["StatusNotification"] = needs_status
    ((kind, _, code, *_),) = await line.receive([2, "7", "StatusNotification", {"vendorId": "fine"}])
    assert (kind, code) == (4, "OccurenceConstraintViolation")


async def test_a_fault_of_ours_on_a_lenient_line_is_not_called_the_chargers(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    """Else a database that is away would look like a charger that breaks the schema, and go unseen."""

    async def away(payload: dict[str, Any]) -> dict[str, Any]:
        raise ConnectionResetError("the database is away")

    line.rpc.is_lenient = True
    line.rpc.handlers["StatusNotification"] = away
    ((kind, _, code, *_),) = await line.receive([2, "7", "StatusNotification", {"vendorId": "fine"}])
    assert (kind, code) == (4, "InternalError")
    assert "the database is away" in caplog.text


# --- without a task ---


class Recorded(Recorder):
    def __init__(self) -> None:
        self.exchanges: list[tuple[Any, ...]] = []

    def exchange(self, *exchange: Any) -> None:
        self.exchanges.append(exchange)


class QuickLine(Line):
    """Heartbeats and stops are handled at once: answered by `answer`, or when `done` is called."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: Any = {"quick": True}
        self.taken: list[tuple[str, str]] = []
        self.done: list[Any] = []
        self.sent_now: list[Any] = []
        self.recorder = self.rpc.recorder = Recorded()
        self.rpc._send_now = lambda text: self.sent_now.append(json.loads(text))
        self.rpc.at_once = self._at_once

    def _at_once(self, action: str, payload: str, done: Any) -> bool:
        if action not in ("Heartbeat", "StopTransaction") or "strange" in payload:
            return False
        if "broken" in payload:
            raise ValueError(payload)
        self.taken.append((action, payload))
        self.done.append(done)
        if self.answer is not None:
            done(self.answer)
        return True


@pytest.fixture
def quick() -> QuickLine:
    return QuickLine()


async def test_what_is_taken_is_answered_recorded_and_remembered(quick: QuickLine) -> None:
    frame = '[2,"7","Heartbeat",{}]'
    assert quick.rpc.take(frame)
    assert quick.sent_now == [[3, "7", {"quick": True}]]
    assert quick.recorder.exchanges[0][:6] == ("in", "7", "Heartbeat", frame, '[3,"7",{"quick":true}]', "ok")
    assert not quick.rpc.take(frame)  # told twice (E14)
    assert await quick.receive(frame) == [[3, "7", {"quick": True}]]
    assert (quick.recorder.exchanges[1][5], len(quick.taken), quick.heard) == ("repeat", 1, [])


@pytest.mark.parametrize(
    "frame",
    [
        '[2,"7","Heartbeat",{"strange":1}]',
        '[2,"7","Heartbeat",{}] ',
        '[2,"7\x00","Heartbeat",{}]',
        '[2,"7\n","Heartbeat",{}]',
        '[2,\u00a0"7","Heartbeat",{}]',
        '[2,"7","Heart\\u0062eat",{}]',
        '[2,"7","BootNotification",{}]',
        '[2,7,"Heartbeat",{}]',
        '[2,"' + "7" * 37 + '","Heartbeat",{}]',
        '[2,"7","Heartbeat"]',
        '[3,"7",{}]',
        '[2,"7"',
        "",
        "nonsense",
    ],
)
async def test_what_is_unusual_is_not_taken(quick: QuickLine, frame: str) -> None:
    assert not quick.rpc.take(frame)
    assert not quick.rpc.is_busy
    assert (quick.sent_now, quick.taken, quick.recorder.exchanges) == ([], [], [])


async def test_a_tolerant_action_is_held_against_the_schema_before_it_is_taken(quick: QuickLine) -> None:
    frames = [f'[2,"{number}","StopTransaction",{{"meterStop":"5"}}]' for number in range(2)]
    assert not quick.rpc.take(frames[0])
    await quick.receive(frames[0])
    assert quick.rpc.take(frames[1])
    assert quick.taken == [("StopTransaction", '{"meterStop":"5"}')]


async def test_frames_behind_one_that_was_taken_wait_for_its_answer(quick: QuickLine) -> None:
    quick.answer = None
    assert quick.rpc.take('[2,"1","Heartbeat",{}]')
    assert not quick.rpc.take('[2,"2","Heartbeat",{}]')
    behind = [asyncio.create_task(quick.receive(f'[2,"{n}","StatusNotification",{{}}]')) for n in (2, 3)]
    await asyncio.sleep(0.01)
    behind[0].cancel()  # its connection ends; the other is another's
    await asyncio.sleep(0.01)
    assert (quick.sent, quick.sent_now) == ([], [])
    quick.done[0](None)
    assert quick.sent_now == [[3, "1", {}]]
    await behind[1]
    assert quick.sent[0][1] == "3"
    await quick.rpc.until_idle()
    quick.answer = {}
    assert quick.rpc.take('[2,"4","Heartbeat",{}]')


async def test_a_mistake_of_ours_leaves_the_frame_to_the_long_way(
    quick: QuickLine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not quick.rpc.take('[2,"7","Heartbeat",{"broken":1}]')
    assert "broken" in caplog.text and not quick.rpc.is_busy and quick.sent_now == []

    def fail(*exchange: Any) -> None:
        raise RuntimeError("no place for it")

    monkeypatch.setattr(quick.recorder, "exchange", fail)
    assert quick.rpc.take('[2,"8","Heartbeat",{}]')  # it was answered: nobody is to answer it again
    assert quick.sent_now == [[3, "8", {"quick": True}]] and not quick.rpc.is_busy


about: ContextVar[str] = ContextVar("about")


async def test_what_fails_after_it_was_taken_is_answered_and_told_again_is_heard(
    quick: QuickLine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, quick.answer = '[2,"1","Heartbeat",{}]', None
    assert quick.rpc.take(frame)
    ids: list[str] = []
    monkeypatch.setattr(rpc.logger, "error", lambda *words, exc_info: ids.append(about.get("")))
    about.set("another charger")  # who tells it is somebody else
    quick.done[0](RuntimeError("out of place"))
    assert ids == [""]
    monkeypatch.undo()
    quick.sent_now.clear()
    quick.recorder.exchanges.clear()
    quick.answer = RuntimeError("the disk is full")
    assert quick.rpc.take(frame)
    assert quick.sent_now[0][:3] == [4, "1", "InternalError"]
    assert "the disk is full" in caplog.text and "disk" not in json.dumps(quick.sent_now)
    assert quick.recorder.exchanges[0][5] == "InternalError"
    quick.answer = {}
    assert quick.rpc.take(frame)
    assert quick.sent_now[1] == [3, "1", {}]
