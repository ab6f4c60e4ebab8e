"""The soak: short runs on a database of their own, and a comparison that sees every kind of difference."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from gateway.ocpp.simulated_books import Entry
from gateway.soak import fleet
from gateway.soak.comparison import Truth, differences
from gateway.soak.drivers import Claim
from gateway.soak.servers import complaints_in
from sessions import ledger
from sessions.models import ChargingSession, MeterReading
from tests.factories import make_charger, make_id_tag, make_tariff, make_user
from tests.figures import record
from tests.server_process import ROOT, environment_of

# --- whole runs ---


@contextmanager
def fresh_database(folder: Path) -> Iterator[dict[str, str]]:
    """A database, and a bus, that nobody else uses: the settings of a process on them."""
    if connection.vendor == "sqlite":
        yield {"DATABASE_URL": f"sqlite:///{folder}/soak.sqlite3"}
        return
    name, values = f"soak_{uuid.uuid4().hex[:8]}", connection.settings_dict
    user = f"{values['USER']}:{values['PASSWORD']}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    try:
        yield {
            "DATABASE_URL": f"postgresql://{user}@{values['HOST']}:{values['PORT']}/{name}",
            "REDIS_URL": f"{settings.REDIS_URL.rpartition('/')[0]}/9",
        }
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def soak(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "soak", *arguments],
        cwd=ROOT,
        env=environment_of(**environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.timeout(300)
@pytest.mark.django_db(transaction=True)
def test_short_soak_finds_no_difference(tmp_path: Path) -> None:
    """E1, E2, E3, E21, E22, E27, E28, E36, E38, E41: with every fault, servers killed, one or two of them."""
    processes = "2" if settings.REDIS_URL else "1"
    books = tmp_path / "books"
    with fresh_database(tmp_path) as environment:
        done = soak(
            environment, "--chargers", "8", "--minutes", "0.3", "--seed", "3", "--processes", processes,
            "--books", str(books),
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "differences: 0" in done.stdout
    transactions = int(done.stdout.partition("  transactions in the books")[0].split()[-1])
    assert transactions > 0
    assert sum('"event":"begin"' in line for line in books.read_text().splitlines()) == transactions


def figure(text: str, name: str) -> int:
    """Of those that a soak prints."""
    return int(text.partition(f"  {name}\n")[0].split()[-1].replace(",", ""))


@pytest.mark.timeout(300)
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(not settings.REDIS_URL, reason="one process cannot leave and be there")
def test_rolling_restart_of_two_processes_under_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """E22, E27: nor is there an error in their logs, and each leaves with status 0."""
    with fresh_database(tmp_path) as environment:
        done = soak(
            environment, "--chargers", "8", "--minutes", os.environ.get("ROLLING_MINUTES", "0.2"), "--seed", "5",
            "--processes", "2", "--no-faults", "--no-kills", "--rolling",
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "differences: 0" in done.stdout
    rolled, transactions = (
        figure(done.stdout, "rolling restarts"),
        figure(done.stdout, "transactions in the books"),
    )
    assert rolled > 0
    assert transactions > 0
    record(
        "rolling restart of two processes under load",
        heals_s=None,
        note=f"{rolled} times, {transactions} transactions, "
        f"{figure(done.stdout, 'messages of chargers and to them'):,} messages of chargers",
    )


@pytest.mark.django_db(transaction=True)
def test_soak_refuses_a_database_with_other_data() -> None:
    make_charger()
    done = soak({}, "--chargers", "1", "--minutes", "0.01")
    assert done.returncode != 0
    assert "other data" in done.stderr


# --- what its report says of the servers' logs ---

LOG = """2026-03-04 19:14:12,001 WARNING gateway.layers: the bus is slow
2026-03-04 19:14:12,345 ERROR gateway.background: background work failed
Traceback (most recent call last):
  File "/app/django/db/backends/utils.py", line 105, in _execute
    return self.cursor.execute(sql, params)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
psycopg.errors.DeadlockDetected: deadlock detected
DETAIL:  Process 1 waits for ShareLock on transaction 7; blocked by process 2.
Process 2 waits for ShareLock on transaction 8; blocked by process 1.
CONTEXT:  while updating tuple (0,23) in relation "chargers_charger"

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/gateway/background.py", line 78, in _every
    await work()
django.db.utils.OperationalError: deadlock detected
DETAIL:  Process 1 waits for ShareLock on transaction 7; blocked by process 2.
CONTEXT:  while updating tuple (0,23) in relation "chargers_charger"

evcharge listens on http://127.0.0.1:40001/
2026-03-04 19:14:13,000 ERROR gateway.consumer: no handler for layer message x
evcharge listens on http://127.0.0.1:40002/
2026-03-04 19:14:14,000 ERROR gateway.consumer: a socket's task failed
Traceback (most recent call last):
  File "/app/gateway/db.py", line 52, in in_db
    raise
TimeoutError
"""


def test_an_error_in_a_servers_log_is_told_with_the_exception_it_came_to() -> None:
    """Not with what PostgreSQL or the next line adds; of one that was caused by another, the last."""
    assert complaints_in(LOG) == [
        "2026-03-04 19:14:12,345 ERROR gateway.background: background work failed"
        " … django.db.utils.OperationalError: deadlock detected",
        "2026-03-04 19:14:13,000 ERROR gateway.consumer: no handler for layer message x",
        "2026-03-04 19:14:14,000 ERROR gateway.consumer: a socket's task failed … TimeoutError",
    ]


# --- what the comparison sees ---

BEGAN = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
ENDED = BEGAN + timedelta(minutes=10)


class Case:
    """One transaction as it happened, and as the ledger has it."""

    def __init__(self) -> None:
        self.driver, self.charger = make_user(), make_charger()
        card = make_id_tag(user=self.driver)
        tariff = {"price_per_kwh": Decimal("0.5"), "price_per_minute": Decimal("0.1"), "price_per_session": 1}
        assert self.charger.station is not None
        make_tariff(stations=[self.charger.station], **tariff)
        self.entry = Entry(
            1, self.charger.identity, 1, card.value, 1_000, BEGAN.isoformat(), BEGAN,
            meter_stop_wh=3_345, stopped=ENDED.isoformat(), ended_at=ENDED, reason="Local",
        )  # fmt: skip
        self.truth = Truth(
            cards={card.value: self.driver.pk},
            claims=[],
            remote_starts={},
            forgets_numbers=set(),
            misreads=set(),
            per_kwh=Decimal("0.5"),
            per_minute=Decimal("0.1"),
            per_session=Decimal(1),
        )

    def start(self, **changes: Any) -> int:
        facts = {
            "charger_id": self.charger.pk,
            "connector_number": 1,
            "id_tag": self.entry.id_tag,
            "meter_start_wh": 1_000,
            "reported_at": BEGAN,
            "reported": BEGAN.isoformat(),
        }
        return ledger.start_session(**{**facts, **changes}).session.pk

    def stop(self, transaction_id: int | None, **changes: Any) -> None:
        facts = {
            "charger_id": self.charger.pk,
            "transaction_id": transaction_id,
            "meter_stop_wh": 3_345,
            "reported_at": ENDED,
            "reported": ENDED.isoformat(),
            "id_tag": self.entry.id_tag,
        }
        ledger.stop_session(**{**facts, **changes})

    def found(self, *entries: Entry) -> list[str]:
        return [each.what for each in differences(entries or [self.entry], self.charger.identity, self.truth)]


@pytest.fixture
def case(db: None) -> Case:
    return Case()


@pytest.fixture
def session(case: Case) -> ChargingSession:
    """Told in full, and as it was."""
    pk = case.start()
    case.stop(pk)
    return ChargingSession.objects.get(pk=pk)


def change(session: ChargingSession, **values: Any) -> None:
    ChargingSession.objects.filter(pk=session.pk).update(**values)


def test_truth_has_no_difference(case: Case, session: ChargingSession) -> None:
    assert case.found() == []
    assert session.cost == Decimal("3.17")  # 2.345 × 0.5 + 10 × 0.1 + 1, by hand


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"energy_wh": 2_346}, "its energy is"),
        ({"cost": Decimal("3.18")}, "its cost is"),
        ({"currency": "SEK"}, "its cost is"),
        ({"started_at": BEGAN + timedelta(milliseconds=1)}, "it started at"),
        ({"stopped_at": ENDED - timedelta(milliseconds=1)}, "it stopped at"),
        ({"meter_stop_wh": 3_344}, "its meter stopped at"),
        ({"status": "active"}, "its status is"),
        ({"user": None}, "not the card's owner's"),
        ({"flags": ["suspect"]}, "waits for a person without a reason"),
        ({"meter_start_wh": 999}, "does not know"),
    ],
)
def test_difference_is_seen(case: Case, session: ChargingSession, values: dict[str, Any], says: str) -> None:
    change(session, **values)
    assert any(says in what for what in case.found()), case.found()


def test_transaction_that_is_missing_or_too_many_is_seen(case: Case, session: ChargingSession) -> None:
    other = replace(case.entry, number=2, meter_start_wh=5)
    assert case.found(case.entry, other) == ["a transaction that the ledger does not know"]
    assert case.found(other) == ["a transaction that the ledger does not know", "a session of no transaction"]
    session.pk = session.transaction_id = None
    session.start_reported = (
        BEGAN.astimezone(UTC).isoformat().replace("+00:00", "Z")
    )  # the same moment, spelled anew
    session.status = "pending"
    session.save()
    change(session, transaction_id=session.pk, status="completed")
    assert "2 sessions of one transaction" in case.found()


def test_what_is_left_open_is_seen(case: Case, session: ChargingSession) -> None:
    change(session, status="stopping")
    case.charger.commands.create(action="reset", params={}, status="sent")
    assert "a session is still open" in case.found()
    assert any("a command without an end" in what for what in case.found())


def test_app_start_belongs_to_the_driver_who_was_told_of_it(case: Case, session: ChargingSession) -> None:
    claim = Claim(case.driver.pk, "call", session.pk, case.charger.identity, 1)
    case.truth = replace_claims(case.truth, [claim], {"call": case.entry.id_tag})
    assert case.found() == []
    stranger = replace(claim, user_id=make_user().pk)
    case.truth = replace_claims(case.truth, [stranger], {"call": case.entry.id_tag})
    assert any("but the driver was told" in what for what in case.found())


def replace_claims(truth: Truth, claims: list[Claim], remote_starts: dict[str, str]) -> Truth:
    return Truth(
        cards={},
        claims=claims,
        remote_starts=remote_starts,
        forgets_numbers=set(),
        misreads=set(),
        per_kwh=truth.per_kwh,
        per_minute=truth.per_minute,
        per_session=truth.per_session,
    )


def test_acknowledged_meter_values_that_are_gone_are_seen(case: Case, session: ChargingSession) -> None:
    MeterReading.objects.create(
        session=session, charger=case.charger, connector_number=1, measured_at=BEGAN, received_at=BEGAN,
        context="Sample.Periodic", energy_wh=1_000, sampled_values=[], digest=1,
    )  # fmt: skip
    case.entry.acknowledged = 1
    assert case.found() == []
    case.entry.acknowledged = 2
    assert any("acknowledged meter values" in what for what in case.found())


def test_register_that_jumped_has_to_wait_for_a_person(case: Case) -> None:
    """E38: the energy cannot be known; what must hold is the flag and the queue."""
    pk = case.start()
    case.stop(pk, meter_stop_wh=90_000_000)
    case.entry.meter_stop_wh = 90_000_000
    case.entry.marks.append("register_jump")
    assert case.found() == []
    ChargingSession.objects.filter(pk=pk).update(review="")
    assert any("its register jumped" in what for what in case.found())


def test_stop_that_was_never_told_has_to_wait_for_a_person(case: Case) -> None:
    """E29: and bills no more than what flowed."""
    pk = case.start()
    case.start(meter_start_wh=4_000, reported_at=ENDED, reported=ENDED.isoformat())
    case.entry.marks.append("stop_lost")
    second = replace(case.entry, number=2, meter_start_wh=4_000, started=ENDED.isoformat(), stopped=None)
    assert case.found(case.entry, second) == [
        "a session is still open",
        "the soak left a transaction running",
        "a session of no transaction",
    ]
    ChargingSession.objects.filter(pk=pk).update(energy_wh=2_346)
    assert any("more than the 2345 that flowed" in what for what in case.found(case.entry, second))
    ChargingSession.objects.filter(pk=pk).update(review="")
    assert any("its end was never told" in what for what in case.found(case.entry, second))
    case.entry.marks.clear()
    assert "its stop is not there" in case.found(case.entry, second)


def test_start_that_was_never_told_has_to_wait_for_a_person(case: Case) -> None:
    """E26."""
    case.stop(-1)
    assert "a transaction that the ledger does not know" in case.found()
    case.entry.marks.append("start_lost")
    assert case.found() == []
    ChargingSession.objects.update(review="")
    assert case.found() == ["its start was never told, and it is not flagged so and waiting"]
    ChargingSession.objects.all().delete()
    assert case.found() == ["its start was never told, and its stop is nowhere"]


@pytest.mark.parametrize("wrong", ["1970-01-01T00:10:00Z", "2999-01-01T00:00:00Z"])
def test_impossible_clock_counts_when_it_was_heard_and_is_flagged(case: Case, wrong: str) -> None:
    """E41."""
    case.entry.began_at = case.entry.ended_at = datetime.now(UTC)
    pk = case.start(reported=wrong, reported_at=datetime.fromisoformat(wrong))
    case.stop(pk, reported=wrong, reported_at=datetime.fromisoformat(wrong))
    case.entry.started = case.entry.stopped = wrong
    assert [what for what in case.found() if "energy" not in what] == []
    ChargingSession.objects.filter(pk=pk).update(flags=[], started_at=BEGAN)
    assert [what for what in case.found() if "clock was off" in what] != []


def test_difference_says_all_that_is_known(case: Case, session: ChargingSession) -> None:
    change(session, energy_wh=1)
    (first, *_) = differences([case.entry], case.charger.identity, case.truth)
    text = str(first)
    assert case.charger.identity in text
    assert "'energy_wh': 1" in text


class Delivering:
    """A charger that delivers some of what it kept at every look."""

    identity, registration, connectors = "SLOW", "Accepted", dict[int, object]()

    def __init__(self, kept: int, at_a_time: int) -> None:
        self.kept_messages, self.at_a_time = kept, at_a_time
        self.uplink = self

    ready = True

    @property
    def is_quiet(self) -> bool:
        return self.kept_messages == 0

    def recover(self) -> None:
        self.kept_messages = max(0, self.kept_messages - self.at_a_time)


async def settle(charger: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "LOOK_S", 0.01)
    whole = fleet.Fleet([], seed=1, rates={}, books=None)
    whole.chargers = {"SLOW": charger}
    await whole._settle(patience_s=0.02)


async def test_chargers_that_go_on_delivering_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fleet with much to deliver takes longer than any fixed time; one that delivers nothing is given up."""
    await settle(charger := Delivering(50, at_a_time=1), monkeypatch)
    assert charger.is_quiet
    with pytest.raises(RuntimeError, match=r"not recovered: 1, such as SLOW .* 50 messages kept"):
        await settle(Delivering(50, at_a_time=0), monkeypatch)
