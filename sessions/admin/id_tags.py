"""The page of id tags: cards, whose they are, and whether they may charge."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest

from chargers.admin import columns
from chargers.admin.pages import Page, YesNo, narrowed
from chargers.events import utcnow
from sessions import id_tags
from sessions.models import IdTag


class IdTagForm(forms.ModelForm):
    def clean_value(self) -> str:
        """In capitals before it is compared with the others: `ab12` is `AB12` (E40)."""
        value = id_tags.normalised(self.cleaned_data["value"])
        if not value:
            raise forms.ValidationError("This has no characters that a charger could send.")
        return value

    def clean_parent(self) -> IdTag | None:
        parent = self.cleaned_data["parent"]
        if parent is not None and parent.pk == self.instance.pk:
            raise forms.ValidationError("A tag is not its own parent.")
        if parent is not None and parent.parent_id is not None:
            raise forms.ValidationError(f"{parent} has a parent itself; one level is all there is.")
        if parent is not None and self.instance.pk and self.instance.children.exists():
            raise forms.ValidationError("This tag is the parent of others; one level is all there is.")
        return parent


class Expired(YesNo):
    title = "expiry"
    parameter_name = "expired"
    words = ("Expired", "Not expired")

    def narrow(self, queryset: QuerySet[IdTag], yes: bool) -> QuerySet[IdTag]:
        expired = Q(expires_at__lte=utcnow())
        return queryset.filter(expired) if yes else queryset.filter(~expired | Q(expires_at=None))


@admin.action(description="Block selected id tags", permissions=["change"])
def block(page: "IdTagAdmin", request: HttpRequest, queryset: QuerySet[IdTag]) -> None:
    page.set_blocked(request, queryset, True)


@admin.action(description="Unblock selected id tags", permissions=["change"])
def unblock(page: "IdTagAdmin", request: HttpRequest, queryset: QuerySet[IdTag]) -> None:
    page.set_blocked(request, queryset, False)


@admin.register(IdTag)
class IdTagAdmin(Page):
    form = IdTagForm
    actions = (block, unblock)
    autocomplete_fields = ("user", "parent")
    list_display = ("value", "state", "user_link", "parent_link", "expires", "note", "sessions_link")
    list_filter = (
        narrowed(get_user_model(), "user"),
        narrowed(IdTag, "parent", title="parent"),
        "is_blocked",
        Expired,
        ("user", admin.EmptyFieldListFilter),
    )
    list_select_related = ("user", "parent")
    search_fields = ("value", "note", "user__username", "user__email")
    search_help_text = "Value, note or user"
    readonly_fields = ("state", "sessions_link", "added")
    fields = (
        *("value", "user", "note", "is_blocked", "expires_at", "parent"),
        *("state", "sessions_link", "added"),
    )

    def set_blocked(self, request: HttpRequest, queryset: QuerySet[IdTag], is_blocked: bool) -> None:
        changed = [tag for tag in queryset if tag.is_blocked is not is_blocked]
        IdTag.objects.filter(pk__in=[tag.pk for tag in changed]).update(is_blocked=is_blocked)
        word = "Blocked" if is_blocked else "Unblocked"
        for tag in changed:
            self.log_change(request, tag, f"{word}.")
        values = ", ".join(tag.value for tag in changed) or "nothing: they were already"
        self.message_user(request, f"{word} {values}.", messages.SUCCESS)

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> Any:
        return super().get_search_results(request, queryset, search_term.strip())

    @admin.display(description="a charger is told")
    def state(self, tag: IdTag) -> str:
        """As sessions.id_tags.judge decides, from the rows at hand."""
        if tag._state.adding:
            return columns.NOTHING
        if tag.is_blocked or (tag.parent and tag.parent.is_blocked):
            return columns.badge(id_tags.BLOCKED, "" if tag.is_blocked else "Blocked by its parent")
        if tag.expires_at and tag.expires_at <= utcnow():
            return columns.badge(id_tags.EXPIRED)
        return columns.badge(id_tags.ACCEPTED)

    @admin.display(description="user", ordering="user__username")
    def user_link(self, tag: IdTag) -> str:
        return columns.to_page(tag.user)

    @admin.display(description="parent", ordering="parent__value")
    def parent_link(self, tag: IdTag) -> str:
        return columns.to_page(tag.parent)

    @admin.display(description="expires", ordering=F("expires_at").asc(nulls_last=True))
    def expires(self, tag: IdTag) -> str:
        return columns.moment(tag.expires_at)

    @admin.display(description="added")
    def added(self, tag: IdTag) -> str:
        return columns.moment(tag.created_at)

    @admin.display(description="sessions")
    def sessions_link(self, tag: IdTag) -> str:
        if tag._state.adding:
            return columns.NOTHING
        return columns.to_list("charging.chargingsession", "Sessions", id_tag=tag.value)
