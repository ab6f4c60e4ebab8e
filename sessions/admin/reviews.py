"""What an operator decides about odd sessions, in their list or on a session's page; and how it is shown there."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminSplitDateTime
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html

from chargers.admin import columns, sending
from chargers.admin.pages import Page
from chargers.errors import DomainError
from sessions import ledger, reviews
from sessions.admin import figures
from sessions.models import ChargingSession
from sessions.oddities import FLAGS

PERMISSION = "charging.add_decision"

_TONES = {"waiting": "wait", "accepted": "good", "corrected": "good", "voided": "quiet"}

Decide = Callable[[ChargingSession], object]


class ReasonForm(forms.Form):
    """Its prefix keeps it apart from the list's own fields."""

    prefix = "review"
    reason = forms.CharField(max_length=255, widget=forms.TextInput(attrs={"size": 60}))


class CorrectionForm(ReasonForm):
    """What stays empty is reckoned as before."""

    energy_kwh = forms.DecimalField(
        label="Energy (kWh)", min_value=0, max_value=10**6, decimal_places=3, required=False
    )
    cost = forms.DecimalField(
        min_value=0,
        max_digits=12,
        decimal_places=3,
        required=False,
        help_text="Empty: by the energy, the time and the price agreed.",
    )
    stopped_at = forms.SplitDateTimeField(label="Stopped", widget=AdminSplitDateTime, required=False)
    field_order = ("energy_kwh", "cost", "stopped_at", "reason")

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if all(values.get(name) is None for name in ("energy_kwh", "cost", "stopped_at")) and not self.errors:
            raise forms.ValidationError("Give at least one of energy, cost and end.")
        return values

    @property
    def correction(self) -> dict[str, Any]:
        energy: Decimal | None = self.cleaned_data["energy_kwh"]
        return {
            "energy_wh": None if energy is None else int(energy * 1000),
            "cost": self.cleaned_data["cost"],
            "stopped_at": self.cleaned_data["stopped_at"],
        }


@admin.action(description="Accept as it stands", permissions=["decide"])
def accept(page: Page, request: HttpRequest, queryset: QuerySet[ChargingSession]) -> HttpResponse | None:
    sessions = sending.chosen(page, request, queryset)
    return _decide(
        page,
        request,
        sessions,
        "accepted",
        lambda each: reviews.accept(session=each, decided_by=_who(request)),
    )


@admin.action(description="Correct…", permissions=["decide"])
def correct(page: Page, request: HttpRequest, queryset: QuerySet[ChargingSession]) -> HttpResponse | None:
    sessions = sending.chosen(page, request, queryset)
    if len(sessions) > 1:
        page.message_user(request, "Correct one session at a time.", messages.ERROR)
        return None
    form = CorrectionForm(request.POST if "confirmed" in request.POST else None)
    if not form.is_valid():
        return _asked(page, request, sessions, "correct", "Correct", form)
    values = {**form.correction, "reason": form.cleaned_data["reason"]}
    return _decide(
        page,
        request,
        sessions,
        "corrected",
        lambda each: reviews.correct(session=each, decided_by=_who(request), **values),
    )


@admin.action(description="Void…", permissions=["decide"])
def void(page: Page, request: HttpRequest, queryset: QuerySet[ChargingSession]) -> HttpResponse | None:
    warning = "Nothing is owed for it then. What the charger told stays."
    return _with_reason(page, request, queryset, "void", "Void", warning, "voided", reviews.void)


@admin.action(description="Close stale…", permissions=["decide"])
def close_stale(page: Page, request: HttpRequest, queryset: QuerySet[ChargingSession]) -> HttpResponse | None:
    warning = "It ends here only, with what was last heard of it; the charger is not asked."
    return _with_reason(
        page, request, queryset, "close_stale", "Close stale", warning, "closed", reviews.close_stale
    )


@admin.action(description="Recompute…", permissions=["decide"])
def recompute(page: Page, request: HttpRequest, queryset: QuerySet[ChargingSession]) -> HttpResponse | None:
    """Shows the differences; changes them if confirmed."""
    sessions = sending.chosen(page, request, queryset)
    found = {session: differences for session in sessions if (differences := ledger.recompute(session))}
    if not found:
        page.message_user(request, "All of the totals are what their facts give.", messages.SUCCESS)
        return sending.back(request, sessions) if sessions else None
    if "confirmed" not in request.POST:
        rows = [
            (session, "; ".join(f"{name} {stored} → {new}" for name, (stored, new) in differences.items()))
            for session, differences in found.items()
        ]
        warning = "These totals are stored otherwise than their facts give them. They will be changed."
        return sending.confirmation(page, request, rows, name="recompute", title="Recompute", warning=warning)
    return _decide(page, request, list(found), "recomputed", lambda each: ledger.recompute(each, write=True))


ACTIONS = (accept, correct, void, close_stale, recompute)


def _who(request: HttpRequest) -> Any:
    """Nobody anonymous has the permission."""
    return request.user


def _with_reason(
    page: Page,
    request: HttpRequest,
    queryset: QuerySet[ChargingSession],
    name: str,
    title: str,
    warning: str,
    done: str,
    decide: Callable[..., object],
) -> HttpResponse | None:
    sessions = sending.chosen(page, request, queryset)
    form = ReasonForm(request.POST if "confirmed" in request.POST else None)
    if not form.is_valid():
        return _asked(page, request, sessions, name, title, form, warning)
    reason = form.cleaned_data["reason"]
    return _decide(
        page,
        request,
        sessions,
        done,
        lambda each: decide(session=each, decided_by=_who(request), reason=reason),
    )


def _asked(
    page: Page,
    request: HttpRequest,
    sessions: list[ChargingSession],
    name: str,
    title: str,
    form: forms.Form,
    warning: str = "",
) -> HttpResponse | None:
    if not sessions:
        return None
    rows = [
        (session, columns.links(columns.badge(session.status), figures.energy(session.energy_wh)))
        for session in sessions
    ]
    return sending.confirmation(page, request, rows, name=name, title=title, form=form, warning=warning)


def _decide(
    page: Page, request: HttpRequest, sessions: list[ChargingSession], done: str, decide: Decide
) -> HttpResponse | None:
    if not sessions:
        return None
    refused = sending.Refused()
    decided = []
    for session in sessions:
        try:
            decide(session)
        except DomainError as error:
            refused.add(session, error)
        else:
            decided.append(str(session))
    refused.tell(page, request)
    if decided:
        page.message_user(request, f"{', '.join(decided)}: {done}.", messages.SUCCESS)
    return sending.back(request, sessions)


# --- as a session's page shows it ---


def review_badge(session: ChargingSession) -> str:
    if not session.review:
        return columns.NOTHING
    return columns.badge(session.review, tone=_TONES[session.review])


def oddities(session: ChargingSession) -> str:
    """Each flag with its reasons; with the charger's message in the timeline."""
    rows = [
        [columns.badge("", each.flag, tone="wait"), why(each.reason), columns.moment(each.created_at)]
        for each in session.oddities.all()
    ]
    return columns.table(["Flag", "Why", "Noticed"], rows, empty="Nothing odd")


def reasons(session: ChargingSession) -> str:
    """What a person is to look at, in words."""
    found = [
        each
        for each in session.oddities.all()
        if each.flag in session.flags and FLAGS[each.flag].needs_person
    ]
    return columns.joined(*(why(f"{each.reason}.") for each in found)) or columns.NOTHING


def why(reason: str) -> str:
    """A sentence in a table: wide enough to be read, and broken into lines."""
    return format_html('<div class="ev-why">{}</div>', reason)


def decisions(session: ChargingSession) -> str:
    """Who decided what, and how the totals stood before and after."""
    rows = [
        [
            columns.moment(each.decided_at),
            columns.badge(each.verdict),
            str(each.decided_by),
            why(each.reason) if each.reason else columns.NOTHING,
            _totals(each.before, session.currency),
            _totals(each.after, session.currency),
        ]
        for each in session.decisions.select_related("decided_by")
    ]
    return columns.table(["When", "Decision", "By", "Why", "Before", "After"], rows)


def _totals(state: dict[str, Any], currency: str) -> str:
    cost = state.get("cost")
    return columns.links(
        figures.energy(state.get("energy_wh")),
        figures.money(None if cost is None else Decimal(cost), currency),
    )
