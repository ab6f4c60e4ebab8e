"""Which tag may charge, and whose it is."""

import secrets
from datetime import datetime
from typing import NamedTuple

from chargers.clock import as_text
from chargers.events import utcnow
from sessions.models import IdTag

ACCEPTED, BLOCKED, EXPIRED, INVALID, CONCURRENT = "Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"
MAX_STORED = 40
MAX_SENT = 20


class Judgement(NamedTuple):
    """`status` is OCPP's AuthorizationStatus; `tag` is None for an unknown one."""

    status: str
    tag: IdTag | None

    @property
    def info(self) -> dict[str, str]:
        """What a charger is told. Only of a tag that may charge is there more to say than the status."""
        if self.tag is None or self.status != ACCEPTED:
            return {"status": self.status}
        return info_of(self.tag, now=utcnow())


def normalised(value: str) -> str:
    """Capitals, without control bytes and blanks around: chargers pad, and disagree about case (E40)."""
    return "".join(c for c in value if c.isprintable()).strip().upper()[:MAX_STORED]


def one_time_tag() -> str:
    """A tag for one remote start, at most 20 characters: what comes back with it is that start."""
    return f"EV{secrets.token_hex(8).upper()}"


def judge(value: str) -> Judgement:
    """Whether the tag with this normalised value may charge."""
    tag = IdTag.objects.select_related("parent").filter(value=value).first()
    return Judgement(status_of(tag, now=utcnow()) if tag else INVALID, tag)


def status_of(tag: IdTag, *, now: datetime) -> str:
    """Whether this tag may charge."""
    if tag.is_blocked or (tag.parent and tag.parent.is_blocked):
        return BLOCKED
    if tag.expires_at and tag.expires_at <= now:
        return EXPIRED
    return ACCEPTED


def info_of(tag: IdTag, *, now: datetime) -> dict[str, str]:
    """All there is to tell a charger of the tag: OCPP's idTagInfo (1.6 §7.27)."""
    info = {"status": status_of(tag, now=now)}
    if tag.expires_at:
        info["expiryDate"] = as_text(tag.expires_at)
    if tag.parent and may_go_out(tag.parent.value):
        info["parentIdTag"] = tag.parent.value
    return info


def info_for(value: str, *, status: str) -> dict[str, str]:
    """The idTagInfo of a tag whose status was decided with a transaction."""
    tag = IdTag.objects.select_related("parent").filter(value=value).first() if status == ACCEPTED else None
    return {**(info_of(tag, now=utcnow()) if tag else {}), "status": status}


def may_go_out(value: str) -> bool:
    """Longer ones, or with control bytes, are heard but never said (E40)."""
    return 0 < len(value) <= MAX_SENT and value.isprintable()
