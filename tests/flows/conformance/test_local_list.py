"""Local authorisation list: TC_042, TC_043."""

from typing import Any

import pytest

from sessions.models import LocalList
from tests.conftest import Site
from tests.flows.conformance.stage import stage


@pytest.mark.parametrize("version", [-1, 0])
async def test_local_list_version(site: Site, version: int) -> None:
    """TC_042_1 (not supported), TC_042_2 (empty)"""
    async with stage(site) as s:
        command = await s.asks("GetLocalListVersion", {}, {"listVersion": version})
        assert command.answer == {"listVersion": version}
        assert LocalList.objects.get(charger=s.charger).reported_version == version


def entries(*tags: str) -> list[dict[str, Any]]:
    return [{"idTag": tag, "idTagInfo": {"status": "Accepted"}} for tag in tags]


@pytest.mark.parametrize("status", ["NotSupported", "Failed"])
async def test_a_list_that_is_not_taken(site: Site, status: str) -> None:
    """TC_043_1, TC_043_3"""
    async with stage(site) as s:
        payload = {"listVersion": 1, "updateType": "Full", "localAuthorizationList": entries("D001001")}
        assert (await s.asks("SendLocalList", payload, {"status": status})).status == "rejected"
        known = LocalList.objects.get(charger=s.charger)
        assert (known.entries, known.state) == (
            {},
            {"NotSupported": "unsupported", "Failed": "failed"}[status],
        )


async def test_a_full_list_and_what_is_added_to_it(site: Site) -> None:
    """TC_043_4, TC_043_5"""
    async with stage(site) as s:
        payload = {"listVersion": 1, "updateType": "Full", "localAuthorizationList": entries("D001001")}
        await s.asks("SendLocalList", payload, {"status": "Accepted"})
        known = LocalList.objects.get(charger=s.charger)
        assert (known.version, set(known.entries)) == (1, {"D001001"})
        payload = {
            "listVersion": 2,
            "updateType": "Differential",
            "localAuthorizationList": [*entries("D001002"), {"idTag": "D001001"}],
        }
        await s.asks("SendLocalList", payload, {"status": "Accepted"})
        known.refresh_from_db()
        assert (known.version, set(known.entries)) == (2, {"D001002"})
