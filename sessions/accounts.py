"""What a session is to cost by, and from its rows to its totals (sessions.totals), as often as one likes."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import Q

from chargers.models import Charger
from sessions import oddities
from sessions.models import ChargingSession, Decision, Tariff
from sessions.pricing import Price
from sessions.totals import Facts, Limit, Register, Settled, Totals, Verdict, totals

FIELDS = ("energy_wh", "stopped_at", "cost")


def price_for(charger: Charger) -> Price | None:
    """The station's tariff, else the default one, else none."""
    tariffs = Tariff.objects.filter(Q(stations=charger.station_id) | Q(is_default=True))
    tariff = tariffs.order_by("is_default", "pk").first()
    if tariff is None:
        return None
    prices = (tariff.price_per_kwh, tariff.price_per_minute, tariff.price_per_session)
    return Price(tariff.currency, *prices, tariff.tax_percent)


def limit() -> Limit:
    """What a register may do here. A charger's times are believed to as much as its clock is."""
    return Limit(settings.MAX_POWER_KW * 1000, timedelta(seconds=settings.CLOCK_SKEW_TOLERANCE_S))


def facts_of(session: ChargingSession) -> Facts:
    """What was told of a session, and decided about it; nothing that was reckoned, but where its readings are gone."""
    if session.readings_kept == ChargingSession.Kept.NONE:
        return _facts_without_readings(session)
    rows = session.readings.order_by("measured_at", "energy_wh").values_list("measured_at", "energy_wh")
    seen = list(rows)
    begun_at = session.started_at or session.created_at
    return Facts(
        price=session.price,
        started_at=session.started_at,
        meter_start_wh=session.meter_start_wh,
        stop_at=session.stop_told_at,
        meter_stop_wh=session.meter_stop_wh,
        registers=[Register(at, wh) for at, wh in seen if wh is not None],
        last_seen_at=seen[-1][0] if seen else begun_at,
        limit=limit(),
        verdict=verdict_on(session),
    )


def _facts_without_readings(session: ChargingSession) -> Facts:
    """Its totals are facts now: what its readings said is in them alone."""
    return Facts(
        price=session.price,
        started_at=session.started_at,
        meter_start_wh=session.meter_start_wh,
        stop_at=session.stop_told_at,
        meter_stop_wh=session.meter_stop_wh,
        registers=[],
        last_seen_at=session.stopped_at or session.started_at or session.created_at,
        limit=limit(),
        verdict=verdict_on(session),
        settled=Settled(session.energy_wh),
    )


def verdict_on(session: ChargingSession) -> Verdict:
    """What people decided, the later before the earlier; a correction also undoes a voiding."""
    verdict = Verdict()
    words = Decision.Verdict
    decided = session.decisions.filter(verdict__in=(words.CORRECTED, words.VOIDED))
    for decision in decided.order_by("decided_at", "pk"):
        if decision.verdict == words.VOIDED:
            verdict = verdict._replace(is_void=True)
        else:
            verdict = verdict._replace(is_void=False, **_given(decision.after["given"]))
    return verdict


def _given(given: dict[str, Any]) -> dict[str, Any]:
    """A correction as its decision keeps it, in JSON, in our types."""
    read: dict[str, Callable[[Any], Any]]
    read = {"energy_wh": int, "cost": Decimal, "stopped_at": datetime.fromisoformat}
    return {name: read[name](value) for name, value in given.items()}


def recount(session: ChargingSession, *, frame: str = "") -> Totals:
    """Set the totals by the facts, and say what is doubtful about them. The caller saves."""
    found = totals(facts_of(session))
    session.energy_wh, session.stopped_at, session.cost = found.energy_wh, found.stopped_at, found.cost
    is_judged = session.readings_kept != ChargingSession.Kept.NONE
    if is_judged and "suspect" not in {doubt.flag for doubt in found.doubts}:
        oddities.settle(session, "suspect")
    for doubt in found.doubts:
        oddities.note(session, doubt.flag, doubt.reason, frame, upshot=doubt.upshot)
    return found


def differences(session: ChargingSession) -> dict[str, tuple[Any, Any]]:
    """Where the stored totals of an ended session are not what its facts give: name → (stored, reckoned)."""
    if session.status != ChargingSession.Status.COMPLETED:
        return {}
    found = totals(facts_of(session))
    pairs = {name: (getattr(session, name), getattr(found, name)) for name in FIELDS}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
