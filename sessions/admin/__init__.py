"""The operators' pages of sessions, readings, id tags and tariffs."""

from sessions.admin import id_tags, readings, sessions, tariffs

__all__ = ["id_tags", "readings", "sessions", "tariffs"]
