"""More than a process can take: it says so, or stops reading, and its memory stays what it was."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec
import pytest
from django.db import connection, transaction
from websockets.exceptions import InvalidStatus

from gateway import actions, db
from gateway.errors import Unavailable
from tests import wire
from tests.charge import at
from tests.conftest import Site
from tests.factories import make_charger, make_user
from tests.server_here import server_here

MIB = 1024 * 1024


async def test_one_charger_too_many_is_told_to_come_again(committed: None) -> None:
    async with server_here(MAX_CHARGER_SOCKETS=1) as url:
        async with wire.charger(url, make_charger().identity) as first:
            await first.call("Heartbeat")
            with pytest.raises(InvalidStatus) as refused:
                async with wire.charger(url, make_charger().identity):
                    pass
            assert refused.value.response.status_code == 503
            assert 6 <= int(refused.value.response.headers["Retry-After"]) <= 21  # 5 to 20 s, by lot
            await first.call("Heartbeat")
        async with asyncio.timeout(wire.TIMEOUT_S):
            while True:
                with suppress(InvalidStatus):  # until the first has been seen off
                    async with wire.charger(url, make_charger().identity) as next_one:
                        await next_one.call("Heartbeat")
                        return


async def test_an_action_is_refused_where_too_much_waits_for_the_database(
    committed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, nothing = make_user(), msgspec.Raw(b"{}")
    assert await actions.perform(user, "list_chargers", nothing)
    monkeypatch.setattr(db, "MAX_WAITING", 0)
    with pytest.raises(Unavailable):
        await actions.perform(user, "list_chargers", nothing)


@contextmanager
def nothing_is_written() -> Iterator[None]:
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE charging_meterreading IN EXCLUSIVE MODE")
        yield


async def test_a_charger_is_not_read_while_what_it_said_waits(site: Site) -> None:
    """So a database that is slow fills no memory of ours: TCP holds the charger back."""
    charger = make_charger()
    frame = ["", "MeterValues", {"connectorId": 1, "meterValue": [
        {"timestamp": at(), "sampledValue": [{"value": "1", "format": "x" * 100_000}]},
    ]}]  # fmt: skip
    said = 0
    async with wire.charger(site.charger_url, charger.identity) as point:
        await point.ready()
        with nothing_is_written():
            with suppress(TimeoutError):
                while said < 64 * MIB:
                    text = json.dumps([2, f"m{said}", *frame[1:]])
                    await asyncio.wait_for(point.socket.send(text), 1)
                    said += len(text)
            assert said < 32 * MIB  # what the two kernels keep
        point.socket.transport.abort()
