"""The ledger against the books: every transaction once, energy, times, money, driver; and nothing left open.

The rules are written here anew, from the charger's facts; none of them is the ledger's own code.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.conf import settings
from django.db.models import Count, Q

from chargers.models import Command
from gateway.ocpp.simulated_books import Entry
from gateway.soak.drivers import Claim
from sessions import accounts
from sessions.models import ChargingSession

OLDEST = datetime(2012, 1, 1, tzinfo=UTC)
END_UNTOLD = {"superseded", "power_loss", "lost_stop"}
FOR_A_PERSON = END_UNTOLD | {"suspect", "recovered", "reconciled", "second_stop"}
MOMENT = timedelta(seconds=2)


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it must be, with all that is known about it."""

    what: str
    entry: Entry | None = None
    session: ChargingSession | None = None

    def __str__(self) -> str:
        lines = [self.what]
        if self.entry is not None:
            lines.append(f"  books:  {asdict(self.entry)}")
        if self.session is not None:
            facts = {name: value for name, value in vars(self.session).items() if not name.startswith("_")}
            lines.append(f"  ledger: {facts}")
            lines += [f"  oddity: {o.flag}: {o.reason}; {o.frame}" for o in self.session.oddities.all()]
        return "\n".join(lines)


@dataclass
class Truth:
    """What is known besides the books: whose cards, whose starts, which chargers have which habits, the prices."""

    cards: Mapping[str, int]
    claims: Iterable[Claim]
    remote_starts: Mapping[str, str]
    forgets_numbers: set[str]
    misreads: set[str]
    """Chargers whose meter values cannot be told from ones a thousand times smaller."""
    per_kwh: Decimal
    per_minute: Decimal
    per_session: Decimal
    users_of_tags: dict[str, Claim] = field(init=False)

    def __post_init__(self) -> None:
        self.users_of_tags = {
            self.remote_starts[claim.message_id]: claim
            for claim in self.claims
            if claim.message_id in self.remote_starts
        }

    def cost(self, energy_wh: int | None, seconds: int) -> Decimal:
        energy = self.per_kwh * Decimal(energy_wh or 0) / 1000
        exact = energy + self.per_minute * seconds / 60 + self.per_session
        return exact.quantize(Decimal("0.01"), ROUND_HALF_UP)


def differences(entries: Iterable[Entry], chargers: str, truth: Truth) -> Iterator[Difference]:
    """All of them; `chargers` is how the identities of this run begin."""
    sessions = list(
        ChargingSession.objects.filter(charger__identity__startswith=chargers)
        .select_related("charger", "connector")
        .annotate(periodic=Count("readings", filter=Q(readings__context="Sample.Periodic")))
        .prefetch_related("oddities")
    )
    yield from _left_open(sessions, chargers)
    told = [session for session in sessions if session.transaction_id is not None]
    by_start: dict[tuple[Any, ...], list[ChargingSession]] = defaultdict(list)
    by_stop: dict[tuple[Any, ...], list[ChargingSession]] = defaultdict(list)
    for session in told:
        if session.meter_start_wh is not None and session.connector is not None:
            by_start[_start_of(session)].append(session)
        if session.meter_stop_wh is not None:
            by_stop[session.charger.identity, session.meter_stop_wh, moment(session.stop_reported)].append(
                session
            )
    known: set[int] = set()
    for entry in entries:
        if entry.stopped is None:
            yield Difference("the soak left a transaction running", entry)
            continue
        found = by_start[_start_in(entry)]
        if len(found) > 1:
            yield Difference(f"{len(found)} sessions of one transaction", entry, found[1])
        elif found:
            yield from (Difference(what, entry, found[0]) for what in _wrong(entry, found[0], truth))
        else:
            same_stop = by_stop[entry.charger, entry.meter_stop_wh, moment(entry.stopped)]
            is_startless = "start_lost" in entry.marks
            found = [session for session in same_stop if is_startless and session.pk not in known]
            yield from _without_start(entry, found, told)
        known.update(session.pk for session in found)
    for session in told:
        if session.pk not in known:
            yield Difference("a session of no transaction", None, session)


def _start_of(session: ChargingSession) -> tuple[Any, ...]:
    assert session.connector is not None  # asked before
    identity, number = session.charger.identity, session.connector.number
    return identity, number, session.id_tag, session.meter_start_wh, moment(session.start_reported)


def _start_in(entry: Entry) -> tuple[Any, ...]:
    return entry.charger, entry.connector, entry.id_tag.upper(), entry.meter_start_wh, moment(entry.started)


def _left_open(sessions: Iterable[ChargingSession], chargers: str) -> Iterator[Difference]:
    for session in sessions:
        if session.status in ChargingSession.OPEN:
            yield Difference("a session is still open", None, session)
    for command in Command.objects.filter(charger__identity__startswith=chargers, finished_at=None):
        yield Difference(f"a command without an end: {command.action} {command.params} {command.status}")


def _wrong(entry: Entry, session: ChargingSession, truth: Truth) -> Iterator[str]:
    """What is wrong about a session whose start was told."""
    if session.status != "completed":
        yield f"its status is {session.status}"
        return
    yield from _wrong_driver(entry, session, truth)
    start_at = _believable(entry.started, entry.began_at)
    if start_at is None:
        yield from _unlike_a_clock_that_is_off(session.started_at, entry.began_at, session)
    elif session.started_at != start_at:
        yield f"it started at {session.started_at}, not {start_at}"
    if session.meter_stop_wh is not None:
        yield from _wrong_end(entry, session, truth)
    elif {"stop_lost", "forgotten"} & set(entry.marks):
        yield from _wrong_untold_end(entry, session, truth)
    else:
        yield "its stop is not there"
    yield from _wrong_money(session, truth)
    stored = vars(session)["periodic"]
    if stored < entry.acknowledged and not _excused(entry, truth):
        yield f"{stored} of its {entry.acknowledged} acknowledged meter values are there"
    if differing := accounts.differences(session):
        yield f"its totals are not what its facts give: {differing}"


def _wrong_driver(entry: Entry, session: ChargingSession, truth: Truth) -> Iterator[str]:
    tag = entry.id_tag.upper()
    claim = truth.users_of_tags.get(tag)
    if claim is not None:
        if (session.pk, session.user_id) != (claim.session_id, claim.user_id):
            yield f"it is session {session.pk} of user {session.user_id}, but the driver was told {claim}"
    elif tag in truth.remote_starts.values():
        if session.user_id is None:
            yield "it was begun from an app and is nobody's"
    elif session.user_id != truth.cards.get(tag):
        yield f"it is user {session.user_id}'s, not the card's owner's, {truth.cards.get(tag)}"


def _wrong_end(entry: Entry, session: ChargingSession, truth: Truth) -> Iterator[str]:
    """Its stop was told, so all is known, unless the meter or the clock lied."""
    assert entry.stopped is not None and entry.ended_at is not None  # asked before
    assert entry.meter_stop_wh is not None and session.started_at is not None
    if session.meter_stop_wh != entry.meter_stop_wh:
        yield f"its meter stopped at {session.meter_stop_wh}, not {entry.meter_stop_wh}"
    stop_at = _believable(entry.stopped, entry.ended_at)
    if stop_at is None:
        yield from _unlike_a_clock_that_is_off(session.stopped_at, entry.ended_at, session)
    elif session.stopped_at != max(stop_at, session.started_at):
        yield f"it stopped at {session.stopped_at}, not {stop_at}"
    elif stop_at < session.started_at and "clock" not in session.flags:
        yield "it stopped before it started, and is not flagged `clock`"
    energy_wh = entry.meter_stop_wh - entry.meter_start_wh
    if "register_jump" in entry.marks:
        if "suspect" not in session.flags or session.review != "waiting":
            yield "its register jumped, and it is not flagged `suspect` and waiting"
    elif session.energy_wh != energy_wh:
        yield f"its energy is {session.energy_wh} Wh, not {energy_wh}"
    elif odd := FOR_A_PERSON & set(session.flags) - _excused(entry, truth):
        yield f"it waits for a person without a reason: {odd}"


def _excused(entry: Entry, truth: Truth) -> set[str]:
    """Flags that the charger's own doing explains, though all came out right."""
    is_nameless = "start_lost" in entry.marks or entry.charger in truth.forgets_numbers
    return {"reconciled"} if is_nameless else set()


def _wrong_untold_end(entry: Entry, session: ChargingSession, truth: Truth) -> Iterator[str]:
    """Nobody was told of its end: what is billed was measured, and a person is asked."""
    if not END_UNTOLD & set(session.flags) or session.review != "waiting":
        yield f"its end was never told, and it is not flagged so and waiting: {session.flags}, {session.review!r}"
    flowed_wh = entry.flowed_wh or 0
    is_measured = "register_jump" not in entry.marks and entry.charger not in truth.misreads
    if is_measured and (session.energy_wh or 0) > flowed_wh:
        yield f"its energy is {session.energy_wh} Wh, more than the {flowed_wh} that flowed"


def _wrong_money(session: ChargingSession, truth: Truth) -> Iterator[str]:
    assert session.started_at is not None and session.stopped_at is not None  # it is completed
    seconds = max(0, round((session.stopped_at - session.started_at).total_seconds()))
    cost = truth.cost(session.energy_wh, seconds)
    if session.cost != cost or session.currency != "EUR":
        yield f"its cost is {session.cost} {session.currency}, not {cost} EUR"


def _unlike_a_clock_that_is_off(
    at: datetime | None, truly_at: datetime, session: ChargingSession
) -> Iterator[str]:
    """The charger's time cannot be: when we heard of it counts, which cannot be before it happened."""
    if at is None or at < truly_at - MOMENT:
        yield f"the charger's clock was off; {at} is before it truly happened, {truly_at}"
    if "clock" not in session.flags:
        yield "the charger's clock was off, and it is not flagged `clock`"


def _without_start(
    entry: Entry, found: Sequence[ChargingSession], told: Sequence[ChargingSession]
) -> Iterator[Difference]:
    """A transaction of which no session has the start: only if the charger gave that message up."""
    if "start_lost" not in entry.marks:
        yield Difference("a transaction that the ledger does not know", entry)
    elif len(found) > 1:
        yield Difference(f"{len(found)} sessions of one stop", entry, found[1])
    elif found:
        session = found[0]
        if not {"recovered", "reconciled"} & set(session.flags) or session.review != "waiting":
            yield Difference("its start was never told, and it is not flagged so and waiting", entry, session)
    elif not {"stop_lost", "forgotten"} & set(entry.marks) and not _is_kept(entry, told):
        yield Difference("its start was never told, and its stop is nowhere", entry)


def _is_kept(entry: Entry, told: Sequence[ChargingSession]) -> bool:
    """Whether its stop is kept with another session, of which a person is asked."""
    needle = str(entry.meter_stop_wh)
    return any(
        needle in oddity.frame + oddity.reason
        for session in told
        if session.charger.identity == entry.charger
        for oddity in session.oddities.all()
    )


def moment(text: str | None) -> datetime | None:
    """What a time text means; without a zone it is UTC."""
    try:
        at = datetime.fromisoformat((text or "").strip())
    except ValueError:
        return None
    return at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)


def _believable(text: str, truly_at: datetime) -> datetime | None:
    """The charger's time, unless no clock can have been so wrong: then ours counts."""
    at = moment(text)
    tolerance = timedelta(seconds=settings.CLOCK_SKEW_TOLERANCE_S)
    return at if at is not None and OLDEST <= at <= truly_at + tolerance else None
