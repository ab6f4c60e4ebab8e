"""The page of commands: who asked what of which charger, and what it answered. Facts; it looks again until they end."""

import uuid

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.auth import get_user_model
from django.db.models import DurationField, ExpressionWrapper, F, QuerySet
from django.http import HttpRequest

from chargers import commands
from chargers.admin import columns
from chargers.admin.orders import WORDS
from chargers.admin.pages import Facts, YesNo, narrowed
from chargers.models import Charger, Command


class Together(admin.SimpleListFilter):
    """The commands of one wish, by their ids: where the operator sees what they came to."""

    title = "sent together"
    parameter_name = "ids"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        value = self.value()
        return [(value, f"these {len(value.split(','))}")] if value else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Command]) -> QuerySet[Command]:
        value = self.value()
        if not value:
            return queryset
        try:
            return queryset.filter(pk__in=[uuid.UUID(each) for each in value.split(",")])
        except ValueError as error:
            raise IncorrectLookupParameters from error


class Word(admin.SimpleListFilter):
    title = "command"
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [(word, columns.word_of(word)) for word in WORDS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Command]) -> QuerySet[Command]:
        return queryset.filter(action=self.value()) if self.value() else queryset


class Finished(YesNo):
    title = "finished"
    parameter_name = "finished"
    words = ("Finished", "Still open")

    def narrow(self, queryset: QuerySet[Command], yes: bool) -> QuerySet[Command]:
        return queryset.filter(finished_at__isnull=not yes)


@admin.register(Command)
class CommandAdmin(Facts):
    list_display = ("word", "charger_link", "asked_for", "badge", "outcome", "asked_at", "took", "requester")
    list_filter = (
        Together,
        narrowed(Charger, "charger"),
        narrowed(get_user_model(), "requested_by", title="requested by"),
        "status",
        Finished,
        Word,
        ("created_at", admin.DateFieldListFilter),
    )
    list_select_related = ("charger", "requested_by")
    search_fields = (
        "id",
        "charger__identity",
        "charger__serial_number",
        "requested_by__username",
        "requested_by__email",
    )
    search_help_text = "Identity or serial number of the charger, user, message id"
    fieldsets = (
        (None, {"fields": ("word", "charger_link", "badge", "outcome", "answer_json")}),
        ("What was asked", {"fields": ("params_json", "requester", "session_link")}),
        ("When", {"fields": ("asked_at", "sent", "finished", "took")}),
        ("For the logs", {"fields": ("message_id", "error")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Command]:
        duration = ExpressionWrapper(F("finished_at") - F("created_at"), output_field=DurationField())
        return (
            super()
            .get_queryset(request)
            .select_related(*self.list_select_related)
            .annotate(duration=duration)
        )

    @admin.display(description="command", ordering="action")
    def word(self, command: Command) -> str:
        return columns.word_of(command.action)

    @admin.display(description="charger", ordering="charger__identity")
    def charger_link(self, command: Command) -> str:
        return columns.to_page(command.charger)

    @admin.display(description="asked for")
    def asked_for(self, command: Command) -> str:
        return columns.brief(columns.params_of(command)) or columns.NOTHING

    @admin.display(description="status", ordering="status")
    def badge(self, command: Command) -> str:
        return columns.command_status(command)

    @admin.display(description="answer")
    def outcome(self, command: Command) -> str:
        return columns.outcome(command)

    @admin.display(description="asked at", ordering="created_at")
    def asked_at(self, command: Command) -> str:
        return columns.moment(command.created_at)

    @admin.display(description="took", ordering="duration")
    def took(self, command: Command) -> str:
        return columns.took(command)

    @admin.display(description="requested by", ordering="requested_by__username")
    def requester(self, command: Command) -> str:
        return columns.to_page(command.requested_by) if command.requested_by else "the system"

    # --- on its page only ---

    @admin.display(description="whole answer")
    def answer_json(self, command: Command) -> str:
        return columns.pretty(command.answer)

    @admin.display(description="parameters")
    def params_json(self, command: Command) -> str:
        return columns.pretty(columns.params_of(command))

    @admin.display(description="session")
    def session_link(self, command: Command) -> str:
        sessions = "charging.chargingsession"
        if command.action == commands.REMOTE_STOP:
            return columns.to_list(sessions, "The one it ends", stop_command=command.pk)
        if command.action == commands.REMOTE_START:
            tag = command.params.get("id_tag", "")
            return columns.to_list(
                sessions, "Of this tag at this charger", charger=command.charger_id, id_tag=tag
            )
        return columns.NOTHING

    @admin.display(description="sent at")
    def sent(self, command: Command) -> str:
        return columns.moment(command.sent_at)

    @admin.display(description="ended at")
    def finished(self, command: Command) -> str:
        return columns.moment(command.finished_at)

    @admin.display(description="message id")
    def message_id(self, command: Command) -> str:
        return str(command.pk)
