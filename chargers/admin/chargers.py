"""The page of chargers: can they be reached, what do they say of themselves, and everything they can be asked."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db import models
from django.db.models import Case, F, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse

from chargers import security, services
from chargers.admin import columns, inbox
from chargers.admin.charger_form import ChargerForm
from chargers.admin.charger_security import SecurityOfCharger
from chargers.admin.connectors import ConnectorInline
from chargers.admin.orders import ORDERS, Order
from chargers.admin.pages import Page, YesNo, narrowed
from chargers.admin.sending import Refused, back, chosen, confirmation, send_to
from chargers.errors import DomainError
from chargers.models import Charger, Command, Connector, ConnectorStatus, Station

Registration = Charger.Registration
LATEST = 10


# --- filters ---


class Online(YesNo):
    title = "connection"
    parameter_name = "online"
    words = ("Online", "Offline")

    def narrow(self, queryset: QuerySet[Charger], yes: bool) -> QuerySet[Charger]:
        return queryset.exclude(channel_name="") if yes else queryset.filter(channel_name="")


class Password(YesNo):
    title = "password"
    parameter_name = "password"
    words = ("Set", "Not set")

    def narrow(self, queryset: QuerySet[Charger], yes: bool) -> QuerySet[Charger]:
        return queryset.exclude(password_hash="") if yes else queryset.filter(password_hash="")


class AnyConnector(admin.SimpleListFilter):
    """Chargers with a connector in this status."""

    title = "a connector's status"
    parameter_name = "connector"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [(word, word) for word in ConnectorStatus.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Charger]) -> QuerySet[Charger]:
        if not self.value():
            return queryset
        rows = Connector.objects.filter(charger=models.OuterRef("pk"), status=self.value())
        return queryset.filter(models.Exists(rows))


# --- actions ---


def action_for(order: Order) -> Callable[..., HttpResponse | None]:
    @admin.action(description=order.title, permissions=[f"send_{order.action}"])
    def send(page: "ChargerAdmin", request: HttpRequest, queryset: QuerySet[Charger]) -> HttpResponse | None:
        return send_to(page, request, queryset, order)

    send.__name__ = order.name
    return send


@admin.action(description="Accept selected chargers", permissions=["change"])
def accept_selected(
    page: "ChargerAdmin", request: HttpRequest, queryset: QuerySet[Charger]
) -> HttpResponse | None:
    chargers = chosen(page, request, queryset)
    by = inbox.who_asks(request.user)
    refused = Refused()
    for charger in chargers:
        if charger.registration == Registration.ACCEPTED:
            page.message_user(request, f"{charger} is accepted already.", messages.INFO)
            continue
        try:
            command = inbox.accept(charger, by=by)
        except DomainError as error:
            refused.add(charger, error)
            continue
        page.log_change(request, charger, "Accepted.")
        then = "it is asked to boot anew" if command else "it hears of it when it boots next"
        page.message_user(request, f"{charger} is accepted; {then}.", messages.SUCCESS)
    refused.tell(page, request)
    return back(request, chargers) if chargers else None


@admin.action(description="Reject selected chargers", permissions=["change"])
def reject_selected(
    page: "ChargerAdmin", request: HttpRequest, queryset: QuerySet[Charger]
) -> HttpResponse | None:
    chargers: list[Charger] = chosen(page, request, queryset)
    in_use = [charger for charger in chargers if charger.registration == Registration.ACCEPTED]
    if in_use and "confirmed" not in request.POST:
        return confirmation(
            page,
            request,
            [(charger, columns.online(charger)) for charger in chargers],
            name="reject_selected",
            title="Reject",
            warning="They are cut off and cannot connect. What is being charged there goes on, but is not heard of.",
        )
    for charger in chargers:
        inbox.shut_out(charger, Registration.REJECTED)
        page.log_change(request, charger, "Rejected.")
        page.message_user(request, f"{charger} is rejected and can no longer connect.", messages.SUCCESS)
    return back(request, chargers) if chargers else None


# --- the page ---


@admin.register(Charger)
class ChargerAdmin(SecurityOfCharger, Page):
    form = ChargerForm
    actions = (*map(action_for, ORDERS), accept_selected, reject_selected)
    # The buttons of a charger's own page: (action, title, whether it is dangerous).
    menu = tuple((order.name, order.title, bool(order.warning)) for order in ORDERS)
    inlines = (ConnectorInline,)
    autocomplete_fields = ("station",)
    list_display = (
        "identity",
        "connection",
        "connector_states",
        "registration_badge",
        "station_link",
        "last_seen",
        "hardware",
        "more",
    )
    list_filter = (
        narrowed(Station, "station"),
        "registration",
        Online,
        AnyConnector,
        ("station__is_under_maintenance", admin.BooleanFieldListFilter),
        Password,
        ("ocpp_version", admin.AllValuesFieldListFilter),
        ("firmware_version", admin.AllValuesFieldListFilter),
        "security_profile",
    )
    list_select_related = ("station",)
    search_fields = ("identity", "serial_number", "vendor", "model", "station__name")
    search_help_text = "Identity, serial number, vendor, model or station"
    readonly_fields = (
        *("connection", "last_seen", "booted", "ocpp_version", "has_password", "added"),
        *("own_status", "vendor", "model", "serial_number", "firmware_version", "meter_type"),
        *("firmware_status", "diagnostics_status", "configuration_table", "latest_commands", "more"),
        *SecurityOfCharger.security_readonly,
    )
    fieldsets = (
        (None, {"fields": (("connection", "last_seen"), "identity", "station", "registration")}),
        ("Latest commands", {"fields": ("latest_commands", "more")}),
        ("Who may connect", {"fields": SecurityOfCharger.security_fields}),
        ("Password", {"fields": ("has_password", "new_password", "is_hexadecimal", "clear_password")}),
        (
            "What it says of itself",
            {
                "fields": (
                    ("own_status", "booted"),
                    ("vendor", "model"),
                    ("serial_number", "firmware_version"),
                    ("ocpp_version", "meter_type"),
                    ("firmware_status", "diagnostics_status"),
                    "added",
                )
            },
        ),
        ("Configuration as last read", {"classes": ("collapse",), "fields": ("configuration_table",)}),
    )
    add_fieldsets = (
        (None, {"fields": ("identity", "station", "registration", "security_profile")}),
        ("Password", {"fields": ("new_password", "is_hexadecimal")}),
    )

    @classmethod
    def offer(cls, action: Any, *, is_dangerous: bool = False) -> None:
        """Add an action to the list and to each charger's page: for what the floors above can do to chargers."""
        cls.actions = (*cls.actions, action)
        cls.menu = (*cls.menu, (action.__name__, action.short_description, is_dangerous))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Charger]:
        return (
            super()
            .get_queryset(request)
            .select_related("station")
            .prefetch_related("connectors")
            .annotate(is_up=Case(When(channel_name="", then=Value(0)), default=Value(1)))
        )

    def get_fieldsets(self, request: HttpRequest, obj: Charger | None = None) -> Any:
        if obj is None:
            return self.add_fieldsets
        if not self.has_change_permission(request, obj):  # the form's own fields are not there
            shown = ("Password", {"fields": ("has_password",)})
            return [shown if name == "Password" else (name, options) for name, options in self.fieldsets]
        return self.fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Charger | None = None) -> Any:
        """A charger dials in with its identity: once it has, it is known by it."""
        known = obj is not None and obj.connected_at is not None
        return (*self.readonly_fields, "identity") if known else self.readonly_fields

    def get_inlines(self, request: HttpRequest, obj: Charger | None = None) -> Any:
        return self.inlines if obj else ()

    # --- what stands above the list and the form ---

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        waiting = 0
        if self.has_change_permission(request):
            waiting = Charger.objects.filter(registration=Registration.PENDING).count()
        return super().changelist_view(request, {**(extra_context or {}), "waiting": waiting})

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {
            "menu": [entry for entry in self.menu if self.may_use(request, entry[0])],
            "may_decide": self.has_change_permission(request),
        }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})

    # --- saving ---

    def save_model(self, request: HttpRequest, obj: Charger, form: Any, change: bool) -> None:
        accepted = obj.registration == Registration.ACCEPTED
        if not change:
            obj.save()
            if accepted:
                services.announce_added(obj)
            return
        registration = Registration(obj.registration)
        if registration_changed := "registration" in form.changed_data:
            obj.registration = form.initial["registration"]  # what follows decides by the change
        obj.save(update_fields=[name for name in form.changed_columns if name != "registration"])
        if {"password_hash", "security_profile"} & set(form.changed_columns):
            security.forgive(obj)
        if registration_changed and accepted:
            inbox.accept(obj, by=inbox.who_asks(request.user))
        elif registration_changed:
            inbox.shut_out(obj, registration)
        elif accepted and "station" in form.changed_data:
            before = Station.objects.filter(pk=form.initial["station"]).first()
            services.announce_moved(obj, before=before)

    def delete_model(self, request: HttpRequest, obj: Charger) -> None:
        inbox.remove(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Charger]) -> None:
        for charger in queryset:
            inbox.remove(charger)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Counts instead of Django's list of every row: a charger may have a million readings."""
        chargers = list(objs)
        lost: dict[str, int] = {str(Charger._meta.verbose_name_plural): len(chargers)}
        kept: list[str] = []
        for relation in Charger._meta.related_objects:
            model, name = relation.related_model, relation.field.name
            assert not isinstance(model, str)  # all apps are loaded
            rows = model._default_manager.filter(**{f"{name}__in": chargers})
            if relation.on_delete is models.CASCADE:
                lost[str(model._meta.verbose_name_plural)] = rows.count()
            elif relation.on_delete is models.PROTECT:
                found = rows.values_list(name).annotate(count=models.Count("pk")).order_by()
                for pk, count in found:
                    charger = next(each for each in chargers if each.pk == pk)
                    words = model._meta.verbose_name if count == 1 else model._meta.verbose_name_plural
                    text = f"{count} {words} of {charger}"
                    kept.append(columns.to_list(model._meta.label_lower, text, **{name: pk}))
        if kept:
            kept.append("What was charged stays on record. To keep a charger out, reject it instead.")
        return [columns.to_page(charger) for charger in chargers], lost, set(), kept

    # --- columns ---

    @admin.display(description="connection", ordering="is_up")
    def connection(self, charger: Charger) -> str:
        return columns.online(charger, refresh_s=10)

    @admin.display(description="connectors")
    def connector_states(self, charger: Charger) -> str:
        return columns.connectors(list(charger.connectors.all()))

    @admin.display(description="registration", ordering="registration")
    def registration_badge(self, charger: Charger) -> str:
        return columns.badge(charger.registration)

    @admin.display(description="station", ordering="station__name")
    def station_link(self, charger: Charger) -> str:
        if charger.station and charger.station.is_under_maintenance:
            return columns.links(columns.to_page(charger.station), columns.badge("maintenance"))
        return columns.to_page(charger.station)

    @admin.display(description="last seen", ordering=F("last_seen_at").desc(nulls_last=True))
    def last_seen(self, charger: Charger) -> str:
        return columns.ago(charger.last_seen_at)

    @admin.display(description="hardware", ordering="model")
    def hardware(self, charger: Charger) -> str:
        return " ".join(filter(None, (charger.vendor, charger.model, charger.firmware_version)))

    @admin.display(description="see also")
    def more(self, charger: Charger) -> str:
        return columns.links(
            columns.to_list("charging.chargingsession", "Sessions", charger=charger.pk),
            columns.to_list("chargers.command", "Commands", charger=charger.pk),
            columns.to_list("chargers.firmwareupdate", "Firmware", charger=charger.pk),
            columns.to_list("chargers.logupload", "Uploads", charger=charger.pk),
            columns.to_list("charging.meterreading", "Readings", charger=charger.pk),
            columns.to_list("charging.chargingprofile", "Limits", charger=charger.pk),
            columns.to_list("chargers.ocppcall", "Messages", charger=charger.pk),
            columns.to_list("chargers.breach", "Breaches", charger=charger.pk),
        )

    # --- on its page only ---

    @admin.display(description="status")
    def own_status(self, charger: Charger) -> str:
        if not charger.status:
            return columns.NOTHING
        return columns.links(
            columns.badge(charger.status),
            *filter(None, (charger.error_code,)),
            columns.ago(charger.status_at),
        )

    @admin.display(description="added")
    def added(self, charger: Charger) -> str:
        return columns.moment(charger.created_at)

    @admin.display(description="booted")
    def booted(self, charger: Charger) -> str:
        return columns.ago(charger.booted_at)

    @admin.display(description="now")
    def has_password(self, charger: Charger) -> str:
        return (
            "A password is set"
            if charger.password_hash
            else "No password: any caller with this identity is let in"
        )

    @admin.display(description="keys")
    def configuration_table(self, charger: Charger) -> str:
        rows = [
            [key, columns.HIDDEN if columns.is_secret(key) else value]
            for key, value in sorted(charger.configuration.items())
        ]
        return columns.table(["Key", "Value"], rows, empty="Not read yet: Get configuration")

    @admin.display(description="the last ones")
    def latest_commands(self, charger: Charger) -> str:
        commands: QuerySet[Command] = charger.commands.select_related("requested_by")[:LATEST]
        rows = [
            [
                columns.to_page(command, columns.word_of(command.action)),
                columns.command_status(command),
                columns.outcome(command),
                columns.ago(command.created_at),
                command.requested_by or "the system",
            ]
            for command in commands
        ]
        return columns.table(["Command", "Status", "Answer", "Asked", "By"], rows)
