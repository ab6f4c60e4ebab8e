"""The operators' pages of stations, chargers and commands. What the pages show of sessions stands in sessions.admin."""

from django.contrib import admin

from chargers.admin import chargers, commands, stations

__all__ = ["chargers", "commands", "stations"]

admin.site.site_header = "evcharge"
admin.site.site_title = "evcharge"
admin.site.index_title = "Operations"
