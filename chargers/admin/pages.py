"""What the operators' pages have in common: pages of facts, lists narrowed by a link, long lists."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from chargers.commands import may_send
from chargers.models import WORDS


class Page(admin.ModelAdmin):
    """The looks of all our pages, and who may send which command.

    Actions name the words they send among their permissions, `send_reset` say; Django asks `has_send_reset_permission`.
    """

    list_per_page = 50
    list_max_show_all = 100
    save_on_top = False

    class Media:
        css = {"all": ["chargers/admin.css"]}
        js = ["chargers/live.js"]

    def may_use(self, request: HttpRequest, *actions: str) -> bool:
        """Whether the buttons of these actions are for this user."""
        return self.get_actions(request).keys() >= set(actions)


def _permission_for(word: str) -> Callable[[Page, HttpRequest], bool]:
    return lambda page, request: may_send(request.user, word)


for _word in WORDS:
    setattr(Page, f"has_send_{_word}_permission", _permission_for(_word))


class CappedPaginator(Paginator):
    """Counts no further than what anyone pages through: counting millions of rows would take longer than the page."""

    CAP = 10_000

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        assert isinstance(rows, QuerySet)  # the admin's lists are
        return rows.order_by()[: self.CAP].count()


class Facts(Page):
    """Pages of what happened: nobody adds, changes or deletes it by hand. There may be millions, so nothing on them may
    look through all rows: neither a count, nor facets, nor a hierarchy of dates.
    """

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class Narrowed(admin.SimpleListFilter):
    """A filter set by a link from elsewhere: says to what the list is narrowed, and offers all again.

    A list of every charger or user to choose from would be longer than the page.
    """

    model: type[Model]
    lookup = ""

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        value = self.value()
        if value is None:
            return []
        try:
            row = self.model._default_manager.filter(pk=value).first()
        except (ValueError, ValidationError) as error:
            raise IncorrectLookupParameters from error
        return [(value, str(row) if row else "one that is gone")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return (
            queryset
            if value is None
            else queryset.filter(**{self.lookup or self.parameter_name or "": value})
        )


def narrowed(by: type[Model], name: str, *, lookup: str = "", title: str = "") -> type[Narrowed]:
    """The filter `?name=<primary key of by>`."""
    return type(
        f"NarrowedBy{name.title()}",
        (Narrowed,),
        {
            "model": by,
            "parameter_name": name,
            "lookup": lookup or name,
            "title": title or str(by._meta.verbose_name),
        },
    )


class YesNo(admin.SimpleListFilter):
    """A filter with two sides. Subclasses give `words`, for yes and no, and `narrow`."""

    words = ("Yes", "No")

    def narrow(self, queryset: QuerySet[Any], yes: bool) -> QuerySet[Any]:
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> Iterator[tuple[str, str]]:
        return zip(("yes", "no"), self.words, strict=True)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return self.narrow(queryset, value == "yes") if value in ("yes", "no") else queryset
