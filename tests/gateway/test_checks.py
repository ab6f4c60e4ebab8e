"""Settings that do not go together are refused by name."""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings

from gateway import checks

REDIS = "redis://localhost:6379/0"
POSTGRESQL = {"default": {"ENGINE": "django.db.backends.postgresql"}}
SQLITE = {"default": {"ENGINE": "django.db.backends.sqlite3"}}


@pytest.mark.parametrize(
    ("check", "values", "found"),
    [
        (checks.several_processes_need_redis, {"PROCESSES": 2, "REDIS_URL": ""}, ["evcharge.E001"]),
        (checks.several_processes_need_redis, {"PROCESSES": 2, "REDIS_URL": REDIS}, []),
        (checks.several_processes_need_redis, {"PROCESSES": 1, "REDIS_URL": ""}, []),
        (
            checks.several_processes_need_a_database_server,
            {"PROCESSES": 2, "DATABASES": SQLITE},
            ["evcharge.E002"],
        ),
        (checks.several_processes_need_a_database_server, {"PROCESSES": 2, "DATABASES": POSTGRESQL}, []),
        (checks.unknown_chargers_has_two_values, {"UNKNOWN_CHARGERS": "maybe"}, ["evcharge.E003"]),
        (checks.unknown_chargers_has_two_values, {"UNKNOWN_CHARGERS": "inbox"}, []),
        (checks.time_outs_are_positive, {"COMMAND_TIMEOUT_S": 0}, ["evcharge.E004"]),
        (checks.time_outs_are_positive, {}, []),
        (checks.counts_of_chargers_make_sense, {"MIN_SECURITY_PROFILE": 4}, ["evcharge.E006"]),
        (checks.counts_of_chargers_make_sense, {"MAX_REFUSALS": 0}, ["evcharge.E004"]),
        (checks.tls_has_its_files, {"TLS_CERTIFICATE": [__file__], "TLS_KEY": []}, ["evcharge.E007"]),
        (checks.tls_has_its_files, {"CA_CERTIFICATE": "ca.pem", "CA_KEY": ""}, ["evcharge.E008"]),
        (checks.tls_has_its_files, {"TLS_CLIENT_CA": ["/not/there"]}, ["evcharge.E009"]),
        (checks.tls_has_its_files, {}, []),
        (
            checks.certificates_come_from_proxies_that_are_named,
            {"CLIENT_CERTIFICATE_HEADER": "X-Cert", "TRUSTED_PROXIES": []},
            ["evcharge.E010"],
        ),
        (checks.an_outside_authority_is_asked_over_http, {"CA_URL": "file:///etc"}, ["evcharge.E011"]),
        (checks.an_outside_authority_is_asked_over_http, {"CA_URL": "https://ca.example/"}, []),
        (
            checks.tls_can_be_had_where_it_is_demanded,
            {"MIN_SECURITY_PROFILE": 2, "TLS_CERTIFICATE": [], "TRUSTED_PROXIES": []},
            ["evcharge.E012"],
        ),
        (checks.chargers_come_over_tls, {"MIN_SECURITY_PROFILE": 1}, ["evcharge.W001"]),
        (checks.chargers_come_over_tls, {"MIN_SECURITY_PROFILE": 2}, []),
        (checks.demo_is_not_for_production, {"DEMO": True}, ["evcharge.E005"]),
        (checks.demo_is_not_for_production, {"DEMO": False}, []),
    ],
)
@pytest.mark.filterwarnings("ignore:Overriding setting")
def test_wrong_pairings_are_found(
    settings: Settings, check: Callable[[], list[Any]], values: dict[str, Any], found: list[str]
) -> None:
    for name, value in values.items():
        setattr(settings, name, value)
    assert [message.id for message in check()] == found
