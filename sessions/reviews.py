"""What a person decides about a session that is odd. Decisions are facts too: totals reckoned anew keep to them.

Each writes down who decided what and why, with the session before and after. The charger's facts stay as they came.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from sessions import accounts, ledger
from sessions.errors import InvalidParameter, NothingToReview, SessionNotEnded, SessionNotRunning
from sessions.models import ChargingSession, Decision
from sessions.queries import with_relations

Review = ChargingSession.Review
Verdict = Decision.Verdict


@transaction.atomic
def accept(*, session: ChargingSession, decided_by: AbstractBaseUser, reason: str = "") -> ChargingSession:
    """It is right as it stands. Raises NothingToReview, SessionNotEnded."""
    session = _ended(session)
    if session.review != Review.WAITING:
        raise NothingToReview
    before = state_of(session)
    session.review = Review.ACCEPTED
    session.save(update_fields=["review", "updated_at"])
    _write(session, Verdict.ACCEPTED, before, reason=reason, decided_by=decided_by)
    return session


@transaction.atomic
def correct(
    *,
    session: ChargingSession,
    decided_by: AbstractBaseUser,
    reason: str,
    energy_wh: int | None = None,
    cost: Decimal | None = None,
    stopped_at: datetime | None = None,
) -> ChargingSession:
    """These are its totals, whatever its facts say; the cost follows from the others where none is given.

    What an earlier correction gave stays, where this one is silent. Raises SessionNotEnded, InvalidParameter.
    """
    if (energy_wh or 0) < 0 or (cost or 0) < 0:
        raise InvalidParameter("Energy and cost are not below zero")
    given = {"energy_wh": energy_wh, "cost": cost, "stopped_at": stopped_at}
    kept = {
        name: value if isinstance(value, int) else str(value)
        for name, value in given.items()
        if value is not None
    }
    return _decide(session, Verdict.CORRECTED, Review.CORRECTED, decided_by, reason, given=kept)


@transaction.atomic
def void(*, session: ChargingSession, decided_by: AbstractBaseUser, reason: str) -> ChargingSession:
    """Nothing is owed for it. Raises SessionNotEnded."""
    return _decide(session, Verdict.VOIDED, Review.VOIDED, decided_by, reason)


@transaction.atomic
def close_stale(*, session: ChargingSession, decided_by: AbstractBaseUser, reason: str) -> ChargingSession:
    """End a running transaction that nobody else will end. Its own stop, if it comes after all, amends it.

    Raises SessionNotRunning.
    """
    session = _locked(session)
    if session.status not in ChargingSession.RUNNING:
        raise SessionNotRunning
    before = state_of(session)
    ledger.end_unheard(session, flag="closed", reason=f"{decided_by} ended it: {reason}")
    _write(session, Verdict.CLOSED, before, reason=reason, decided_by=decided_by)
    return session


def state_of(session: ChargingSession) -> dict[str, Any]:
    """What decisions change, in JSON."""
    return {
        "status": str(session.status),
        "review": str(session.review),
        "energy_wh": session.energy_wh,
        "cost": None if session.cost is None else str(session.cost),
        "stopped_at": session.stopped_at.isoformat() if session.stopped_at else None,
        "flags": list(session.flags),
    }


def _decide(
    session: ChargingSession,
    verdict: Verdict,
    review: Review,
    decided_by: AbstractBaseUser,
    reason: str,
    *,
    given: dict[str, Any] | None = None,
) -> ChargingSession:
    session = _ended(session)
    before, totals = state_of(session), (session.energy_wh, session.cost, session.stopped_at)
    decision = _write(session, verdict, before, reason=reason, decided_by=decided_by, given=given or {})
    accounts.recount(session)  # the decision is among its facts now
    session.review = review
    session.save()
    decision.after = {**state_of(session), "given": given or {}}
    decision.save(update_fields=["after"])
    ledger.announce_change(session, totals)
    return session


def _write(
    session: ChargingSession,
    verdict: Verdict,
    before: dict[str, Any],
    *,
    reason: str,
    decided_by: AbstractBaseUser,
    given: dict[str, Any] | None = None,
) -> Decision:
    return Decision.objects.create(
        session=session,
        verdict=verdict,
        reason=reason[:255],
        before=before,
        after={**state_of(session), "given": given or {}},
        decided_by_id=decided_by.pk,
    )


def _locked(session: ChargingSession) -> ChargingSession:
    """The session as it stands, while nothing else of its charger can change it."""
    ledger.locked_charger(session.charger_id)
    return with_relations(ChargingSession.objects.filter(pk=session.pk)).get()


def _ended(session: ChargingSession) -> ChargingSession:
    session = _locked(session)
    if session.status != ChargingSession.Status.COMPLETED:
        raise SessionNotEnded
    return session
