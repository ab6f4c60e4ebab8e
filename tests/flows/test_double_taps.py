"""The same request twice, at two processes in the same moment: one start, and one answer for both (E34)."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from chargers.models import Command
from sessions.models import ChargingSession, ClientRef
from tests import wire
from tests.charge import at, begin, scene
from tests.conftest import Site
from tests.factories import make_charger, make_operator, make_user, token_of
from tests.gateway.test_api import assert_failure, call, call_now

KEYS = 30


async def test_double_taps_at_two_processes_are_as_many_starts_as_keys(site: Site) -> None:
    """E34: each driver taps on the socket of one process and, in the same moment, on that of the other."""
    charger = make_charger(connectors=KEYS)
    users = [make_user() for _ in range(KEYS)]
    async with AsyncExitStack() as open_sockets:
        point = await open_sockets.enter_async_context(wire.charger(site.charger_url, charger.identity))
        await point.boot()
        phones = [
            [
                await open_sockets.enter_async_context(wire.app(url, token_of(user)))
                for url in (site.app_url, site.charger_url)
            ]
            for user in users
        ]

        async def taps(number: int) -> list[dict[str, Any]]:
            data = {"charger_id": charger.identity, "connector_id": number + 1, "client_ref": f"tap {number}"}
            return await asyncio.gather(*(phone.act("start_charging", data) for phone in phones[number]))

        answering = asyncio.create_task(_accept_all(point))
        answers = await asyncio.gather(*(taps(number) for number in range(KEYS)))
        answering.cancel()
    for first, second in answers:
        assert first["success"] is True, first
        assert first == second
    assert len({first["session_id"] for first, _ in answers}) == KEYS
    assert ChargingSession.objects.filter(charger=charger).count() == KEYS
    assert Command.objects.filter(charger=charger).count() == KEYS


async def _accept_all(point: wire.FakeCharger) -> None:
    while True:
        await point.accepts("RemoteStartTransaction")


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
