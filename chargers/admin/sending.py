"""From an operator's wish to the charger's answer: the page that asks, the sending, the page that shows the end."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import messages
from django.contrib.admin import helpers
from django.db.models import Model, QuerySet
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from chargers.admin import columns
from chargers.admin.columns import list_url, page_url
from chargers.admin.orders import Order
from chargers.admin.pages import Page
from chargers.commands import ask
from chargers.errors import DomainError
from chargers.models import Charger, Command

# What fits on one page; the answers are shown by naming each command in the address.
MAX_AT_ONCE = 100


def send_to(
    page: Page, request: HttpRequest, queryset: QuerySet[Charger], order: Order
) -> HttpResponse | None:
    """Send to each of the chargers, after asking where the order asks. None: back to the list, with messages."""
    chargers = chosen(page, request, queryset.prefetch_related("connectors"))
    if not chargers:
        return None
    confirmed = "confirmed" in request.POST
    form = order.form(request.POST if confirmed or not order.asks else None, chargers=chargers)
    if order.asks and not (confirmed and form.is_valid()):
        return confirmation(
            page,
            request,
            [(charger, columns.online(charger)) for charger in chargers],
            name=order.name,
            title=order.label,
            form=form,
            warning=order.warning,
        )
    form.is_valid()
    sent: list[Command] = []
    refused = Refused()
    for charger in chargers:
        try:
            command = ask(
                charger=charger,
                action=order.action,
                params={**order.fixed, **form.params},
                requested_by=request.user,
            )
        except DomainError as error:
            refused.add(charger, error)
        else:
            sent.append(command)
    refused.tell(page, request)
    return answers(request, sent) or back(request, chargers)


class Refused:
    """What could not be done to whom: one message for each cause, with everything it befell."""

    def __init__(self) -> None:
        self.rows: dict[str, list[str]] = {}

    def add(self, row: Model | str, error: DomainError) -> None:
        sentence = f"{error.sentence} ({error.detail})" if error.detail else error.sentence
        self.rows.setdefault(sentence, []).append(str(row))

    def tell(self, page: Page, request: HttpRequest) -> None:
        for sentence, names in self.rows.items():
            page.message_user(request, f"{', '.join(names)}: {sentence}", messages.ERROR)


def chosen(page: Page, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
    """The rows of an action, or none with a message if they are too many."""
    rows = list(queryset[: MAX_AT_ONCE + 1])
    if len(rows) > MAX_AT_ONCE:
        page.message_user(request, f"Choose at most {MAX_AT_ONCE} at a time.", messages.ERROR)
        return []
    return rows


def confirmation(
    page: Page,
    request: HttpRequest,
    rows: Sequence[tuple[Model, str]],
    *,
    name: str,
    title: str,
    form: Form | None = None,
    warning: str = "",
) -> HttpResponse:
    """The page between the wish and the sending: it asks for parameters, or whether this is really meant.

    `rows` are what it is about, each with a note.
    """
    request.current_app = page.admin_site.name
    context = {
        **page.admin_site.each_context(request),
        "title": title,
        "subtitle": None,
        "opts": page.opts,
        "rows": rows,
        "form": form,
        "warning": warning,
        "action": name,
        "action_checkbox_name": helpers.ACTION_CHECKBOX_NAME,
        "from_page": "from_page" in request.POST,
        "media": page.media,
    }
    return TemplateResponse(request, "admin/chargers/confirm.html", context)


def answers(request: HttpRequest, sent: Sequence[Command]) -> HttpResponse | None:
    """To where the answers of these commands will be seen; None if there are none, or not for these eyes."""
    if not sent or not request.user.has_perm("chargers.view_command"):
        return None
    if len(sent) == 1:
        return HttpResponseRedirect(page_url(sent[0]))
    return HttpResponseRedirect(
        list_url("chargers.command", ids=",".join(str(command.pk) for command in sent))
    )


def back(request: HttpRequest, rows: Iterable[Model]) -> HttpResponse | None:
    """To the row's page, if the wish came from there."""
    if "from_page" not in request.POST:
        return None
    return HttpResponseRedirect(page_url(next(iter(rows))))
