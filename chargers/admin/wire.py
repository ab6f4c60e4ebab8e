"""The pages of what was said on the wire, of the rules that chargers break there, and of the profiles that mend it."""

import json
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import timedelta
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.forms.models import model_to_dict
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from chargers import quirks
from chargers.admin import columns
from chargers.admin.pages import Facts, Page, YesNo, narrowed
from chargers.models import Breach, Charger, OcppCall, QuirkProfile

# What the official schemas name; a list of what is there would mean to look through all rows.
ACTIONS = (
    *("Authorize", "BootNotification", "DataTransfer", "DiagnosticsStatusNotification"),
    *("FirmwareStatusNotification", "Heartbeat", "LogStatusNotification", "MeterValues"),
    *("SecurityEventNotification", "SignCertificate", "SignedFirmwareStatusNotification"),
    *("StartTransaction", "StatusNotification", "StopTransaction"),
    *("CancelReservation", "CertificateSigned", "ChangeAvailability", "ChangeConfiguration", "ClearCache"),
    *("ClearChargingProfile", "DeleteCertificate", "ExtendedTriggerMessage", "GetCompositeSchedule"),
    *("GetConfiguration", "GetDiagnostics", "GetInstalledCertificateIds", "GetLocalListVersion", "GetLog"),
    *("InstallCertificate", "RemoteStartTransaction", "RemoteStopTransaction", "ReserveNow", "Reset"),
    *("SendLocalList", "SetChargingProfile", "SignedUpdateFirmware", "TriggerMessage", "UnlockConnector"),
    "UpdateFirmware",
)
VERDICTS = {
    "ok": "Answered",
    "wrong": "Anything else",
    "timeout": "No answer in time",
    "late": "Answered too late",
    "lost": "Connection lost meanwhile",
    "repeat": "Told again",
    "unreadable": "Unreadable",
    "unasked": "An answer to nothing",
}
_TONES = {"ok": "good", "repeat": "quiet", "ignored": "quiet", "late": "wait"}


class Action(admin.SimpleListFilter):
    title = "action"
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [(action, action) for action in sorted(ACTIONS)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OcppCall]) -> QuerySet[OcppCall]:
        return queryset.filter(action=self.value()) if self.value() else queryset


class Verdict(admin.SimpleListFilter):
    title = "verdict"
    parameter_name = "verdict"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return list(VERDICTS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[OcppCall]) -> QuerySet[OcppCall]:
        if self.value() == "wrong":
            return queryset.exclude(verdict="ok")
        return queryset.filter(verdict=self.value()) if self.value() else queryset


class Time(admin.SimpleListFilter):
    title = "time"
    parameter_name = "since"
    spans = {"10m": ("10 minutes", 1 / 6), "1h": ("hour", 1), "1d": ("day", 24), "7d": ("week", 168)}

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> Iterator[tuple[str, str]]:
        return ((key, f"The last {words}") for key, (words, _) in self.spans.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[OcppCall]) -> QuerySet[OcppCall]:
        if self.value() not in self.spans:
            return queryset
        return queryset.filter(at__gt=Now() - timedelta(hours=self.spans[str(self.value())][1]))


def pretty_frame(text: str) -> str:
    """A frame for reading; what is no JSON, or was cut, as it is."""
    if not text:
        return columns.NOTHING
    try:
        return columns.pretty(json.loads(text))
    except (ValueError, RecursionError):
        return format_html('<pre class="ev-json">{}</pre>', text)


@admin.register(OcppCall)
class OcppCallAdmin(Facts):
    list_display = ("when", "charger_link", "way", "what", "badge", "took", "message_id")
    list_display_links = ("when",)
    list_filter = (narrowed(Charger, "charger"), Time, "direction", Verdict, Action)
    list_select_related = ("charger",)
    search_fields = ("message_id", "request", "answer")
    search_help_text = "Message id, or any text in the frames; narrowed to a charger or a time it is quicker"
    fieldsets = (
        (None, {"fields": (("charger_link", "way"), ("what", "badge"), ("when", "took"), "message_id_link")}),
        ("The message", {"fields": ("request_frame",)}),
        ("Its answer", {"fields": ("answer_frame",)}),
    )

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ("-at", "-pk")

    @admin.display(description="time", ordering="at")
    def when(self, call: OcppCall) -> str:
        return columns.moment(call.at)

    @admin.display(description="charger")
    def charger_link(self, call: OcppCall) -> str:
        return columns.to_page(call.charger)

    @admin.display(description="direction", ordering="direction")
    def way(self, call: OcppCall) -> str:
        return call.get_direction_display()

    @admin.display(description="action")
    def what(self, call: OcppCall) -> str:
        return call.action or columns.NOTHING

    @admin.display(description="verdict")
    def badge(self, call: OcppCall) -> str:
        return columns.badge(call.verdict, tone=_TONES.get(call.verdict, "bad"))

    @admin.display(description="took", ordering="latency_ms")
    def took(self, call: OcppCall) -> str:
        return columns.NOTHING if call.latency_ms is None else f"{call.latency_ms:.1f} ms"

    # --- on its page only ---

    @admin.display(description="message id")
    def message_id_link(self, call: OcppCall) -> str:
        label = "All with this id"
        link = columns.to_list(
            "chargers.ocppcall", label, charger=call.charger_id, message_id=call.message_id
        )
        return columns.links(call.message_id, link) if call.message_id else columns.NOTHING

    @admin.display(description="frame")
    def request_frame(self, call: OcppCall) -> str:
        return pretty_frame(call.request)

    @admin.display(description="frame")
    def answer_frame(self, call: OcppCall) -> str:
        return pretty_frame(call.answer)


# --- profiles ---


REMEDIES = (
    *("is_lenient", "energy_factor", "power_factor", "default_subprotocol", "no_pings"),
    *("start_answer_delay_ms", "id_tag_trim", "timezone", "register"),
)


class QuirkProfileForm(forms.ModelForm):
    class Meta:
        model = QuirkProfile
        fields = (
            *("name", "is_enabled", "note", "priority"),
            *("identity_pattern", "vendor_pattern", "model_pattern", "firmware_pattern"),
            *REMEDIES,
        )

    def clean_timezone(self) -> str:
        name = self.cleaned_data["timezone"].strip()
        if name and name not in available_timezones():
            raise forms.ValidationError("That is no time zone; one is written like Europe/Berlin.")
        return name

    def clean_default_subprotocol(self) -> str:
        name = self.cleaned_data["default_subprotocol"].strip()
        if name not in ("", "ocpp1.6"):
            raise forms.ValidationError("This server speaks ocpp1.6.")
        return name

    def _positive(self, name: str) -> float:
        if self.cleaned_data[name] <= 0:
            raise forms.ValidationError("A factor is above 0.")
        return self.cleaned_data[name]

    def clean_energy_factor(self) -> float:
        return self._positive("energy_factor")

    def clean_power_factor(self) -> float:
        return self._positive("power_factor")


@admin.register(QuirkProfile)
class QuirkProfileAdmin(Page):
    form = QuirkProfileForm
    list_display = ("name", "is_enabled", "priority", "whom", "mended", "note")
    list_filter = ("is_enabled",)
    search_fields = ("name", "vendor_pattern", "model_pattern", "note")
    fieldsets = (
        (
            None,
            {
                "fields": (("name", "is_enabled"), "note"),
                "description": "A change takes effect when a charger connects or boots next.",
            },
        ),
        (
            "Whom it fits",
            {
                "fields": (
                    ("vendor_pattern", "model_pattern", "firmware_pattern"),
                    ("identity_pattern", "priority"),
                ),
                "description": "* stands for anything, ? for one character; capitals do not matter. Vendor, model and "
                "firmware are what the charger said when it booted last. Of several that fit only the one of highest "
                "priority counts.",
            },
        ),
        ("Connection", {"fields": ("default_subprotocol", "no_pings", "start_answer_delay_ms")}),
        ("Messages", {"fields": ("is_lenient", "id_tag_trim", "timezone")}),
        ("Meter", {"fields": ("energy_factor", "power_factor", "register")}),
    )

    @admin.display(description="fits")
    def whom(self, profile: QuirkProfile) -> str:
        names = ("vendor", "model", "firmware", "identity")
        patterns = {name: getattr(profile, f"{name}_pattern") for name in names}
        return (
            columns.brief({name: text for name, text in patterns.items() if text != "*"}) or "every charger"
        )

    @admin.display(description="mends")
    def mended(self, profile: QuirkProfile) -> str:
        changed = {name: getattr(profile, name) for name in REMEDIES if quirks.is_set(profile, name)}
        return columns.brief({name.removeprefix("is_"): value for name, value in changed.items()}) or (
            columns.NOTHING
        )

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """From a breach (`?breach=`): what mends it, for chargers like that one, on top of what they have."""
        pk = request.GET.get("breach", "")
        known = Breach.objects.select_related("charger")
        breach = known.filter(pk=int(pk)).first() if pk.isdecimal() and len(pk) < 19 else None
        return mending(breach) if breach else super().get_changeform_initial_data(request)


# What mends where it needs no figure of the charger's; the rest is for the operator to fill in.
_VALUES = {
    "is_lenient": True,
    "no_pings": True,
    "default_subprotocol": "ocpp1.6",
    "register": QuirkProfile.Register.SESSION,
}


def mending(breach: Breach) -> dict[str, Any]:
    """The fields of a new profile that mends the breach: it stands above the one that fits now, and holds what that
    holds. A charger that never said what it is is meant alone."""
    charger = breach.charger
    present = quirks.profile_for(charger, QuirkProfile.objects.all())
    fields: dict[str, Any] = model_to_dict(present, fields=REMEDIES) if present else {}
    fields["priority"] = min(present.priority + 1, 32_767) if present else 0
    if charger.vendor or charger.model:
        fields["vendor_pattern"], fields["model_pattern"] = charger.vendor or "*", charger.model or "*"
        name = f"{charger.vendor} {charger.model}".strip()
    else:
        fields["identity_pattern"] = name = charger.identity
    fields["name"] = f"{name[:50]}: {breach.rule.replace('_', ' ')}"[:80]
    fields["note"] = f"{breach.detail}\nSeen at {charger.identity}."
    if breach.remedy in _VALUES:
        fields[breach.remedy] = _VALUES[breach.remedy]
    return fields


# --- breaches ---


# Of the request that is being answered: a page's object serves many at once.
_profiles: ContextVar[list[QuirkProfile]] = ContextVar("profiles")
_may_add: ContextVar[bool] = ContextVar("may_add")


class Mendable(YesNo):
    title = "remedy"
    parameter_name = "mendable"
    words = ("A profile can mend it", "None needed, or none known")

    def narrow(self, queryset: QuerySet[Breach], yes: bool) -> QuerySet[Breach]:
        return queryset.exclude(remedy="") if yes else queryset.filter(remedy="")


class BrokenRule(admin.SimpleListFilter):
    title = "rule"
    parameter_name = "rule"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [(code, rule.words) for code, rule in quirks.RULES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Breach]) -> QuerySet[Breach]:
        return queryset.filter(rule=self.value()) if self.value() else queryset


@admin.register(Breach)
class BreachAdmin(Facts):
    list_display = ("words", "charger_link", "hardware", "action", "count", "last", "mended")
    list_filter = (narrowed(Charger, "charger"), Mendable, BrokenRule)
    list_select_related = ("charger",)
    search_fields = ("charger__identity", "charger__vendor", "charger__model", "detail")
    search_help_text = "Identity, vendor or model of the charger, or words"
    fieldsets = (
        (None, {"fields": ("words", "detail", ("charger_link", "hardware"), "mended")}),
        ("How often", {"fields": (("count", "action"), ("first", "last"))}),
        ("Example", {"fields": ("example",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Breach]:
        _profiles.set(list(QuirkProfile.objects.all()))  # few, and read once for the page
        _may_add.set(request.user.has_perm("chargers.add_quirkprofile"))
        return super().get_queryset(request).select_related("charger")

    @admin.display(description="rule", ordering="rule")
    def words(self, breach: Breach) -> str:
        rule = quirks.RULES.get(breach.rule)
        return rule.words if rule else breach.rule

    @admin.display(description="charger", ordering="charger__identity")
    def charger_link(self, breach: Breach) -> str:
        return columns.to_page(breach.charger)

    @admin.display(description="hardware", ordering="charger__model")
    def hardware(self, breach: Breach) -> str:
        said = (breach.charger.vendor, breach.charger.model, breach.charger.firmware_version)
        return " ".join(filter(None, said)) or columns.NOTHING

    @admin.display(description="first", ordering="first_at")
    def first(self, breach: Breach) -> str:
        return columns.moment(breach.first_at)

    @admin.display(description="last", ordering="last_at")
    def last(self, breach: Breach) -> str:
        return columns.ago(breach.last_at)

    @admin.display(description="mended")
    def mended(self, breach: Breach) -> str:
        if not breach.remedy:
            return format_html('<span class="ev-quiet">{}</span>', "needs nothing")
        profile = quirks.profile_for(breach.charger, _profiles.get())
        if profile is not None and quirks.mends(profile, breach):
            return columns.links(columns.badge("mended", tone="good"), columns.to_page(profile))
        url = f"{reverse('admin:chargers_quirkprofile_add')}?breach={breach.pk}"
        offer = format_html('<a href="{}">{}</a>', url, "Make a quirk profile that mends this")
        return columns.links(columns.badge("open", tone="wait"), *([offer] if _may_add.get() else []))

    @admin.display(description="frame")
    def example(self, breach: Breach) -> str:
        return pretty_frame(breach.frame)
