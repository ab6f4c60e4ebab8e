"""The page of reservations: made with a form, kept by the charger, cancelled here."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from chargers.admin import columns, sending
from chargers.admin.columns import page_url
from chargers.admin.pages import Page, YesNo, narrowed
from chargers.commands import RESERVE_NOW, may_send
from chargers.errors import DomainError
from chargers.events import utcnow
from chargers.models import Charger, Command, Connector
from chargers.services import MAX_CONNECTORS
from sessions import reservations
from sessions.models import Reservation

State = Reservation.State

USUAL = timedelta(hours=1)
_TONES = {
    State.REQUESTED: "wait",
    State.ACTIVE: "busy",
    State.USED: "good",
    State.REJECTED: "bad",
    State.ENDED: "bad",
    State.EXPIRED: "quiet",
}


class ReservationForm(forms.ModelForm):
    """Asks the charger when everything in it is possible. `made` is the reservation then."""

    asked_by: AbstractBaseUser
    made: Reservation

    id_tag = forms.CharField(
        label="Id tag", max_length=20, required=False, help_text="Empty: the user starts from the app"
    )
    parent_id_tag = forms.CharField(
        label="Parent id tag", max_length=20, required=False, help_text="Cards of this parent may use it too"
    )
    connector_number = forms.IntegerField(
        label="Connector",
        min_value=1,
        max_value=MAX_CONNECTORS,
        required=False,
        help_text="Empty: whichever is free, where the charger can do that",
    )

    class Meta:
        model = Reservation
        fields = ("charger", "id_tag", "user", "parent_id_tag", "expires_at")

    def _post_clean(self) -> None:
        """After all other checks, since it is the asking that shows whether it can be."""
        super()._post_clean()  # type: ignore[misc]  # Django's own hook, of which its stubs do not know
        if self.errors:
            return
        names = ("charger", "connector_number", "id_tag", "user", "parent_id_tag", "expires_at")
        wish = {name: self.cleaned_data[name] for name in names}
        try:
            self.made = reservations.reserve(**wish, requested_by=self.asked_by)
        except DomainError as error:
            text = f"{error.sentence} ({error.detail})" if error.detail else error.sentence
            self.add_error(None, f"{text}.")


class Open(YesNo):
    title = "open"
    parameter_name = "open"
    words = ("Open", "Over")

    def narrow(self, queryset: QuerySet[Reservation], yes: bool) -> QuerySet[Reservation]:
        condition = Q(state__in=Reservation.OPEN)
        return queryset.filter(condition if yes else ~condition)


@admin.action(description="Cancel reservations…", permissions=["send_cancel_reservation"])
def cancel(
    page: "ReservationAdmin", request: HttpRequest, queryset: QuerySet[Reservation]
) -> HttpResponse | None:
    rows: list[Reservation] = sending.chosen(page, request, queryset)
    if not rows:
        return None
    if "confirmed" not in request.POST:
        return sending.confirmation(
            page,
            request,
            [(row, columns.links(page.badge(row), page.where(row), row.id_tag)) for row in rows],
            name="cancel",
            title="Cancel reservations",
            warning="The charger is asked to keep the connector no longer, and the holder is told.",
        )
    sent: list[Command] = []
    refused = sending.Refused()
    for row in rows:
        if row.state not in Reservation.OPEN:
            page.message_user(request, f"{row} is over already.", messages.WARNING)
            continue
        try:
            sent.append(reservations.cancel(row, requested_by=request.user))  # type: ignore[arg-type]
        except DomainError as error:
            refused.add(f"{row} at {row.charger}", error)
    refused.tell(page, request)
    return sending.answers(request, sent) or sending.back(request, rows)


@admin.register(Reservation)
class ReservationAdmin(Page):
    form = ReservationForm
    actions = (cancel,)
    autocomplete_fields = ("charger", "user")
    list_display = ("number", "badge", "where", "whom", "expires", "session_link", "why")
    list_filter = (
        narrowed(Charger, "charger"),
        narrowed(Connector, "connector"),
        narrowed(get_user_model(), "user"),
        Open,
        "state",
        ("created_at", admin.DateFieldListFilter),
        ("expires_at", admin.DateFieldListFilter),
    )
    search_fields = ("charger__identity", "id_tag", "parent_id_tag", "user__username", "user__email")
    search_help_text = "Charger, id tag, user"
    show_full_result_count = False
    readonly_fields = (
        *("badge", "why", "where", "whom", "parent_id_tag", "expires", "session_link", "kept"),
        *("command_link", "requester", "created", "ended"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reservation]:
        relations = ("charger", "connector", "user", "session", "command__charger", "requested_by")
        return super().get_queryset(request).select_related(*relations)

    def get_fieldsets(self, request: HttpRequest, obj: Reservation | None = None) -> Any:
        if obj is None:
            fields = ("charger", "connector_number", "id_tag", "user", "parent_id_tag", "expires_at")
            return [(None, {"fields": fields})]
        return [
            (None, {"fields": ("badge", "why", "where", "whom", "parent_id_tag", "expires", "session_link")}),
            ("Course", {"fields": ("created", "requester", "command_link", "kept", "ended")}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Reservation | None = None) -> Any:
        return self.readonly_fields if obj else ()

    def get_form(
        self, request: HttpRequest, obj: Reservation | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.asked_by = request.user
        return form

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        usual = {"expires_at": utcnow().replace(second=0, microsecond=0) + USUAL}
        return {**usual, **super().get_changeform_initial_data(request)}

    # --- permissions: made and cancelled, never changed or deleted ---

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and may_send(request.user, RESERVE_NOW)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    # --- making one ---

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        super().save_form(request, form, change)
        return form.made

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """It is stored already, with the command that asks for it."""

    def response_add(
        self, request: HttpRequest, obj: Reservation, post_url_continue: str | None = None
    ) -> HttpResponse:
        """To where the charger's answer will be seen."""
        if not self.has_view_permission(request, obj):
            return super().response_add(request, obj, post_url_continue)
        return HttpResponseRedirect(page_url(obj))

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        one_button = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, {**(extra_context or {}), **one_button})

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        may_cancel = (
            self.may_use(request, "cancel")
            and Reservation.objects.filter(pk=object_id, state__in=Reservation.OPEN).exists()
        )
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), "may_cancel": may_cancel}
        )

    # --- columns ---

    @admin.display(description="id", ordering="pk")
    def number(self, row: Reservation) -> str:
        return str(row.pk)

    @admin.display(description="state", ordering="state")
    def badge(self, row: Reservation) -> str:
        is_asked = row.state == State.REQUESTED and row.command and not row.command.is_finished
        return columns.badge(
            row.state, tone=_TONES.get(State(row.state), "quiet"), refresh_s=1 if is_asked else 0
        )

    @admin.display(description="where", ordering="charger__identity")
    def where(self, row: Reservation) -> str:
        if row.connector:
            return columns.to_page(row.charger, f"{row.charger} #{row.connector.number}")
        return columns.joined(columns.to_page(row.charger), "any connector")

    @admin.display(description="for", ordering="id_tag")
    def whom(self, row: Reservation) -> str:
        tag = columns.to_list("charging.idtag", row.id_tag, q=row.id_tag)
        return columns.links(tag, columns.to_page(row.user)) if row.user else tag

    @admin.display(description="expires", ordering="expires_at")
    def expires(self, row: Reservation) -> str:
        return columns.moment(row.expires_at, seconds=False)

    @admin.display(description="why", ordering="detail")
    def why(self, row: Reservation) -> str:
        return row.detail or columns.NOTHING

    @admin.display(description="session", ordering="session")
    def session_link(self, row: Reservation) -> str:
        return columns.to_page(row.session)

    @admin.display(description="made", ordering="created_at")
    def created(self, row: Reservation) -> str:
        return columns.moment(row.created_at, seconds=False)

    # --- on its page only ---

    @admin.display(description="asked by")
    def requester(self, row: Reservation) -> str:
        return columns.to_page(row.requested_by) if row.requested_by else "the system"

    @admin.display(description="command")
    def command_link(self, row: Reservation) -> str:
        if row.command is None:
            return columns.NOTHING
        name = columns.word_of(row.command.action)
        return columns.joined(columns.to_page(row.command, name), columns.command_status(row.command))

    @admin.display(description="reported reserved")
    def kept(self, row: Reservation) -> str:
        return columns.moment(row.kept_at)

    @admin.display(description="over since")
    def ended(self, row: Reservation) -> str:
        return columns.moment(row.ended_at)
