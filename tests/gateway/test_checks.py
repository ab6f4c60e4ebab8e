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
