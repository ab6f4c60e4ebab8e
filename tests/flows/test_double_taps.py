"""The same request twice, at two processes in the same moment: one start, and one answer for both (E34)."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User

from chargers.models import Charger, Command
from sessions.models import ChargingSession, ClientRef
from tests import wire
from tests.charge import at, begin, scene
from tests.conftest import Site, stack
from tests.factories import make_charger, make_operator, make_user, token_of
from tests.gateway.test_api import assert_failure, call, call_now

# 1,000 taps; with one process there is less to race. DOUBLE_TAPS=1000 is as many keys.
TAPS_BY_SOCKET = 4, 3  # of each key; the rest of ten are two over REST, and one that comes late
DRIVERS, KEYS = (10, int(os.environ.get("DOUBLE_TAPS", "100"))) if stack() == "real" else (4, 20)


@pytest.mark.timeout(60 + KEYS)
async def test_double_taps_at_two_processes_are_as_many_starts_as_keys(site: Site) -> None:
    """E34: a driver's taps come in the same moment on the sockets of both processes and over REST, and one when it is
    over already."""
    drivers = [(make_user(), make_charger(connectors=1)) for _ in range(DRIVERS)]
    with ThreadPoolExecutor(DRIVERS) as pool:
        answers = await asyncio.gather(*(_taps(site, pool, *each) for each in drivers))
    told = [answer for some in answers for answer in some]
    assert len(told) == len(set(told)) == KEYS
    chargers = [charger for _, charger in drivers]
    sessions = ChargingSession.objects.filter(charger__in=chargers)
    assert set(sessions.values_list("pk", "start_command__pk")) == set(told)
    assert Command.objects.filter(charger__in=chargers).count() == KEYS


async def _taps(
    site: Site, pool: ThreadPoolExecutor, driver: User, charger: Charger
) -> list[tuple[int, UUID]]:
    """One driver's share of the keys: session and command of each, which all its taps were answered."""
    token, found = token_of(driver), []
    begin_in_pool = partial(asyncio.get_running_loop().run_in_executor, pool)
    async with (
        wire.charger(site.charger_url, charger.identity) as point,
        wire.app(site.app_url, token) as one,
        wire.app(site.charger_url, token) as other,
    ):
        await point.boot()
        for number in range(KEYS // DRIVERS):
            wish, key = {"charger_id": charger.identity}, f"tap {number}"
            named = {**wish, "client_ref": key}
            accepted = asyncio.create_task(point.accepts("RemoteStartTransaction"))
            posts = [begin_in_pool(partial(_tap_over_rest, server.http, token, wish, key)) for server in site]
            taps = [_tap(*each, named) for each in zip((one, other), TAPS_BY_SOCKET, strict=True)]
            some, more, *others = await asyncio.gather(*taps, *posts)
            await accepted
            first_answer = some[0]
            assert all(answer == first_answer for answer in (*some, *more, *others))
            found.append((first_answer["session_id"], UUID(first_answer["message_id"])))
            await one.act("stop_charging")  # called off: the place is free for the next
            assert (await other.act("start_charging", named))["code"] == "cancelled"
        assert point.calls.empty()
    return found


async def _tap(app: wire.App, times: int, wish: Any) -> list[Any]:
    """One right after the other."""
    request_ids = [f"{wish['client_ref']}.{number}" for number in range(times)]
    for request_id in request_ids:
        await app.send({"action": "start_charging", "data": wish, "request_id": request_id})
    answers = [(await app.whenever(request_id=request_id))["data"] for request_id in request_ids]
    assert all(answer.pop("success") for answer in answers), answers
    return answers


def _tap_over_rest(base: str, token: str, wish: Any, key: str) -> Any:
    headers = {"Idempotency-Key": key}
    return call_now(base, "POST", "/api/charging/start", token=token, body=wish, headers=headers).data


async def test_socket_and_rest_are_one_and_a_refusal_is_judged_anew(site: Site) -> None:
    """E34: from a refusal that began nothing to a repeat after the end, by `client_ref` and by `Idempotency-Key`."""
    async with scene(site) as s:
        token = token_of(s.user)
        start, stop = "/api/charging/start", "/api/charging/stop"
        here = {"charger_id": s.identity, "connector_id": 1}
        key = {"Idempotency-Key": '"one tap"'}
        offline = make_charger()
        wish = {"charger_id": offline.identity, "client_ref": "one tap"}
        assert (await s.app.act("start_charging", wish))["code"] == "charger_offline"
        assert not ClientRef.objects.filter(user=s.user).exists()

        begun = asyncio.create_task(
            asyncio.to_thread(
                call_now, site.chargers.http, "POST", start, token=token, body=here, headers=key
            )
        )
        asked = await s.point.accepts("RemoteStartTransaction")
        answer = await begun
        assert answer.body["success"] is True, answer
        again = await s.app.act("start_charging", {**here, "client_ref": "one tap"})
        assert (again["session_id"], again["message_id"]) == (
            answer.data["session_id"],
            answer.data["message_id"],
        )
        await s.point.start(id_tag=asked["idTag"], at=at())
        await s.app.until(event="session_started")

        another = await s.app.act("start_charging", {**here, "connector_id": 2, "client_ref": "one tap"})
        assert (another["code"], another["error"]) == (
            "validation_error",
            "This client_ref was used for another request",
        )
        differ = await call(
            site, "POST", start, token=token, body={**here, "client_ref": "another"}, headers=key
        )
        assert_failure(differ, "validation_error")
        for bad in ("", "x" * 65):
            refused = await call(
                site, "POST", start, token=token, body=here, headers={"Idempotency-Key": bad}
            )
            assert_failure(refused, "validation_error")

        await s.app.send({"action": "stop_charging", "data": {"client_ref": "stop"}, "request_id": "stop"})
        asked = await s.point.accepts("RemoteStopTransaction")
        stopped = (await s.app.until(request_id="stop"))["data"]
        await s.point.stop(transaction=asked["transactionId"], meter=5000, at=at(), reason="Remote")
        await s.app.until(event="session_completed")
        late = await call(site, "POST", stop, token=token, headers={"Idempotency-Key": "stop"})
        assert (late.data["session_id"], late.data["message_id"]) == (
            stopped["session_id"],
            stopped["message_id"],
        )
        assert late.data["message"] == "Charging has ended"
        over = await s.app.act("start_charging", {**here, "client_ref": "one tap"})
        assert (over["session_id"], over["status"]) == (answer.data["session_id"], "completed")
        assert s.point.calls.empty()


async def test_an_operators_back_end_repeats_itself(site: Site) -> None:
    """Remote starts, remote stops and every other command by `Idempotency-Key`: the charger is asked once."""
    operator = make_operator()
    async with scene(site) as s:
        charge = await begin(s)

        async def post(path: str, body: Any, key: str = "k") -> Any:
            options = {"token": token_of(operator), "body": body, "headers": {"Idempotency-Key": key}}
            return (await call(site, "POST", path, **options)).body

        async def twice(path: str, body: Any, action: str, key: str) -> tuple[Any, Any]:
            both = asyncio.gather(post(path, body, key), post(path, body, key))
            await s.point.accepts(action)
            first, second = await both
            return first, second

        remote = {"charger_id": s.identity, "connector_id": 2, "id_tag": "CARD"}
        first, second = await twice(
            "/api/charging/remote_start", remote, "RemoteStartTransaction", "remote start"
        )
        assert first["success"] is True, first
        assert first == second
        commands = f"/api/chargers/{s.identity}/commands/"
        reset = {"action": "Reset", "payload": {"type": "Soft"}, "wait": True}
        first, second = await twice(commands, reset, "Reset", "reset")
        assert (first["id"], first["state"]) == (second["id"], "accepted")
        assert (await post(commands, {**reset, "payload": {"type": "Hard"}}, "reset"))["code"] == (
            "validation_error"
        )
        stop = {"transaction_id": charge.transaction_id}
        first, second = await twice("/api/charging/remote_stop", stop, "RemoteStopTransaction", "stop")
        assert first["success"] is True, first
        assert first == second
        await s.point.stop(transaction=charge.transaction_id, meter=5000, at=at())
        assert await post("/api/charging/remote_stop", stop, "stop") == first
        assert s.point.calls.empty()
