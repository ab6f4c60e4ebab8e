"""The page of uploads: which diagnostics and logs chargers were asked for, and whether they are there."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from chargers.admin import columns
from chargers.admin.pages import Facts, YesNo, narrowed
from chargers.log_uploads import UPLOADED
from chargers.models import Charger, LogUpload


class Finished(YesNo):
    title = "finished"
    parameter_name = "finished"
    words = ("Finished", "Still open")

    def narrow(self, queryset: QuerySet[LogUpload], yes: bool) -> QuerySet[LogUpload]:
        return queryset.filter(finished_at__isnull=not yes)


@admin.register(LogUpload)
class LogUploadAdmin(Facts):
    list_display = (
        "kind",
        "charger_link",
        "badge",
        "file_name",
        "detail",
        "asked",
        "reported",
        "command_link",
    )
    list_filter = (
        narrowed(Charger, "charger"),
        "kind",
        Finished,
        ("status", admin.AllValuesFieldListFilter),
        "created_at",
    )
    list_select_related = ("charger", "command")
    search_fields = ("charger__identity", "charger__serial_number", "file_name", "location")
    search_help_text = "Identity or serial number of the charger, file, place"
    fieldsets = (
        (None, {"fields": ("charger_link", "kind", "badge", "detail")}),
        ("File", {"fields": ("file_name", "location", "span")}),
        ("When", {"fields": ("asked", "reported", "finished")}),
        ("For the logs", {"fields": ("command_link", "request_id")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[LogUpload]:
        return super().get_queryset(request).select_related("charger", "command__charger")

    @admin.display(description="charger", ordering="charger__identity")
    def charger_link(self, upload: LogUpload) -> str:
        return columns.to_page(upload.charger)

    @admin.display(description="status", ordering="status")
    def badge(self, upload: LogUpload) -> str:
        is_open = upload.finished_at is None
        tone = "busy" if is_open else "good" if upload.status == UPLOADED else "bad"
        word = upload.status or ("asked" if is_open else "none")
        return columns.badge(word, tone=tone, refresh_s=5 if is_open else 0)

    @admin.display(description="asked", ordering="created_at")
    def asked(self, upload: LogUpload) -> str:
        return columns.ago(upload.created_at)

    @admin.display(description="last heard", ordering="reported_at")
    def reported(self, upload: LogUpload) -> str:
        return columns.ago(upload.reported_at)

    @admin.display(description="command")
    def command_link(self, upload: LogUpload) -> str:
        return (
            columns.to_page(upload.command, columns.word_of(upload.command.action)) if upload.command else ""
        )

    # --- on its page only ---

    @admin.display(description="ended")
    def finished(self, upload: LogUpload) -> str:
        return columns.moment(upload.finished_at)

    @admin.display(description="from, until")
    def span(self, upload: LogUpload) -> str:
        return columns.links(columns.moment(upload.oldest_at), columns.moment(upload.latest_at))

    @admin.display(description="request id")
    def request_id(self, upload: LogUpload) -> str:
        return str(upload.pk)
