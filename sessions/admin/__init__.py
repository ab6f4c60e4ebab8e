"""The operators' pages of sessions, readings, id tags, local lists, reservations and tariffs."""

from sessions.admin import (
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
