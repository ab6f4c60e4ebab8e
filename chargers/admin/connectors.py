"""Connectors: facts too, since they appear and change when the charger tells of them."""

from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest

from chargers.admin import columns
from chargers.admin.pages import Facts, YesNo, narrowed
from chargers.models import Charger, Connector, Station


class InTrouble(YesNo):
    title = "error"
    parameter_name = "error"
    words = ("With an error", "Without")

    def narrow(self, queryset: QuerySet[Connector], yes: bool) -> QuerySet[Connector]:
        return queryset.exclude(error_code="") if yes else queryset.filter(error_code="")


class Columns:
    """Of the list, and of the table on a charger's page."""

    @admin.display(description="status", ordering="status")
    def badge(self, connector: Connector) -> str:
        return columns.badge(connector.status, connector.status or "not told")

    @admin.display(description="error", ordering="error_code")
    def trouble(self, connector: Connector) -> str:
        return columns.trouble(connector)

    @admin.display(description="since", ordering=F("status_at").desc(nulls_last=True))
    def since(self, connector: Connector) -> str:
        return columns.ago(connector.status_at)

    @admin.display(description="sessions")
    def sessions_link(self, connector: Connector) -> str:
        return columns.to_list("charging.chargingsession", "Sessions", connector=connector.pk)


class ConnectorInline(Columns, admin.TabularInline):
    model = Connector
    fields = readonly_fields = ("badge", "trouble", "since", "sessions_link")
    extra = 0
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Connector]:
        return super().get_queryset(request).select_related("charger")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Connector)
class ConnectorAdmin(Columns, Facts):
    list_display = ("__str__", "charger_link", "connection", "badge", "trouble", "since", "sessions_link")
    list_filter = (
        narrowed(Charger, "charger"),
        narrowed(Station, "station", lookup="charger__station"),
        "status",
        InTrouble,
    )
    list_select_related = ("charger",)
    search_fields = ("charger__identity", "charger__serial_number", "error_code", "info", "vendor_error_code")
    search_help_text = "Identity or serial number of the charger, error"
    ordering = ("charger__identity", "number")
    fields = ("charger_link", "number", "connection", "badge", "trouble", "since", "sessions_link")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Connector]:
        return super().get_queryset(request).select_related("charger")

    @admin.display(description="charger", ordering="charger__identity")
    def charger_link(self, connector: Connector) -> str:
        return columns.to_page(connector.charger)

    @admin.display(description="connection")
    def connection(self, connector: Connector) -> str:
        return columns.online(connector.charger, refresh_s=10)
