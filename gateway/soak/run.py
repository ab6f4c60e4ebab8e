"""One soak from beginning to end: rows, servers, fleet, drivers, trouble, recovery, comparison."""

import asyncio
import contextlib
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import transaction

from chargers.models import Charger, Command, Connector, Station
from gateway.auth import tokens_for
from gateway.soak.comparison import Difference, Truth, differences
from gateway.soak.drivers import AppLine, Claim, Driver
from gateway.soak.fleet import CONNECTORS, Fleet
from gateway.soak.servers import Mishap, Servers
from sessions.models import ChargingSession, IdTag, MeterReading, Tariff

PREFIX = "SOAK"
SETTLE_S, LOOK_S = 180.0, 0.5
# Prices at which a few seconds' charge costs more than a few cents.
PRICES = {
    "price_per_kwh": Decimal("7.6543"),
    "price_per_minute": Decimal("1.2345"),
    "price_per_session": Decimal("0.5000"),
}


@dataclass(frozen=True)
class Plan:
    chargers: int
    seconds: float
    seed: int
    processes: int
    mishaps: Sequence[Mishap]
    rates: Mapping[str, float]
    books: Path | None = None


@dataclass
class Report:
    figures: dict[str, int] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)


def is_strangers(model: type[ChargingSession | Charger | Tariff | User], **ours: str) -> bool:
    return model._default_manager.exclude(**ours).exists()


def has_other_data() -> bool:
    """Whether the database holds anything that no soak wrote."""
    return (
        is_strangers(Charger, identity__startswith=f"{PREFIX}")
        or is_strangers(User, username__startswith=PREFIX.lower())
        or is_strangers(Tariff, name__startswith=PREFIX)
        or is_strangers(ChargingSession, charger__identity__startswith=PREFIX)
    )


@dataclass(frozen=True)
class Rows:
    """What this run wrote before it began; earlier runs on the same database have numbers of their own."""

    prefix: str
    identities: list[str]
    users: list[User]
    cards: list[str]


@transaction.atomic
def make_rows(count: int) -> Rows:
    run = Station.objects.filter(name__startswith=PREFIX).count() + 1
    prefix = f"{PREFIX}{run}-"
    station = Station.objects.create(name=f"{PREFIX} {run}")
    tariff = Tariff.objects.create(name=f"{PREFIX} {run}", currency="EUR", **PRICES)
    tariff.stations.add(station)
    identities = [f"{prefix}{number:03}" for number in range(1, count + 1)]
    chargers = Charger.objects.bulk_create(
        Charger(identity=identity, station=station) for identity in identities
    )
    Connector.objects.bulk_create(
        Connector(charger=charger, number=number)
        for charger in chargers
        for number in range(1, CONNECTORS + 1)
    )
    # They have no password: their tokens are made here.
    names = [f"{prefix}{number:03}".lower() for number in range(1, count + 1)]
    users = get_user_model().objects.bulk_create(User(username=name, password="!") for name in names)  # noqa: S106
    cards = [f"{prefix}C{number:03}" for number in range(1, count + 1)]
    IdTag.objects.bulk_create(IdTag(value=card, user=user) for card, user in zip(cards, users, strict=True))
    return Rows(prefix, identities, users, cards)


async def soak(plan: Plan, say: Callable[[str], object]) -> Report:
    """Run it; the report's differences are what went wrong."""
    rows = await sync_to_async(make_rows)(plan.chargers)
    report, claims = Report(), list[Claim]()
    chance = random.Random(f"{plan.seed}:servers")
    servers = Servers(plan.processes, chance)
    fleet = Fleet(rows.identities, seed=plan.seed, rates=plan.rates, books=plan.books)
    lines: list[AppLine] = []
    try:
        await servers.start()
        say(f"{plan.processes} server processes serve; {plan.chargers} chargers dial")
        fleet.dial(servers.url)
        await _trouble(plan, rows, servers, fleet, lines, claims, report, say)
        say("recovering: faults off, cars gone, everything kept is delivered")
        await fleet.recover(patience_s=SETTLE_S)
        report.figures["unsettled"] = await _settled(rows.prefix)
        await servers.stop()
    finally:
        await fleet.close()
        report.complaints = servers.complaints()
        servers.close()
    await sync_to_async(_judge)(rows, fleet, claims, report)
    report.faults = fleet.struck
    report.figures |= {
        "chargers": plan.chargers,
        "server processes": plan.processes,
        "servers killed": servers.count["kill"],
        "rolling restarts": servers.count["rolling"],
        "Redis restarts": servers.count["redis"],
        "connections of chargers": fleet.connections,
        "messages of chargers and to them": sum(fleet.messages.values()),
        "messages to apps": sum(sum(line.heard.values()) for line in lines),
        "faults": sum(fleet.struck.values()),
    }
    return report


async def _trouble(
    plan: Plan,
    rows: Rows,
    servers: Servers,
    fleet: Fleet,
    lines: list[AppLine],
    claims: list[Claim],
    report: Report,
    say: Callable[[str], object],
) -> None:
    """Drivers drive and servers die for as long as planned."""
    tasks = []
    for number, (user, card) in enumerate(zip(rows.users, rows.cards, strict=True)):
        line = AppLine(servers.url, lambda user=user: asyncio.to_thread(lambda: tokens_for(user)[0]))  # type: ignore[misc]
        lines.append(line)
        driver = Driver(
            user_id=user.pk,
            card=card,
            chargers=list(fleet.chargers.values()),
            line=line,
            chance=random.Random(f"{plan.seed}:{number}:driver"),
            claims=claims,
            outcomes=report.outcomes,
        )
        tasks.append(asyncio.create_task(driver.drive()))
    until = time.monotonic() + plan.seconds
    mishaps = asyncio.create_task(_mishaps(servers, plan, until, say)) if plan.mishaps else None
    try:
        # A driver or a mishap that fails ends the run, with its trace.
        done, _ = await asyncio.wait(tasks, timeout=plan.seconds, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
        if mishaps is not None:
            await mishaps
    finally:
        for task in [*tasks, *([mishaps] if mishaps else [])]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _mishaps(servers: Servers, plan: Plan, until: float, say: Callable[[str], object]) -> None:
    """One after the other; all serve again at the end."""
    chance = random.Random(f"{plan.seed}:kills")
    turns = itertools.cycle(chance.sample(plan.mishaps, len(plan.mishaps)))
    most_s = min(15, plan.seconds / 2)
    while (pause_s := chance.uniform(most_s / 3, most_s)) < until - time.monotonic():
        await asyncio.sleep(pause_s)
        mishap = next(turns)
        await servers.befall(mishap)
        so_far = servers.count[mishap]
        say(f"{mishap}: {so_far} so far; {max(0, until - time.monotonic()):.0f} s to go")


async def _settled(prefix: str) -> int:
    """Wait for what ends by time: starts that came to nothing, commands nobody answered. How many are left."""
    left = 0
    for _ in range(int(SETTLE_S / LOOK_S)):
        if not (left := await sync_to_async(_open)(prefix)):
            break
        await asyncio.sleep(LOOK_S)
    return left


def _open(prefix: str) -> int:
    sessions = ChargingSession.objects.filter(
        charger__identity__startswith=prefix, status__in=ChargingSession.OPEN
    )
    commands = Command.objects.filter(charger__identity__startswith=prefix, finished_at=None)
    return sessions.count() + commands.count()


def _judge(rows: Rows, fleet: Fleet, claims: list[Claim], report: Report) -> None:
    truth = Truth(
        cards={card: user.pk for card, user in zip(rows.cards, rows.users, strict=True)},
        claims=claims,
        remote_starts=fleet.remote_starts,
        forgets_numbers=fleet.with_quirk("minus_one"),
        misreads=fleet.with_quirk("kwh_without_unit"),
        per_kwh=PRICES["price_per_kwh"],
        per_minute=PRICES["price_per_minute"],
        per_session=PRICES["price_per_session"],
    )
    report.differences = list(differences(fleet.books, rows.prefix, truth))
    mine = ChargingSession.objects.filter(charger__identity__startswith=rows.prefix)
    for flags in mine.values_list("flags", flat=True):
        report.flags.update(flags)
    report.figures |= {
        "transactions in the books": len(fleet.books),
        "sessions in the ledger": mine.exclude(transaction_id=None).count(),
        "sessions that wait for a person": mine.filter(review="waiting").count(),
        "starts that came to nothing": mine.filter(transaction_id=None).count(),
        "starts told to drivers": len(claims),
        "meter values stored": MeterReading.objects.filter(charger__identity__startswith=rows.prefix).count(),
        "commands": Command.objects.filter(charger__identity__startswith=rows.prefix).count(),
    }


def allow_open_files(count: int) -> None:
    """Each charger has two sockets at times, each driver one."""
    with contextlib.suppress(ImportError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        count = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
