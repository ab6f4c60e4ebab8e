"""The operators' pages of stations, chargers and commands. What the pages show of sessions stands in sessions.admin."""

from django.contrib import admin

from chargers.admin import (
    chargers,
    columns,
    commands,
    connectors,
    firmware,
    security,
    stations,
    uploads,
    wire,
)

__all__ = [
    "chargers",
    "columns",
    "commands",
    "connectors",
    "firmware",
    "security",
    "stations",
    "uploads",
    "wire",
]

admin.site.site_header = "evcharge"
admin.site.site_title = "evcharge"
admin.site.index_title = "Operations"
admin.site.empty_value_display = columns.NOTHING
