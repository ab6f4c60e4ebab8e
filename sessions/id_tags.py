"""Which tag may charge, and whose it is."""

import secrets
from typing import NamedTuple

from chargers.events import utcnow
from sessions.models import IdTag

ACCEPTED, BLOCKED, EXPIRED, INVALID, CONCURRENT = "Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"
MAX_STORED = 40


class Judgement(NamedTuple):
    """`status` is OCPP's AuthorizationStatus; `tag` is None for an unknown one."""

    status: str
    tag: IdTag | None


def normalised(value: str) -> str:
    """Capitals, without control bytes and blanks around: chargers pad, and disagree about case (E40)."""
    return "".join(c for c in value if c.isprintable()).strip().upper()[:MAX_STORED]


def one_time_tag() -> str:
    """A tag for one remote start, at most 20 characters: what comes back with it is that start (house rule 8)."""
    return f"EV{secrets.token_hex(8).upper()}"


def judge(value: str) -> Judgement:
    """Whether the tag with this normalised value may charge."""
    tag = IdTag.objects.select_related("parent").filter(value=value).first()
    if tag is None:
        return Judgement(INVALID, None)
    if tag.is_blocked or (tag.parent and tag.parent.is_blocked):
        return Judgement(BLOCKED, tag)
    if tag.expires_at and tag.expires_at <= utcnow():
        return Judgement(EXPIRED, tag)
    return Judgement(ACCEPTED, tag)
