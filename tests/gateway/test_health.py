"""Probes, figures for operators, metrics."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from gateway import draining, health, lag
from tests import wire
from tests.conftest import Site
from tests.factories import make_charger, make_operator, make_user, token_of
from tests.gateway.test_api import assert_failure, call, call_now

PROBES = ["/health", "/health/", "/health/live", "/health/ready"]


@pytest.mark.parametrize("path", PROBES)
async def test_probes_need_no_token_and_are_not_cached(site: Site, path: str) -> None:
    answer = await call(site, "GET", path)
    assert (answer.status, answer.body["status"]) == (200, "ok")
    assert answer.headers["Cache-Control"] == "no-store"


async def test_readiness_names_its_parts(site: Site) -> None:
    body = (await call(site, "GET", "/health/ready")).body
    assert body == {"status": "ok", "database": "ok", "migrations": "ok", "bus": "ok", "event_loop": "ok"}


async def test_probe_takes_head_and_no_post(site: Site) -> None:
    assert (await call(site, "GET", "/health")).status == 200
    assert (await call(site, "POST", "/health")).status in (403, 405)


async def test_without_a_database_it_lives_but_is_not_ready(start_server: Callable[..., Any]) -> None:
    server = start_server(DATABASE_URL="sqlite:////nowhere/db.sqlite3", REDIS_URL="")

    async def ask(path: str) -> Any:
        return await asyncio.to_thread(call_now, server.http, "GET", path)

    assert (await ask("/health/live")).status == 200
    ready = await ask("/health")
    assert ready.status == 503
    assert ready.body == {
        "status": "unavailable",
        "database": "OperationalError",
        "migrations": "OperationalError",
        "bus": "ok",
        "event_loop": "ok",
    }
    metrics = await ask("/metrics")
    assert metrics.status == 200
    assert 'evcharge_ws_connections{role="apps"} 0.0' in metrics.body
    assert "evcharge_database_up 0.0" in metrics.body
    assert "evcharge_ready 0.0" in metrics.body
    assert "evcharge_chargers" not in metrics.body


async def test_unmigrated_database_is_not_ready(start_server: Callable[..., Any], tmp_path: Any) -> None:
    server = start_server(DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3", REDIS_URL="")
    answer = await asyncio.to_thread(call_now, server.http, "GET", "/health")
    assert answer.status == 503
    assert answer.body["database"] == "ok"
    assert answer.body["migrations"].endswith("to apply")
    metrics = (await asyncio.to_thread(call_now, server.http, "GET", "/metrics")).body
    assert "evcharge_database_up 1.0" in metrics
    assert "evcharge_ready 0.0" in metrics


async def test_without_the_bus_it_is_degraded_and_ready(start_server: Callable[..., Any]) -> None:
    """Nobody else would have the bus either, and chargers are still heard."""
    server = start_server(REDIS_URL="redis://127.0.0.1:1/0")
    answer = await asyncio.to_thread(call_now, server.http, "GET", "/health")
    assert (answer.status, answer.body["status"]) == (200, "degraded")
    assert answer.body["bus"] != "ok"
    metrics = (await asyncio.to_thread(call_now, server.http, "GET", "/metrics")).body
    assert "evcharge_bus_up 0.0" in metrics
    assert "evcharge_ready 1.0" in metrics


def test_who_is_about_to_leave_is_not_ready_and_asks_nobody(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(draining, "_is_draining", True)
    answer = client.get("/health")  # no database in this test
    assert (answer.status_code, answer.json()) == (503, {"status": "draining"})
    assert client.get("/health/live").status_code == 200
    assert not caplog.records  # a probe's answer is no error


async def test_an_event_loop_that_does_not_keep_up_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "INTERVAL_S", 0)
    monkeypatch.setattr(lag, "TOO_FAR_S", 0.005)
    watching = asyncio.create_task(lag.watch())
    try:
        await asyncio.sleep(0)
        time.sleep(0.02)  # noqa: ASYNC251  (that is what is wrong)
        await asyncio.sleep(0)
        assert not lag.is_behind()  # once is none
        for _ in range(2 * lag.SAMPLES):
            time.sleep(0.01)  # noqa: ASYNC251
            await asyncio.sleep(0)
        assert lag.is_behind()
        assert not health.is_ready({"event_loop": health._probe(health._event_loop)})
    finally:
        watching.cancel()
        lag._samples.clear()
        lag._samples.append(0.0)


async def test_stats_count_sockets_users_chargers_and_sessions(start_server: Callable[..., Any]) -> None:
    server = start_server()
    charger, user, operator = make_charger(), make_user(), make_operator()
    async with (
        wire.charger(server.ws, charger.identity) as point,
        wire.app(server.ws, token_of(user)) as phone,
        wire.app(server.ws, token_of(user)) as tablet,
    ):
        await point.ready()
        await phone.until(type="active_session_update")
        await tablet.until(type="active_session_update")
        answer = await asyncio.to_thread(call_now, server.http, "GET", "/stats", token=token_of(operator))
        assert answer.status == 200
        assert answer.body["connections"] == {"apps": 2, "chargers": 1}
        assert answer.body["users"] == 1
        assert answer.body["chargers"]["connected"] >= 1
        assert answer.body["chargers"].keys() >= {"total", "offline", "available", "in_use", "unavailable"}
        assert answer.body["sessions"].keys() == {"pending", "active", "stopping"}
        metrics = (await asyncio.to_thread(call_now, server.http, "GET", "/metrics")).body
        assert 'evcharge_ws_connections{role="apps"} 2.0' in metrics
        assert 'evcharge_ws_connections{role="chargers"} 1.0' in metrics
        assert "evcharge_chargers{" in metrics
        assert "evcharge_sessions{" in metrics
        for secret in (charger.identity, user.username):
            assert secret not in metrics


async def test_stats_are_for_operators(site: Site) -> None:
    assert_failure(await call(site, "GET", "/stats"), "authentication_failed", 401)
    assert_failure(await call(site, "GET", "/stats", token=token_of(make_user())), "forbidden", 403)


def test_operator_logged_in_to_the_admin_sees_the_stats(admin_client: Any) -> None:
    assert admin_client.get("/stats").status_code == 200
