"""Which profile fits a charger, and what it makes of the socket."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from chargers import quirks
from chargers.models import Breach, Charger, QuirkProfile
from tests.factories import make_charger, unique

pytestmark = pytest.mark.django_db


def profile(**fields: Any) -> QuirkProfile:
    return QuirkProfile.objects.create(**{"name": unique("Profile "), **fields})


def charger(**fields: Any) -> Charger:
    said = {"vendor": "ACME", "model": "Wall [22]", "firmware_version": "1.4.2"}
    return make_charger(connectors=0, **{**said, **fields})


@pytest.mark.parametrize(
    ("patterns", "fits"),
    [
        ({}, True),
        ({"vendor_pattern": "acme"}, True),
        ({"vendor_pattern": "ACM?"}, True),
        ({"vendor_pattern": "ACM"}, False),
        ({"vendor_pattern": "Other*"}, False),
        ({"model_pattern": "Wall*"}, True),
        ({"model_pattern": "Wall [22]"}, True),
        ({"model_pattern": "Wall ?22?"}, True),
        ({"firmware_pattern": "1.4.*"}, True),
        ({"firmware_pattern": "1?4?2"}, True),
        ({"firmware_pattern": "1.5*"}, False),
        ({"vendor_pattern": "ACME", "firmware_pattern": "2*"}, False),
        ({"identity_pattern": "nobody"}, False),
        ({"is_enabled": False}, False),
    ],
)
def test_a_profile_fits_by_all_its_patterns(patterns: dict[str, Any], fits: bool) -> None:
    made = profile(is_lenient=True, **patterns)
    assert quirks.quirks_of(charger()).is_lenient is fits
    assert (quirks.profile_for(charger(), [made]) is not None) is fits


def test_a_charger_that_never_said_what_it_is_has_a_profile_by_its_identity() -> None:
    unknown = make_charger(connectors=0)
    profile(identity_pattern=unknown.identity, default_subprotocol="ocpp1.6")
    assert quirks.quirks_of(unknown).default_subprotocol == "ocpp1.6"
    assert quirks.quirks_of(make_charger(connectors=0)) == quirks.NONE


def test_the_one_of_highest_priority_counts() -> None:
    profile(priority=1, energy_factor=10, no_pings=True)
    profile(priority=5, energy_factor=1000)
    profile(priority=3, energy_factor=100)
    known = quirks.quirks_of(charger())
    assert (known.energy_factor, known.no_pings) == (1000, False)


def test_every_field_is_taken_over() -> None:
    profile(
        is_lenient=True,
        energy_factor=1000,
        power_factor=0.1,
        default_subprotocol="ocpp1.6",
        no_pings=True,
        start_answer_delay_ms=1500,
        id_tag_trim="-;",
        timezone="Europe/Berlin",
        register="session",
    )
    assert quirks.quirks_of(charger()) == quirks.Quirks(
        is_lenient=True,
        energy_factor=1000,
        power_factor=0.1,
        default_subprotocol="ocpp1.6",
        no_pings=True,
        start_answer_delay_s=1.5,
        id_tag_trim="-;",
        zone=ZoneInfo("Europe/Berlin"),
        counts_per_session=True,
    )


def test_profiles_that_come_with_the_installation_have_a_source_and_fit_whom_they_mean() -> None:
    known = QuirkProfile.objects.all()
    assert all("https://github.com/" in each.note for each in known)
    box = charger(vendor="AB070", model="F2ME.EPROSE01TXX", firmware_version="2.9.3")
    assert quirks.quirks_of(box).start_answer_delay_s == 1
    assert (
        quirks.quirks_of(charger(vendor="OpenEVSE")) == quirks.NONE
    )  # only some of them: it is to be enabled


@pytest.mark.parametrize("rule", quirks.RULES)
def test_a_remedy_is_a_field_of_a_profile_that_mends_it(rule: str) -> None:
    remedy = quirks.RULES[rule].remedy
    breach = Breach(rule=rule, remedy=remedy)
    assert not quirks.mends(QuirkProfile(), breach)
    mending = {"register": "session", "energy_factor": 1000.0, "power_factor": 0.5}.get(remedy, "x")
    if remedy:
        assert quirks.mends(QuirkProfile(**{remedy: mending}), breach)
