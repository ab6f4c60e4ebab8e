"""The page of local lists: which chargers know the id tags by heart, how far, and what exactly."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from chargers.admin import columns, sending
from chargers.admin.pages import Page, narrowed
from chargers.errors import DomainError
from chargers.models import Charger, Command
from sessions import local_lists
from sessions.models import LocalList

State = LocalList.State

SHOWN = 500  # of the entries: a list of thousands is longer than anyone reads
_TONES = {State.IN_STEP: "good", State.SENDING: "wait", State.FAILED: "bad"}

Send = Callable[..., Command | None]


@admin.action(description="Send again", permissions=["send_send_local_list"])
def send_again(
    page: "LocalListAdmin", request: HttpRequest, queryset: QuerySet[LocalList]
) -> HttpResponse | None:
    """Asks for the version first, so that only what the charger lacks is sent."""
    return page.send(request, queryset, local_lists.check)


@admin.action(description="Send in full", permissions=["send_send_local_list"])
def send_in_full(
    page: "LocalListAdmin", request: HttpRequest, queryset: QuerySet[LocalList]
) -> HttpResponse | None:
    def in_full(charger: Charger, **by: Any) -> Command | None:
        return local_lists.sync(charger, full=True, **by)

    return page.send(request, queryset, in_full)


@admin.register(LocalList)
class LocalListAdmin(Page):
    actions = (send_again, send_in_full)
    autocomplete_fields = ("charger",)
    list_display = ("where", "connection", "badge", "is_wanted", "version", "told", "why")
    list_display_links = ("where",)
    list_filter = (narrowed(Charger, "charger"), "state", "is_wanted")
    search_fields = ("charger__identity", "charger__serial_number", "detail")
    search_help_text = "Identity or serial number of the charger, detail"
    ordering = ("charger__identity",)
    readonly_fields = (
        *("charger_link", "connection", "badge", "why", "versions", "retry", "asked", "changed"),
        *("message", "known"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[LocalList]:
        rows = super().get_queryset(request).select_related("charger", "command__charger")
        return rows.defer("entries")

    def get_fieldsets(self, request: HttpRequest, obj: LocalList | None = None) -> Any:
        if obj is None:
            return [(None, {"fields": ("charger", "is_wanted")})]
        return [
            (None, {"fields": ("charger_link", "connection", "is_wanted", "badge", "why", "versions")}),
            ("When", {"fields": ("asked", "retry", "changed", "message")}),
            ("What the charger knows", {"fields": ("known",)}),
        ]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        may_send = self.may_use(request, "send_again", "send_in_full")
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), "may_send": may_send}
        )

    def save_model(self, request: HttpRequest, obj: LocalList, form: forms.ModelForm, change: bool) -> None:
        """Only what the operator decides: the charger's socket writes the same row at any moment."""
        if not change:
            super().save_model(request, obj, form, change)
        elif form.changed_data:
            obj.asked_at = obj.retry_at = None  # it is looked at afresh
            obj.save(update_fields=["is_wanted", "asked_at", "retry_at"])

    def send(self, request: HttpRequest, queryset: QuerySet[LocalList], how: Send) -> HttpResponse | None:
        lists: list[LocalList] = sending.chosen(self, request, queryset)
        sent: list[Command] = []
        refused = sending.Refused()
        for local in lists:
            try:
                command = how(local.charger, requested_by=request.user)
            except DomainError as error:
                refused.add(local.charger, error)
                continue
            if command is None:
                self.message_user(
                    request, f"{local.charger}: a message is under way already.", messages.WARNING
                )
            else:
                sent.append(command)
        refused.tell(self, request)
        if not lists:
            return None
        return sending.answers(request, sent) or sending.back(request, lists)

    # --- columns ---

    @admin.display(description="charger", ordering="charger__identity")
    def where(self, local: LocalList) -> str:
        return local.charger.identity

    @admin.display(description="connection")
    def connection(self, local: LocalList) -> str:
        return columns.online(local.charger)

    @admin.display(description="state", ordering="state")
    def badge(self, local: LocalList) -> str:
        is_moving = local.state == State.SENDING or (local.is_wanted and local.asked_at is None)
        return columns.badge(
            local.state,
            tone=_TONES.get(State(local.state), "quiet"),
            refresh_s=2 if is_moving and local.charger.is_connected else 0,
        )

    @admin.display(description="detail", ordering="detail")
    def why(self, local: LocalList) -> str:
        return local.detail or columns.NOTHING

    @admin.display(description="charger says", ordering="reported_version")
    def told(self, local: LocalList) -> str:
        return columns.NOTHING if local.reported_version is None else str(local.reported_version)

    @admin.display(description="changed", ordering="updated_at")
    def changed(self, local: LocalList) -> str:
        return columns.moment(local.updated_at)

    # --- on its page only ---

    @admin.display(description="charger")
    def charger_link(self, local: LocalList) -> str:
        return columns.to_page(local.charger)

    @admin.display(description="versions")
    def versions(self, local: LocalList) -> str:
        said = "nothing yet" if local.reported_version is None else str(local.reported_version)
        return f"last sent {local.version or 'none'}, the charger says {said}"

    @admin.display(description="next try")
    def retry(self, local: LocalList) -> str:
        return columns.moment(local.retry_at)

    @admin.display(description="asked for its version")
    def asked(self, local: LocalList) -> str:
        return columns.moment(local.asked_at)

    @admin.display(description="last message")
    def message(self, local: LocalList) -> str:
        if local.command is None:
            return columns.NOTHING
        params = local.command.params
        count = columns.counted(len(params.get("entries", [])), "id tag")
        text = f"{params['update_type']}, version {params['version']}, {count}"
        return columns.joined(columns.to_page(local.command, text), columns.command_status(local.command))

    @admin.display(description="id tags")
    def known(self, local: LocalList) -> str:
        entries = local.entries
        rows: list[list[Any]] = [
            [
                columns.to_list("charging.idtag", tag, q=tag),
                columns.badge(str(info.get("status", ""))),
                info.get("expiryDate") or columns.NOTHING,
                info.get("parentIdTag") or columns.NOTHING,
            ]
            for tag, info in sorted(entries.items())[:SHOWN]
        ]
        if local.held_version is None:
            empty = "Not known: it has not accepted a list of ours yet"
        else:
            empty = f"None (version {local.held_version})"
        table = columns.table(["id tag", "status", "expires", "parent"], rows, empty=empty)
        more = f"{len(entries) - SHOWN} more" if len(entries) > SHOWN else ""
        return columns.joined(columns.counted(len(entries), "id tag") if entries else "", table, more)
