"""A local list on the wire: asked for when the charger comes, sent, kept in step with the cards, mended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from chargers.models import Charger
from sessions.models import IdTag, LocalList
from tests import wire
from tests.conftest import Site
from tests.factories import make_charger, make_id_tag
from tests.wire import eventually

PER_MESSAGE = 40


class Memory:
    """What a charger knows by heart, kept as OCPP 1.6 §5.15 has it; `heard` are the messages it took or refused."""

    def __init__(self) -> None:
        self.version, self.entries = 0, dict[str, dict[str, Any]]()
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.refuse_with: list[str] = []  # answers to the next messages, instead of taking them

    def answer(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        self.heard.append((action, payload))
        if action == "GetLocalListVersion":
            return {"listVersion": self.version}
        assert action == "SendLocalList"
        return {"status": self.refuse_with.pop(0) if self.refuse_with else self.take(payload)}

    def take(self, payload: dict[str, Any]) -> str:
        entries = payload.get("localAuthorizationList", [])
        assert len(entries) <= PER_MESSAGE
        if payload["updateType"] == "Differential" and payload["listVersion"] <= self.version:
            return "VersionMismatch"
        if payload["updateType"] == "Full":
            self.entries = {}
        for entry in entries:
            self.entries.pop(entry["idTag"], None)
            if "idTagInfo" in entry:
                self.entries[entry["idTag"]] = entry["idTagInfo"]
        self.version = payload["listVersion"]
        return "Accepted"

    @property
    def kinds(self) -> list[str]:
        """Of the messages with entries, how they were meant."""
        return [payload["updateType"] for action, payload in self.heard if action == "SendLocalList"]


@asynccontextmanager
async def online(site: Site, charger: Charger, memory: Memory) -> AsyncIterator[None]:
    """The charger at its socket, answering out of its memory."""
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.ready()

        async def answer_all() -> None:
            while True:
                _, message_id, action, payload = await point.calls.get()
                await point.answer(message_id, memory.answer(action, payload))

        answering = asyncio.create_task(answer_all())
        try:
            yield
        finally:
            answering.cancel()


def make_listed() -> Charger:
    limits = {"SendLocalListMaxLength": str(PER_MESSAGE), "LocalAuthListMaxLength": "100000"}
    charger = make_charger(configuration=limits)
    LocalList.objects.create(charger=charger)
    return charger


async def in_step(charger: Charger, memory: Memory) -> LocalList:
    """Wait until the charger knows every card, and we know that it does."""

    def local() -> LocalList | None:
        row = LocalList.objects.get(charger=charger)
        is_known = row.state == "in_step" and set(row.entries) == set(
            IdTag.objects.values_list("value", flat=True)
        )
        return row if is_known and row.entries == memory.entries else None

    found = await eventually(local)
    assert isinstance(found, LocalList)
    return found


async def test_a_charger_knows_the_cards_by_heart_and_hears_of_what_changes(site: Site) -> None:
    """E42"""
    parent = make_id_tag()
    card = make_id_tag(parent=parent)
    for _ in range(PER_MESSAGE):
        make_id_tag()
    charger, memory = make_listed(), Memory()
    async with online(site, charger, memory):
        await in_step(charger, memory)
        assert memory.heard[0][0] == "GetLocalListVersion"
        assert memory.kinds[0] == "Full" and set(memory.kinds[1:]) == {"Differential"}
        assert memory.entries[card.value] == {"status": "Accepted", "parentIdTag": parent.value}
        versions = [payload["listVersion"] for action, payload in memory.heard if action == "SendLocalList"]
        assert versions == sorted(set(versions)) and versions[0] >= 1
        # Tags change: one message says it.
        before = len(memory.heard)
        IdTag.objects.filter(pk=card.pk).update(is_blocked=True)
        local = await eventually(
            lambda: LocalList.objects.filter(charger=charger, version__gt=versions[-1]).first()
        )
        local = await in_step(charger, memory)
        assert len(memory.heard) == before + 1
        assert memory.entries[card.value]["status"] == "Blocked"
        assert local.version == memory.version
    # It comes back: it is asked, and has what we think it has.
    memory.heard.clear()
    async with online(site, charger, memory):
        await eventually(lambda: memory.heard)
        await in_step(charger, memory)
        assert [action for action, _ in memory.heard] == ["GetLocalListVersion"]
    # It comes back with what somebody else gave it.
    memory.heard.clear()
    memory.version, memory.entries = 4000, {"STRANGER": {"status": "Accepted"}}
    async with online(site, charger, memory):
        await eventually(lambda: memory.kinds)
        local = await in_step(charger, memory)
        assert memory.kinds[0] == "Full"
        assert "STRANGER" not in memory.entries
        assert local.version == memory.version > 4000


async def test_a_mismatch_is_answered_with_the_full_list(site: Site) -> None:
    """E42: OCPP 1.6 §5.15"""
    make_id_tag()
    charger, memory = make_listed(), Memory()
    async with online(site, charger, memory):
        await in_step(charger, memory)
        memory.heard.clear()
        memory.refuse_with.append("VersionMismatch")
        make_id_tag()
        await eventually(lambda: len(memory.kinds) >= 2)
        await in_step(charger, memory)
        refused, resent = memory.heard[0][1], memory.heard[1][1]
        assert (refused["updateType"], resent["updateType"]) == ("Differential", "Full")
        assert resent["listVersion"] > refused["listVersion"]
        assert memory.kinds.count("Full") == 1
