"""What an operator does with limits on power: sets one, clears them, asks the charger what holds."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse

from chargers import commands
from chargers.admin import columns, sending
from chargers.admin.chargers import ChargerAdmin
from chargers.admin.orders import OrderForm
from chargers.admin.pages import Page
from chargers.errors import DomainError
from chargers.events import utcnow
from chargers.models import Charger, Command
from sessions import operations, smart_charging
from sessions.models import ChargingProfile, ChargingSession

Send = Callable[[Any], Command]


class LimitForm(OrderForm):
    """How much, and until when."""

    rate = forms.DecimalField(
        label="At most", min_value=0, max_value=100_000, decimal_places=3, max_digits=9, initial=16
    )
    unit = forms.ChoiceField(choices=[("A", "A per phase"), ("kW", "kW in all")])
    ends_at = forms.DateTimeField(
        label="Until",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="Then what held before holds again. Empty: until it is cleared.",
    )

    def clean_ends_at(self) -> datetime | None:
        ends_at = self.cleaned_data["ends_at"]
        if ends_at is not None and ends_at <= utcnow():
            raise forms.ValidationError("This is over already.")
        return ends_at

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        rate = data.get("rate")
        if rate is not None and data.get("unit") == "A" and rate != round(rate, 1):
            self.add_error("rate", "A current has at most one decimal.")
        return data

    @property
    def limit(self) -> dict[str, Any]:
        """As `smart_charging.limit` takes it."""
        data = self.cleaned_data
        is_power = data["unit"] == "kW"
        return {
            "rate": float(data["rate"] * 1000 if is_power else data["rate"]),
            "unit": "W" if is_power else "A",
            "ends_at": data["ends_at"],
        }


class ChargerLimitForm(LimitForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer_connectors(("0", "Each connector"))
        self.fields["connector_id"].help_text = "A charge that has a limit of its own keeps to that one."


class ScheduleForm(OrderForm):
    hours = forms.IntegerField(min_value=1, max_value=smart_charging.MAX_COMPOSITE_S // 3600, initial=24)
    unit = forms.ChoiceField(choices=[("", "As the charger likes"), ("A", "A"), ("W", "W")], required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer_connectors(("0", "The whole charger"))

    @property
    def params(self) -> dict[str, Any]:
        params = super().params
        params["duration_s"] = params.pop("hours") * 3600
        return params


def _carry_out(
    page: Page,
    request: HttpRequest,
    rows: Sequence[tuple[Model, str]],
    send: Send,
    *,
    name: str,
    title: str,
    form: OrderForm | None = None,
    warning: str = "",
) -> HttpResponse | None:
    """Ask, then send to each row; `rows` are what it is about, each with a note."""
    if not rows:
        return None
    if "confirmed" not in request.POST or (form is not None and not form.is_valid()):
        return sending.confirmation(page, request, rows, name=name, title=title, form=form, warning=warning)
    sent: list[Command] = []
    refused = sending.Refused()
    for row, _ in rows:
        try:
            sent.append(send(row))
        except DomainError as error:
            refused.add(row, error)
    refused.tell(page, request)
    return sending.answers(request, sent) or sending.back(request, [row for row, _ in rows])


def _chargers(page: Page, request: HttpRequest, queryset: QuerySet[Charger]) -> list[tuple[Charger, str]]:
    chargers = sending.chosen(page, request, queryset.prefetch_related("connectors"))
    return [(charger, columns.online(charger)) for charger in chargers]


def _form(kind: type[OrderForm], request: HttpRequest, chargers: Sequence[Charger]) -> Any:
    return kind(request.POST if "confirmed" in request.POST else None, chargers=chargers)


# --- on chargers ---


@admin.action(description="Limit power…", permissions=["send_set_charging_profile"])
def limit_chargers(
    page: ChargerAdmin, request: HttpRequest, queryset: QuerySet[Charger]
) -> HttpResponse | None:
    rows = _chargers(page, request, queryset)
    form = _form(ChargerLimitForm, request, [charger for charger, _ in rows])

    def send(charger: Charger) -> Command:
        number = form.cleaned_data["connector_id"]
        return smart_charging.limit(
            charger=charger,
            connector_number=number,
            requested_by=request.user,  # type: ignore[arg-type]  # nobody anonymous has the permission
            **form.limit,
        )

    return _carry_out(page, request, rows, send, name="limit_chargers", title="Limit power", form=form)


@admin.action(description="Clear limits…", permissions=["send_clear_charging_profile"])
def clear_chargers(
    page: ChargerAdmin, request: HttpRequest, queryset: QuerySet[Charger]
) -> HttpResponse | None:
    def send(charger: Charger) -> Command:
        return _clear(request, charger, {})

    warning = "All charging profiles are removed from the charger, planned schedules too."
    rows = _chargers(page, request, queryset)
    return _carry_out(page, request, rows, send, name="clear_chargers", title="Clear limits", warning=warning)


@admin.action(description="Ask for its schedule…", permissions=["send_get_composite_schedule"])
def ask_for_schedule(
    page: ChargerAdmin, request: HttpRequest, queryset: QuerySet[Charger]
) -> HttpResponse | None:
    rows = _chargers(page, request, queryset)
    form = _form(ScheduleForm, request, [charger for charger, _ in rows])

    def send(charger: Charger) -> Command:
        return operations.perform(
            charger=charger,
            action=commands.GET_COMPOSITE_SCHEDULE,
            params=form.params,
            requested_by=request.user,  # type: ignore[arg-type]
        )

    return _carry_out(
        page, request, rows, send, name="ask_for_schedule", title="Ask for its schedule", form=form
    )


ChargerAdmin.offer(limit_chargers)
ChargerAdmin.offer(clear_chargers, is_dangerous=True)
ChargerAdmin.offer(ask_for_schedule)


# --- on sessions ---


@admin.action(description="Limit power…", permissions=["send_set_charging_profile"])
def limit_sessions(
    page: Page, request: HttpRequest, queryset: QuerySet[ChargingSession]
) -> HttpResponse | None:
    rows = _sessions(page, request, queryset)
    form = _form(LimitForm, request, [])

    def send(session: ChargingSession) -> Command:
        return smart_charging.limit(
            charger=session.charger,
            connector_number=_number(session),
            session=session,
            requested_by=request.user,  # type: ignore[arg-type]
            **form.limit,
        )

    return _carry_out(page, request, rows, send, name="limit_sessions", title="Limit power", form=form)


@admin.action(description="Clear limits…", permissions=["send_clear_charging_profile"])
def clear_sessions(
    page: Page, request: HttpRequest, queryset: QuerySet[ChargingSession]
) -> HttpResponse | None:
    def send(session: ChargingSession) -> Command:
        purpose = ChargingProfile.Purpose.TX.value
        return _clear(request, session.charger, {"connector_id": _number(session), "purpose": purpose})

    warning = "What was set for this charge only no longer counts; limits of the charger remain."
    rows = _sessions(page, request, queryset)
    return _carry_out(page, request, rows, send, name="clear_sessions", title="Clear limits", warning=warning)


def _sessions(
    page: Page, request: HttpRequest, queryset: QuerySet[ChargingSession]
) -> list[tuple[ChargingSession, str]]:
    sessions = sending.chosen(page, request, queryset.select_related("charger", "connector"))
    return [(session, columns.badge(session.status)) for session in sessions]


def _number(session: ChargingSession) -> int:
    return session.connector.number if session.connector else 0


def _clear(request: HttpRequest, charger: Charger, params: dict[str, Any]) -> Command:
    return operations.perform(
        charger=charger,
        action=commands.CLEAR_CHARGING_PROFILE,
        params=params,
        requested_by=request.user,  # type: ignore[arg-type]
    )
