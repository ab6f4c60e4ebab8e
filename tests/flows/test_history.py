"""A driver's history as a phone has it: one connection for sessions and charts; everything to take away; the end."""

import asyncio
import json
from decimal import Decimal
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from sessions.models import ChargingSession
from tests import wire
from tests.charge import at, begin, end, scene
from tests.conftest import Site
from tests.factories import make_session, make_tariff, make_user, token_of


def fetched(site: Site, path: str, token: str, *, method: str = "GET", body: Any = None) -> tuple[int, bytes]:
    request = Request(site.http + path, method=method, data=json.dumps(body).encode() if body else None)
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", "application/json")
    try:
        with urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


async def test_a_charge_and_what_is_left_of_it_until_the_account_goes(site: Site) -> None:
    """E48"""
    user = make_user(password="right-enough-1", email="ada@example.org")
    strange = make_session(user=make_user(), status="completed")
    async with scene(site, user=user) as s:
        assert s.charger.station is not None
        make_tariff(stations=[s.charger.station], price_per_kwh="0.50", tax_percent=19)
        charge = await begin(s)
        sampled = [{"value": "2000", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}]
        values = {"connectorId": 1, "transactionId": charge.transaction_id}
        await s.point.call(
            "MeterValues", {**values, "meterValue": [{"timestamp": at(), "sampledValue": sampled}]}
        )
        token = token_of(user)
        farewell = {"password": "right-enough-1"}
        status, body = await asyncio.to_thread(
            fetched, site, "/api/account/", token, method="DELETE", body=farewell
        )
        assert (status, json.loads(body)["code"]) == (409, "active_session_exists")
        await end(s, charge, meter=5000)

        page = await s.app.act("list_sessions", {"limit": 1, "charger_id": s.identity})
        assert [each["session_id"] for each in page["sessions"]] == [charge.session_id]
        assert page["next_cursor"] is None
        found = await s.app.act("get_session", {"session_id": charge.session_id, "points": 50})
        assert (found["session"]["cost"], found["has_receipt"]) == (2.0, True)
        assert found["points"][0]["energy_kwh"] == 1.0
        assert (await s.app.act("get_session", {"session_id": charge.session_id}))["points"] is None
        assert (await s.app.act("get_session", {"session_id": strange.pk}))["code"] == "not_found"
        assert (await s.app.act("list_sessions", {"cursor": "x"}))["code"] == "validation_error"

        status, body = await asyncio.to_thread(fetched, site, "/api/account/export/", token)
        mine = json.loads(body)
        assert (status, mine["account"]["email"]) == (200, "ada@example.org")
        assert mine["sessions"][0]["receipt"]["gross"] == 2.0
        assert mine["sessions"][0]["readings"]
        assert mine["messages"]
        status, body = await asyncio.to_thread(
            fetched, site, f"/api/sessions/{charge.session_id}/receipt.pdf", token
        )
        assert (status, body[:5]) == (200, b"%PDF-")

        status, _ = await asyncio.to_thread(
            fetched, site, "/api/account/", token, method="DELETE", body=farewell
        )
        assert status == 204
        assert await s.app.closed() == (1008, "Invalid authentication token")
        assert (await asyncio.to_thread(fetched, site, "/api/sessions/", token))[0] == 401
    async with wire.app(site.app_url, token) as again:
        assert (await again.closed())[0] == 1008
    kept = ChargingSession.objects.select_related("user").get(pk=charge.session_id)
    assert kept.user is not None
    assert (kept.user.username, kept.cost) == (f"deleted-{user.pk}", Decimal(2))
