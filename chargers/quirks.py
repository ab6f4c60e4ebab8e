"""How chargers depart from the rules: which profile mends a charger, and which rules we know to be broken."""

import re
from collections.abc import Iterable
from datetime import UTC, tzinfo
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from chargers.models import Breach, Charger, QuirkProfile


class Quirks(NamedTuple):
    """What a socket does otherwise for its charger. Read once, at connect and at boot; without a profile as here."""

    is_lenient: bool = False
    energy_factor: float = 1.0
    power_factor: float = 1.0
    default_subprotocol: str = ""
    no_pings: bool = False
    start_answer_delay_s: float = 0.0
    id_tag_trim: str = ""
    zone: tzinfo = UTC
    counts_per_session: bool = False

    @property
    def scales(self) -> bool:
        return self.energy_factor != 1 or self.power_factor != 1


NONE = Quirks()


class Rule(NamedTuple):
    """A rule that chargers break, in words, and the field of a profile that mends it, if one does."""

    words: str
    remedy: str = ""


RULES = {
    "forgiven": Rule("Breaks the official schema where we do without it"),
    "schema": Rule("Breaks the official schema", "is_lenient"),
    "wrong_type": Rule("A value is of the wrong type", "is_lenient"),
    "null_payload": Rule("The payload is missing or null; it was taken for an empty one"),
    "unreadable": Rule("A frame that is not a message"),
    "unasked": Rule("An answer to nothing that was asked"),
    "message_id_type": Rule("The message id is not a string"),
    "message_id_too_long": Rule("The message id is longer than 36 characters"),
    "message_id_reused": Rule("A message id was used for two different calls"),
    "timezone_missing": Rule("A time without a zone", "timezone"),
    "id_tag_too_long": Rule("An id tag longer than 20 characters", "id_tag_trim"),
    "id_tag_rubbish": Rule("An id tag with characters that cannot be printed", "id_tag_trim"),
    "energy_unit_unknown": Rule("An energy in a unit that we do not know", "energy_factor"),
    "power_unit_unknown": Rule("A power in a unit that we do not know", "power_factor"),
    "unit_unknown": Rule("A value in a unit that we do not know"),
    "register_per_session": Rule("The meter register begins anew with each session", "register"),
    "subprotocol_missing": Rule("No subprotocol that we speak was offered", "default_subprotocol"),
    "pings_unanswered": Rule("WebSocket pings are not answered, though it lives", "no_pings"),
}

_PATTERNS = ("identity", "vendor", "model", "firmware")


def profile_for(charger: Charger, profiles: Iterable[QuirkProfile]) -> QuirkProfile | None:
    """The profile of highest priority that fits; `profiles` come in that order, as the model has them."""
    return next((profile for profile in profiles if profile.is_enabled and _fits(profile, charger)), None)


def _fits(profile: QuirkProfile, charger: Charger) -> bool:
    said = (charger.identity, charger.vendor, charger.model, charger.firmware_version)
    return all(
        _regex(getattr(profile, f"{name}_pattern")).fullmatch(text)
        for name, text in zip(_PATTERNS, said, strict=True)
    )


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    """`*` and `?` as in a shell; brackets mean themselves, since models have some."""
    text = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(text, re.IGNORECASE | re.DOTALL)


def quirks_of(charger: Charger) -> Quirks:
    """What is known of a charger that says of itself what it said at its last boot."""
    profile = profile_for(charger, QuirkProfile.objects.filter(is_enabled=True))
    return NONE if profile is None else quirks_in(profile)


def quirks_in(profile: QuirkProfile) -> Quirks:
    return Quirks(
        is_lenient=profile.is_lenient,
        energy_factor=profile.energy_factor,
        power_factor=profile.power_factor,
        default_subprotocol=profile.default_subprotocol,
        no_pings=profile.no_pings,
        start_answer_delay_s=profile.start_answer_delay_ms / 1000,
        id_tag_trim=profile.id_tag_trim,
        zone=ZoneInfo(profile.timezone) if profile.timezone else UTC,
        counts_per_session=profile.register == QuirkProfile.Register.SESSION,
    )


def mends(profile: QuirkProfile, breach: Breach) -> bool:
    """Whether the profile has an answer to the broken rule."""
    return breach.remedy != "" and is_set(profile, breach.remedy)


def is_set(profile: QuirkProfile, name: str) -> bool:
    """Whether the profile does anything by this field."""
    return bool(getattr(profile, name) != getattr(QuirkProfile(), name))
