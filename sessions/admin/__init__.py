"""The operators' pages of sessions, readings, id tags, local lists, reservations and tariffs."""

from sessions.admin import (
    accounts,
    charging_profiles,
    id_tags,
    limits,
    local_lists,
    queue,
    readings,
    reservations,
    sessions,
    tariffs,
)

__all__ = [
    "accounts",
    "charging_profiles",
    "id_tags",
    "limits",
    "local_lists",
    "queue",
    "readings",
    "reservations",
    "sessions",
    "tariffs",
]
