"""A phone that reads nothing while much is told: the server stays small, and no ending is lost (E46)."""

import asyncio
import os
import random
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed

from gateway.inbox import MAX_WAITING
from sessions import feed
from tests import wire
from tests.benchmarks.processes import memory_kib
from tests.charge import Charge, Scene, at, begin, end, scene
from tests.conftest import Site, stack
from tests.factories import token_of
from tests.figures import record
from tests.flows.test_resume import ENDINGS, Phone
from tests.server_process import ServerProcess

SILENT_S = float(os.environ.get("SLOW_READER_S", "3"))
FILL = 30  # answers, large ones, until the line to it is full
CHARGES, TICKS_PER_S = 4, 50


pytestmark = pytest.mark.skipif(stack() != "real", reason="more is between a charger and a phone with a bus")


@asynccontextmanager
async def phone_with_little_room(url: str, token: str) -> AsyncIterator[wire.App]:
    """What it does not read stays with the server: its own buffers are small, and so are the kernel's for it."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    line.connect((urlsplit(url).hostname, urlsplit(url).port))
    line.setblocking(False)
    async with wire.app(url, token, sock=line, max_queue=1, ping_interval=None) as app:
        yield app


@pytest.mark.timeout(60 + 2 * SILENT_S)
async def test_a_reader_that_reads_nothing_for_long_costs_little_and_misses_no_ending(site: Site) -> None:
    """E46: under 50 ticks a second. It is closed with a code that sends it back, and is told the rest in order."""
    async with scene(site) as s, phone_with_little_room(site.app_url, token_of(s.user)) as silent:
        phone = Phone(site, token_of(s.user), random.Random(0))
        await silent.act("subscribe", {"charger_ids": [s.identity]})
        told = [await charged(s, seconds=0.2)]
        while phone.last_seq < newest_of(s):
            phone.hear(await silent.receive())
        heard = len(silent.heard)
        for number in range(FILL):
            await silent.send({"action": "get_active_session", "request_id": f"{number:060000}"})
        memory_kib_before, most_waiting = memory_kib(site.apps.process.pid), 0
        for _ in range(CHARGES):
            told.append(await charged(s, seconds=SILENT_S / CHARGES))
            most_waiting = max(most_waiting, waiting(site.apps))
        grown_mib = (memory_kib(site.apps.process.pid) - memory_kib_before) / 1024
        for number in range(MAX_WAITING // 2 + 1):  # of each the socket hears twice, and none may be left out
            await s.point.status(2, ("Preparing", "Available")[number % 2])
        back_at, newest = time.monotonic(), newest_of(s)
        code = await read_on(phone, silent, newest)
        read = sum('"meter_value"' in text for text in silent.heard[heard:])
    await phone.catch_up(newest)
    record(
        f"an app reads nothing for {SILENT_S:g} s, under {TICKS_PER_S} ticks a second",
        heals_s=time.monotonic() - back_at,
        note=f"after it read on, closed with {code}, until it had the newest message; {most_waiting} messages waited "
        f"at most, {read} of {SILENT_S * TICKS_PER_S:,.0f} ticks were read, the server grew by {grown_mib:.1f} MiB",
    )
    assert phone.kept == list(range(1, newest + 1))
    endings = [(each["session_id"], each["event"]) for each in phone.heard if each.get("event") in ENDINGS]
    assert endings == [(session_id, event) for session_id in told for event in ENDINGS]
    assert read < SILENT_S * TICKS_PER_S / 2
    assert most_waiting < MAX_WAITING / 2
    assert grown_mib < 16
    assert code in (1013, 1006)  # nothing gets through to who does not read long enough, not even a code


def newest_of(s: Scene) -> int:
    return feed.newest([s.user.pk])[s.user.pk]


async def charged(s: Scene, *, seconds: float) -> int:
    """A charge that a phone which reads knows of, with all its ticks."""
    charge = await begin(s)
    await tick(s, charge, seconds=seconds)
    await end(s, charge)
    return charge.session_id


async def tick(s: Scene, charge: Charge, *, seconds: float) -> None:
    """Meter values at their rate, whatever becomes of them."""
    begun = time.monotonic()
    for number in range(round(seconds * TICKS_PER_S)):
        await asyncio.sleep(begun + number / TICKS_PER_S - time.monotonic())
        await s.point.meter(transaction=charge.transaction_id, at=at(), energy=1000 + number)


async def read_on(phone: Phone, app: wire.App, newest: int) -> int | None:
    """The rest of what the line has; what it is closed with before it has the newest message."""
    try:
        while phone.last_seq < newest:
            phone.hear(await app.receive())
    except ConnectionClosed as error:
        return error.rcvd.code if error.rcvd else 1006
    return None


def waiting(server: ServerProcess) -> int:
    """Messages that wait for the sockets of this process."""
    found = re.search(
        r'^evcharge_queue_length{queue="sockets"} (\S+)$', server.get("/metrics")[1], re.MULTILINE
    )
    assert found
    return int(float(found[1]))
