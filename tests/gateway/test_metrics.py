"""/metrics of real servers: what happened is counted, by names that Prometheus likes and labels that cannot grow."""

import asyncio
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import InvalidStatus

from tests import wire
from tests.charge import at, begin, end, scene
from tests.conftest import Site, stack
from tests.factories import make_charger, make_user, token_of
from tests.gateway.test_api import call_now
from tests.server_process import ServerProcess

Key = tuple[str, frozenset[tuple[str, str]]]


class Scrape(dict[Key, float]):
    """Samples by name and labels; what is not there is 0."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.families = list(text_string_to_metric_families(text))
        for family in self.families:
            for sample in family.samples:
                self[sample.name, frozenset(sample.labels.items())] = sample.value

    def of(self, name: str, **labels: str) -> float:
        return self.get((name, frozenset(labels.items())), 0.0)


async def scrape(server: ServerProcess) -> Scrape:
    return Scrape((await asyncio.to_thread(call_now, server.http, "GET", "/metrics")).body)


class Since:
    """What was counted since then."""

    def __init__(self, server: ServerProcess, before: Scrape) -> None:
        self.server, self.before = server, before

    async def now(self) -> "Since":
        self.after = await scrape(self.server)
        return self

    def of(self, name: str, **labels: str) -> float:
        return self.after.of(name, **labels) - self.before.of(name, **labels)

    async def until(self, count: float, name: str, **labels: str) -> None:
        async with asyncio.timeout(wire.TIMEOUT_S):
            while (await self.now()).of(name, **labels) < count:
                await asyncio.sleep(0.05)


async def since(server: ServerProcess) -> Since:
    return Since(server, await scrape(server))


async def test_a_charge_is_counted_from_the_tap_to_the_end(site: Site) -> None:
    apps, chargers = await since(site.apps), await since(site.chargers)
    async with scene(site) as s:
        charge = await begin(s)
        for energy in (1500, 2000):
            await s.point.meter(transaction=charge.transaction_id, at=at(), energy=energy)
            await s.app.until(event="meter_value")
        await s.app.send({"action": "stop_charging", "request_id": "stop"})
        await s.point.accepts("RemoteStopTransaction")
        assert (await s.app.until(request_id="stop"))["data"]["success"] is True
        await end(s, charge)
        await apps.now()
        await chargers.now()
        assert apps.after.of("evcharge_ws_connections", role="apps") >= 1
        secrets = (s.identity, s.user.username, charge.id_tag)

    assert apps.of("evcharge_ws_accepted_total", role="apps") == 1
    assert chargers.of("evcharge_ws_accepted_total", role="chargers") == 1
    for action in ("start_charging", "stop_charging"):
        assert apps.of("evcharge_app_actions_total", action=action, outcome="ok") == 1
        assert apps.of("evcharge_app_action_duration_seconds_count", action=action) == 1
    assert apps.of("evcharge_app_events_total", kind="tick") == 2
    assert apps.of("evcharge_app_events_total", kind="event") >= 3
    for direction, action, times in (
        ("in", "BootNotification", 1),
        ("in", "StartTransaction", 1),
        ("in", "MeterValues", 2),
        ("in", "StopTransaction", 1),
        ("out", "RemoteStartTransaction", 1),
        ("out", "RemoteStopTransaction", 1),
    ):
        labels = {"direction": direction, "action": action}
        assert chargers.of("evcharge_ocpp_calls_total", verdict="ok", **labels) == times, labels
        assert chargers.of("evcharge_ocpp_call_duration_seconds_count", **labels) == times, labels
    for command in ("remote_start", "remote_stop"):
        assert chargers.of("evcharge_commands_total", command=command, end="accepted") == 1
        assert chargers.of("evcharge_command_duration_seconds_count", command=command) == 1
    assert chargers.of("evcharge_writer_batch_messages_count") == 2
    assert chargers.of("evcharge_writer_batch_messages_sum") == 2
    assert chargers.of("evcharge_writer_commit_duration_seconds_count") == 2
    assert apps.of("evcharge_layer_delivered_total") > 0
    if stack() == "real":
        assert chargers.of("evcharge_layer_published_total") > 0
    assert chargers.after.of("evcharge_database_up") == chargers.after.of("evcharge_bus_up") == 1
    await apps.until(1, "evcharge_ws_closed_total", role="apps", code="1000")
    await chargers.until(1, "evcharge_ws_closed_total", role="chargers", code="1000")
    for scraped in (apps.after, chargers.after):
        for secret in secrets:
            assert secret not in scraped.text


async def test_who_is_refused_is_counted_by_the_reason(site: Site) -> None:
    apps, chargers = await since(site.apps), await since(site.chargers)
    for token in (None, "nonsense"):
        async with wire.app(site.app_url, token) as app:
            await app.closed()
    with pytest.raises(InvalidStatus):
        async with wire.charger(site.charger_url, "nobody-knows-me"):
            pass
    async with wire.charger(site.charger_url, make_charger().identity, subprotocols=["ocpp9.9"]) as point:
        await point.closed()
    await apps.now()
    await chargers.now()
    assert apps.of("evcharge_ws_refused_total", role="apps", reason="no_token") == 1
    assert apps.of("evcharge_ws_refused_total", role="apps", reason="invalid_token") == 1
    assert chargers.of("evcharge_ws_refused_total", role="chargers", reason="unknown_identity") == 1
    assert chargers.of("evcharge_ws_refused_total", role="chargers", reason="no_subprotocol") == 1
    await apps.until(2, "evcharge_ws_closed_total", role="apps", code="1008")


async def test_words_that_nobody_knows_are_one_row(site: Site) -> None:
    apps, chargers = await since(site.apps), await since(site.chargers)
    charger, user = make_charger(), make_user()
    async with (
        wire.app(site.app_url, token_of(user)) as app,
        wire.charger(site.charger_url, charger.identity) as point,
    ):
        for number in range(3):
            assert (await app.act(f"dance{number}"))["code"] == "unknown_action"
            assert (await point.request(f"Dance{number}", {}))[2] == "NotImplemented"
        await app.send("no json")
        await app.until(type="error")
        await app.act("get_charger_status", {"charger_id": "nowhere"})
    await apps.now()
    await chargers.now()
    assert apps.of("evcharge_app_actions_total", action="other", outcome="unknown_action") == 3
    assert apps.of("evcharge_app_actions_total", action="other", outcome="invalid_message") == 1
    assert apps.of("evcharge_app_actions_total", action="get_charger_status", outcome="not_found") == 1
    labels = {"direction": "in", "action": "other", "verdict": "NotImplemented"}
    assert chargers.of("evcharge_ocpp_calls_total", **labels) == 3
    for scraped in (apps.after, chargers.after):
        assert "dance" not in scraped.text.lower()


async def test_a_command_that_failed_is_counted_by_how(site: Site) -> None:
    apps, chargers = await since(site.apps), await since(site.chargers)
    async with scene(site) as s:
        answer = await s.app.act("start_charging", {"charger_id": s.identity, "connector_id": 1})
        assert answer["success"] is False  # the charger was asked and is silent
        await apps.now()
        await chargers.now()
    assert chargers.of("evcharge_commands_total", command="remote_start", end="unknown") == 1
    labels = {"direction": "out", "action": "RemoteStartTransaction", "verdict": "timeout"}
    assert chargers.of("evcharge_ocpp_calls_total", **labels) == 1
    labels = {"action": "start_charging", "outcome": answer["code"]}
    assert apps.of("evcharge_app_actions_total", **labels) == 1


async def test_names_and_labels_are_as_prometheus_wants_them(site: Site) -> None:
    scraped = await scrape(site.chargers)
    ours = [family for family in scraped.families if family.name.startswith("evcharge_")]
    assert len(ours) > 30
    for family in ours:
        assert re.fullmatch(r"[a-z_]+", family.name)
        assert len(family.documentation) > 10, family.name
        if family.type == "counter":
            assert all(sample.name.endswith("_total") for sample in family.samples)
        for sample in family.samples:
            assert set(sample.labels) <= {
                *("role", "reason", "code", "action", "outcome", "kind", "direction", "verdict"),
                *("command", "end", "queue", "level", "le", "state", "status"),
            }


async def test_one_process_tells_when_it_swept(site: Site) -> None:
    name = "evcharge_sweep_last_success_timestamp_seconds"
    async with asyncio.timeout(wire.TIMEOUT_S):
        while not any([(await scrape(server)).of(name) for server in (site.apps, site.chargers)]):
            await asyncio.sleep(0.1)
