"""Traces of real servers, as a collector gets them: one for each command, from the app's action to what came of it."""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from chargers.models import Command
from gateway import checks, tracing
from tests import wire
from tests.charge import at, begin, end, scene
from tests.conftest import Site, stack
from tests.factories import make_operator, token_of
from tests.gateway.otlp import Collector, Span, collector
from tests.gateway.test_api import call_now
from tests.server_process import ServerProcess

SERVER, CLIENT, PRODUCER = 2, 3, 4


class Traced(NamedTuple):
    site: Site
    taken: Collector


@pytest.fixture(scope="module")
def traced(committed: None) -> Iterator[Traced]:
    """As the site of other flows, and it tells a collector."""
    with collector() as taken:
        settings: dict[str, Any] = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": taken.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        chargers = ServerProcess(**settings)
        apps = ServerProcess(**settings) if stack() == "real" else chargers
        yield Traced(Site(apps, chargers), taken)
        for server in {apps, chargers}:
            server.stop()


async def spans_of(taken: Collector, trace_id: str, *names: str) -> dict[str, Span]:
    """The spans of a trace by name, once these are there."""

    def are_there(spans: list[Span]) -> bool:
        return set(names) <= {span.name for span in spans if span.trace_id == trace_id}

    spans = await asyncio.to_thread(taken.until, are_there)
    return {span.name: span for span in spans if span.trace_id == trace_id}


async def test_one_trace_leads_from_the_tap_to_the_transaction_and_back(
    traced: Traced,
) -> None:
    site, taken = traced
    async with scene(site) as s:
        charge = await begin(s)
        message_id = charge.answer["message_id"]
        found = await spans_of(
            taken,
            uuid.UUID(message_id).hex,  # what the app has in hand finds the trace
            "app start_charging",
            "command remote_start",
            "queued",
            "charger remote_start",
            "StartTransaction",
            "event session_started",
        )
        await s.app.send({"action": "stop_charging", "request_id": "stop"})
        await s.point.accepts("RemoteStopTransaction")
        stopped = (await s.app.until(request_id="stop"))["data"]
        await end(s, charge)
        stop = await spans_of(
            taken,
            uuid.UUID(stopped["message_id"]).hex,
            "app stop_charging",
            "command remote_stop",
            "StopTransaction",
            "event session_completed",
        )
        secrets = (charge.id_tag, token_of(s.user).rpartition(".")[2], s.user.username)
    action, command, asked = (
        found["app start_charging"],
        found["command remote_start"],
        found["charger remote_start"],
    )
    transaction, event = found["StartTransaction"], found["event session_started"]

    assert action.parent_id == ""
    assert command.parent_id == action.span_id
    assert found["queued"].parent_id == asked.parent_id == command.span_id
    assert transaction.parent_id == command.span_id
    assert event.parent_id == transaction.span_id
    assert [span.kind for span in (action, asked, transaction, event)] == [
        SERVER,
        CLIENT,
        SERVER,
        PRODUCER,
    ]
    assert not any(span.has_failed for span in found.values())

    assert action.begun <= command.begun <= asked.begun <= asked.ended <= command.ended
    assert asked.ended <= transaction.begun <= transaction.ended <= event.ended
    assert action.process == event.process
    assert command.process == asked.process == transaction.process
    assert (action.process == command.process) == (site.apps is site.chargers)

    assert action.attributes == {
        "evcharge.action": "start_charging",
        "evcharge.outcome": "ok",
        "evcharge.charger.identity": s.identity,
        "evcharge.session.id": charge.session_id,
    }
    assert command.attributes == {
        "evcharge.action": "remote_start",
        "evcharge.outcome": "accepted",
        "evcharge.command.id": message_id,
        "evcharge.charger.id": s.charger.pk,
        "evcharge.charger.identity": s.identity,
    }
    assert transaction.attributes["evcharge.session.id"] == charge.session_id
    assert event.attributes["evcharge.session.id"] == charge.session_id

    assert stop["command remote_stop"].parent_id == stop["app stop_charging"].span_id
    assert stop["StopTransaction"].parent_id == stop["command remote_stop"].span_id
    for secret in secrets:
        assert secret.encode() not in taken.raw


def is_refused(span: Span) -> bool:
    return span.attributes.get("evcharge.outcome") == "not_found"


async def test_what_fails_says_so_and_a_command_without_an_app_is_a_root(
    traced: Traced,
) -> None:
    site, taken = traced
    async with scene(site) as s:
        refused = await s.app.act("start_charging", {"charger_id": "nowhere"})
        assert refused["code"] == "not_found"
        command_id = uuid.uuid4()
        wish = {"action": "Reset", "payload": {"type": "Soft"}, "message_id": str(command_id)}
        path, token = f"/api/chargers/{s.identity}/commands/", token_of(make_operator())
        answer = await asyncio.to_thread(call_now, site.http, "POST", path, token=token, body=wish)
        assert answer.status in (200, 201, 202), answer
        message_id, _ = await s.point.asked("Reset")
        await s.point.send([4, message_id, "InternalError", "", {}])
        found = await spans_of(taken, command_id.hex, "command reset")
        assert found["command reset"].parent_id == ""
        assert (
            found["command reset"].attributes["evcharge.outcome"] == Command.objects.get(pk=command_id).status
        )
    spans = await asyncio.to_thread(taken.until, lambda spans: any(map(is_refused, spans)))
    action = next(filter(is_refused, spans))
    assert action.name == "app start_charging"
    assert not action.has_failed  # it is the client's mistake


async def test_a_start_given_up_is_joined_by_its_late_transaction(traced: Traced) -> None:
    """E31: by the command's id alone, on a connection and a process that never saw the command."""
    site, taken = traced
    async with scene(site) as s:
        await s.app.send({"action": "start_charging", "data": {"charger_id": s.identity, "connector_id": 1}})
        message_id, asked = await s.point.asked("RemoteStartTransaction")
    async with wire.charger(
        site.app_url, s.identity
    ) as point:  # it dials the other process, where there is one
        await point.boot()
        await point.start(connector=1, id_tag=asked["idTag"], at=at())
    found = await spans_of(taken, uuid.UUID(message_id).hex, "command remote_start", "StartTransaction")
    assert found["StartTransaction"].parent_id == found["command remote_start"].span_id
    assert found["command remote_start"].attributes["evcharge.outcome"] == "unknown"
    assert found["command remote_start"].has_failed


def test_a_place_for_traces_without_their_packages_is_told_at_the_start(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TRACING = True
    assert checks.traces_need_their_packages() == []
    monkeypatch.setattr(tracing, "PACKAGES", ("opentelemetry.nowhere.at.all",))
    assert [each.id for each in checks.traces_need_their_packages()] == ["evcharge.E013"]
    tracing.start()
    assert tracing.live is None


def test_without_a_place_to_send_them_there_are_no_traces() -> None:
    tracing.start()
    assert tracing.live is None
    with tracing.effect("StartTransaction") as belongs:
        belongs(uuid.uuid4(), None)  # type: ignore[arg-type]


async def test_a_collector_that_is_away_spoils_nothing(start_server: Callable[..., Any]) -> None:
    server = start_server(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1", OTEL_BSP_SCHEDULE_DELAY=100)
    async with scene(Site(server, server)) as s:
        charge = await begin(s)
        await end(s, charge)
    assert server.stop() == 0
