"""The wire log's rows: what is stored, what is hidden, what is cut, what is deleted."""

import json
from datetime import timedelta
from time import time
from typing import Any

import pytest

from chargers import wire_log
from chargers.events import utcnow
from chargers.models import Breach, Charger, OcppCall
from chargers.wire_log import Broken
from tests.factories import make_charger

pytestmark = pytest.mark.django_db


def row(charger: Charger, **fields: Any) -> wire_log.Row:
    values = {
        "charger": charger.pk,
        "direction": "in",
        "message_id": "7",
        "action": "Heartbeat",
        "request": '[2,"7","Heartbeat",{}]',
        "answer": '[3,"7",{}]',
        "verdict": "ok",
        "at": 1_772_000_000.25,
        "latency_s": 0.0123456,
        **fields,
    }
    return tuple(values.values())


def stored(charger: Charger, **fields: Any) -> OcppCall:
    wire_log.record([row(charger, **fields)])
    return OcppCall.objects.get(charger=charger)


def test_an_exchange_is_one_row() -> None:
    call = stored(make_charger())
    assert (call.direction, call.message_id, call.action, call.verdict) == ("in", "7", "Heartbeat", "ok")
    assert (call.request, call.answer) == ('[2,"7","Heartbeat",{}]', '[3,"7",{}]')
    assert call.at.isoformat() == "2026-02-25T06:13:20.250000+00:00"
    assert call.latency_ms == 12.346


def test_many_rows_of_any_text_are_stored_as_they_are() -> None:
    charger = make_charger()
    texts = [
        "",
        "\\",
        "\\N",
        "\t\n\r",
        "tab\there",
        'quote"d',
        "Zürich ⚡ 🚗",
        "\\.",
        "x\0y",
        "'; DROP TABLE",
        "%s",
    ]
    wire_log.record([row(charger, action="DataTransfer", request=text, answer=text) for text in texts])
    kept = list(OcppCall.objects.order_by("pk").values_list("request", "answer"))
    assert kept == [(text.replace("\0", ""),) * 2 for text in texts]


def test_what_is_too_long_for_its_column_is_cut() -> None:
    call = stored(make_charger(), message_id="i" * 400, action="a" * 100, verdict="v" * 100)
    assert (len(call.message_id), len(call.action), len(call.verdict)) == (255, 60, 40)


@pytest.mark.parametrize("action", ["DataTransfer", "MeterValues"])
def test_a_long_frame_is_cut_with_a_mark(action: str) -> None:
    call = stored(make_charger(), action=action, request="x" * (wire_log.MAX_FRAME + 5))
    assert call.request == "x" * wire_log.MAX_FRAME + "… [5 more characters]"


SECRET = "0123456789ABCDEF"


@pytest.mark.parametrize(
    "frame",
    [
        [2, "7", "ChangeConfiguration", {"key": "AuthorizationKey", "value": SECRET}],
        [2, "7", "ChangeConfiguration", {"value": SECRET, "key": "authorizationkey"}],
        [3, "7", {"configurationKey": [{"key": "AuthorizationKey", "readonly": False, "value": SECRET}]}],
        [2, "7", "DataTransfer", {"vendorId": "x", "data": {"AuthorizationKey": SECRET}}],
    ],
)
def test_a_password_is_never_stored(frame: Any) -> None:
    charger = make_charger()
    error = json.dumps([4, "7", "InternalError", f"{SECRET} is too short", {}])
    call = stored(charger, action="ChangeConfiguration", request=json.dumps(frame), answer=error)
    assert SECRET not in call.request + call.answer
    assert json.loads(call.request)[:2] == frame[:2]
    assert "[hidden]" in call.request


@pytest.mark.parametrize(
    "frame",
    [
        f'[3,"7",{{"configurationKey":[{{"key":"AuthorizationKey","value":"{SECRET}"',
        f'[3,"7",{{"configurationKey":[{{"key":"\\u0041uthorizationKey","value":"{SECRET}"}}]}}]',
    ],
)
def test_a_password_in_a_broken_or_disguised_frame_is_not_stored_either(frame: str) -> None:
    assert SECRET not in stored(make_charger(), action="", request=frame, verdict="unreadable").request


def test_a_frame_that_only_asks_for_the_password_is_kept() -> None:
    frame = '[2,"7","GetConfiguration",{"key":["AuthorizationKey"]}]'
    assert stored(make_charger(), action="GetConfiguration", request=frame).request == frame


def aged(charger: Charger, *days: float) -> None:
    for each in days:
        stamp = (utcnow() - timedelta(days=each)).timestamp()
        wire_log.record([row(charger, at=stamp, message_id=str(each))])


def test_what_is_too_old_is_deleted(settings: Any) -> None:
    settings.WIRE_LOG_DAYS = 7
    charger = make_charger()
    aged(charger, 8, 7.1, 6.9, 0)
    assert wire_log.prune() == 2
    assert list(OcppCall.objects.order_by("pk").values_list("message_id", flat=True)) == ["6.9", "0"]
    assert wire_log.prune() == 0


def test_beyond_so_many_the_oldest_are_deleted_in_small_batches(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WIRE_LOG_ROWS = 3
    monkeypatch.setattr(wire_log, "PRUNE_BATCH", 2)
    charger = make_charger()
    wire_log.record([row(charger, message_id=str(number), at=time()) for number in range(10)])
    assert wire_log.prune() == 7
    assert set(OcppCall.objects.values_list("message_id", flat=True)) == {"7", "8", "9"}
    assert wire_log.prune() == 0


def broken(charger_id: int, **fields: Any) -> Broken:
    values: dict[str, Any] = {"rule": "schema", "action": "StatusNotification", "detail": "a", "frame": "[2]"}
    return Broken(charger_id, **{**values, "times": 1, "first_at": 100.0, "last_at": 100.0, **fields})


def test_a_broken_rule_is_written_once_and_counted() -> None:
    charger = make_charger()
    wire_log.record_breaches([broken(charger.pk, frame="first", times=2)])
    wire_log.record_breaches([broken(charger.pk, frame="second", times=3, last_at=200.0)])
    breach = Breach.objects.get(charger=charger)
    assert (breach.frame, breach.count, breach.remedy) == ("first", 5, "is_lenient")
    assert (breach.first_at.timestamp(), breach.last_at.timestamp()) == (100, 200)


def test_a_breach_of_a_charger_that_is_gone_keeps_none_of_the_others_out() -> None:
    charger = make_charger()
    wire_log.record_breaches([broken(10**9), broken(charger.pk)])
    assert Breach.objects.count() == 1


def test_the_example_of_a_breach_hides_passwords_too() -> None:
    charger = make_charger()
    frame = json.dumps([2, "7", "DataTransfer", {"AuthorizationKey": SECRET}])
    wire_log.record_breaches([broken(charger.pk, frame=frame, detail=f"'{SECRET}' is not an object")])
    breach = Breach.objects.get(charger=charger)
    assert SECRET not in breach.frame + breach.detail
