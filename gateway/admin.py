"""Operators' pages of log-ins: who is logged in, and who has to wait after wrong passwords."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from chargers.admin import columns
from chargers.admin.pages import Facts, YesNo
from chargers.events import utcnow
from gateway import logins
from gateway.models import FailedLogIns, LogIn


class Open(YesNo):
    title = "open"
    parameter_name = "open"

    def narrow(self, queryset: QuerySet[LogIn], yes: bool) -> QuerySet[LogIn]:
        return queryset.filter(ended_at__isnull=yes)


class Locked(YesNo):
    title = "has to wait now"
    parameter_name = "locked"

    def narrow(self, queryset: QuerySet[FailedLogIns], yes: bool) -> QuerySet[FailedLogIns]:
        locked = queryset.filter(locked_until__gt=utcnow())
        return locked if yes else queryset.exclude(pk__in=locked.values("pk"))


@admin.register(LogIn)
class LogInAdmin(Facts):
    """Ending one closes its sockets within seconds."""

    list_display = ("user", "began", "renewed", "expires_at", "ended_at", "end")
    list_filter = (Open, "end")
    list_select_related = ("user",)
    search_fields = ("user__username",)
    search_help_text = "User name"
    ordering = ("-renewed_at",)
    fields = ("user", "began_at", "renewed_at", "expires_at", "ended_at", "end")
    actions = ("end_them",)

    def has_end_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("gateway.change_login")

    @admin.display(description="began", ordering="began_at")
    def began(self, row: LogIn) -> str:
        return columns.ago(row.began_at)

    @admin.display(description="renewed", ordering="renewed_at")
    def renewed(self, row: LogIn) -> str:
        return columns.ago(row.renewed_at)

    @admin.action(description="End selected log-ins", permissions=["end"])
    def end_them(self, request: HttpRequest, queryset: QuerySet[LogIn]) -> None:
        ended = logins.end(queryset)
        self.message_user(request, f"{ended} ended; their sockets close within seconds.", messages.SUCCESS)


@admin.register(FailedLogIns)
class FailedLogInsAdmin(Facts):
    """Deleting one lifts its wait."""

    list_display = ("name", "address", "failures", "last", "locked_until")
    list_filter = (Locked,)
    search_fields = ("username", "address")
    search_help_text = "User name or address"
    ordering = ("-last_at",)
    fields = ("username", "address", "failures", "last_at", "locked_until")
    actions = ("lift",)

    def has_lift_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("gateway.delete_failedlogins")

    @admin.display(description="user name", ordering="username")
    def name(self, row: FailedLogIns) -> str:
        return row.username or "(any)"

    @admin.display(description="last", ordering="last_at")
    def last(self, row: FailedLogIns) -> str:
        return columns.ago(row.last_at)

    @admin.action(description="Let them try again at once", permissions=["lift"])
    def lift(self, request: HttpRequest, queryset: QuerySet[FailedLogIns]) -> None:
        lifted, _ = queryset.delete()
        self.message_user(request, f"{lifted} may try again.", messages.SUCCESS)
