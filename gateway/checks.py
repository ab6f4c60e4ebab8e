"""System checks: settings that do not go together."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register()
def several_processes_need_redis(**_: Any) -> list[CheckMessage]:
    if settings.PROCESSES > 1 and not settings.REDIS_URL:
        return [
            Error(
                f"PROCESSES={settings.PROCESSES} without REDIS_URL: processes could not reach each other's sockets.",
                hint="Set REDIS_URL, or run one process.",
                id="evcharge.E001",
            )
        ]
    return []


@register()
def several_processes_need_a_database_server(**_: Any) -> list[CheckMessage]:
    if settings.PROCESSES > 1 and settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        return [
            Error(
                f"PROCESSES={settings.PROCESSES} with SQLite: the processes would queue for its one write lock.",
                hint="Set DATABASE_URL to a PostgreSQL database, or run one process.",
                id="evcharge.E002",
            )
        ]
    return []


@register()
def unknown_chargers_has_two_values(**_: Any) -> list[CheckMessage]:
    if settings.UNKNOWN_CHARGERS not in ("reject", "inbox"):
        return [
            Error(
                f"UNKNOWN_CHARGERS={settings.UNKNOWN_CHARGERS!r} is neither `reject` nor `inbox`.",
                id="evcharge.E003",
            )
        ]
    return []


@register()
def time_outs_are_positive(**_: Any) -> list[CheckMessage]:
    names = [
        "COMMAND_TIMEOUT_S",
        "START_TIMEOUT_S",
        "HEARTBEAT_INTERVAL_S",
        "WS_PING_INTERVAL_S",
        "WS_PING_TIMEOUT_S",
        "PRESENCE_INTERVAL_S",
        "SWEEP_INTERVAL_S",
        "MAX_APP_SOCKETS",
        "MAX_ACTIVE_SESSIONS_PER_USER",
        "DB_THREADS",
    ]
    return [
        Error(f"{name} must be above 0, it is {getattr(settings, name)}.", id="evcharge.E004")
        for name in names
        if getattr(settings, name) <= 0
    ]


@register(deploy=True)
def demo_is_not_for_production(**_: Any) -> list[CheckMessage]:
    if settings.DEMO:
        return [Error("DEMO is on: its users' passwords are known to everybody.", id="evcharge.E005")]
    return []
