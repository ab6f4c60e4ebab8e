"""The pages of firmware: campaigns, which operators begin and stop, and the updates of chargers."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AutocompleteSelectMultiple
from django.db.models import Exists, OuterRef, Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse

from chargers import campaigns, firmware
from chargers.admin import columns
from chargers.admin.chargers import ChargerAdmin, action_for
from chargers.admin.firmware_orders import FIRMWARE_ORDERS, address
from chargers.admin.pages import Facts, Page, YesNo, narrowed
from chargers.admin.sending import back, chosen, confirmation
from chargers.events import utcnow
from chargers.models import Charger, Connector, FirmwareCampaign, FirmwareUpdate

State = FirmwareUpdate.State
TONES = {
    State.WAITING: "wait",
    State.REQUESTED: "busy",
    State.RUNNING: "busy",
    State.INSTALLED: "good",
    State.FAILED: "bad",
}
# Either: a campaign may be of signed firmware or not.
MAY_UPDATE = ("send_update_firmware", "send_signed_update_firmware")
# More fields than this in one form Django refuses.
MAX_CHOSEN = 900


# --- what chargers' pages offer ---


class CampaignChoice(forms.Form):
    campaign = forms.ModelChoiceField(FirmwareCampaign.objects.all(), empty_label=None)


@admin.action(description="Put into a firmware campaign…", permissions=MAY_UPDATE)
def put_into_campaign(
    page: ChargerAdmin, request: HttpRequest, queryset: QuerySet[Charger]
) -> HttpResponse | None:
    chargers = list(queryset[: MAX_CHOSEN + 1])
    if len(chargers) > MAX_CHOSEN:
        page.message_user(request, f"Choose at most {MAX_CHOSEN} at a time.", messages.ERROR)
        return None
    form = CampaignChoice(request.POST if "confirmed" in request.POST else None)
    if not form.is_valid():
        rows = [(charger, charger.firmware_version or "firmware not told") for charger in chargers]
        title = "Put into a firmware campaign"
        return confirmation(page, request, rows, name="put_into_campaign", title=title, form=form)
    campaign = form.cleaned_data["campaign"]
    campaigns.choose(campaign, chargers)
    count = columns.counted(len(chargers), "charger")
    page.message_user(request, f"{count} in the campaign {campaign}.", messages.SUCCESS)
    return back(request, chargers)


for order in FIRMWARE_ORDERS:
    ChargerAdmin.offer(action_for(order))
ChargerAdmin.offer(put_into_campaign)


# --- campaigns ---


@admin.action(description="Start selected campaigns", permissions=MAY_UPDATE)
def start(
    page: "CampaignAdmin", request: HttpRequest, queryset: QuerySet[FirmwareCampaign]
) -> HttpResponse | None:
    for campaign in queryset:
        if campaigns.start(campaign):
            page.log_change(request, campaign, "Started.")
            page.message_user(
                request, f"{campaign} goes on; chargers are asked in a moment.", messages.SUCCESS
            )
        else:
            page.message_user(request, f"{campaign} is going already.", messages.INFO)
    return back(request, queryset)


@admin.action(description="Stop selected campaigns", permissions=MAY_UPDATE)
def stop(
    page: "CampaignAdmin", request: HttpRequest, queryset: QuerySet[FirmwareCampaign]
) -> HttpResponse | None:
    for campaign in queryset:
        if campaigns.stop(campaign):
            page.log_change(request, campaign, "Stopped.")
            text = f"{campaign} is stopped; chargers that were asked already go on."
            page.message_user(request, text, messages.SUCCESS)
        else:
            page.message_user(request, f"{campaign} stands still already.", messages.INFO)
    return back(request, queryset)


@admin.action(description="Try failed chargers again", permissions=MAY_UPDATE)
def retry_failed(
    page: "CampaignAdmin", request: HttpRequest, queryset: QuerySet[FirmwareCampaign]
) -> HttpResponse | None:
    for campaign in queryset:
        count = campaigns.retry_failed(campaign, by=request.user)  # type: ignore[arg-type]
        text = f"{campaign}: {columns.counted(count, 'charger')} to be tried again."
        if count:
            page.log_change(request, campaign, text)
        page.message_user(request, text, messages.SUCCESS if count else messages.INFO)
    return back(request, queryset)


class CampaignForm(forms.ModelForm):
    location = address("Download from")
    chargers = forms.ModelMultipleChoiceField(
        Charger.objects.all(),
        required=False,
        label="Add chargers",
        widget=AutocompleteSelectMultiple(FirmwareUpdate._meta.get_field("charger"), admin.site),
        help_text="Many at once: choose them in the list of chargers, and there “Put into a firmware campaign”",
    )

    class Meta:
        model = FirmwareCampaign
        fields = (
            *("name", "at_once", "location", "version", "retrieve_at", "install_at"),
            *("retries", "retry_interval_s", "signing_certificate", "signature"),
        )
        field_classes = {"location": forms.CharField}  # chargers fetch from more than http

    def clean_at_once(self) -> int:
        if not self.cleaned_data["at_once"]:
            raise forms.ValidationError("At least one.")
        return self.cleaned_data["at_once"]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        signing = [
            bool(data.get(name, getattr(self.instance, name)))
            for name in ("signing_certificate", "signature")
        ]
        if any(signing) and not all(signing):
            self.add_error(None, "A signed update needs both the certificate and the signature.")
        if data.get("install_at") and not any(signing):
            self.add_error("install_at", "Only signed updates can be told when to install.")
        return data


@admin.register(FirmwareCampaign)
class CampaignAdmin(Page):
    form = CampaignForm
    actions = (start, stop, retry_failed)
    list_display = (
        "name",
        "standing",
        "progress",
        "version",
        "at_once",
        "location",
        "created",
        "requested_by",
    )
    list_select_related = ("requested_by",)
    search_fields = ("name", "version", "location")
    search_help_text = "Name, version or address"
    WHAT = ("location", "version", "signing_certificate", "signature", "retrieve_at", "install_at")
    HOW = ("retries", "retry_interval_s")
    fieldsets = (
        (None, {"fields": ("standing", "progress", "name", "at_once", "chargers")}),
        ("Firmware", {"fields": ("location", "version", ("retrieve_at", "install_at"), HOW)}),
        ("Signature", {"classes": ("collapse",), "fields": ("signing_certificate", "signature")}),
    )
    readonly_fields = ("standing", "progress")

    def get_queryset(self, request: HttpRequest) -> QuerySet[FirmwareCampaign]:
        return campaigns.with_progress(super().get_queryset(request))

    def get_fieldsets(self, request: HttpRequest, obj: FirmwareCampaign | None = None) -> Any:
        if obj is None:
            first = (None, {"fields": ("name", "at_once", "chargers")})
            return (first, *self.fieldsets[1:])
        if not self.has_change_permission(request, obj):  # the form's own field is not there
            seen: Any = (None, {"fields": ("standing", "progress", "name", "at_once")})
            return (seen, *self.fieldsets[1:])
        return self.fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: FirmwareCampaign | None = None) -> Any:
        """Once it has begun it stays as it is: all its chargers are asked for the same."""
        if obj is None or (obj.stopped_at and not obj.updates.filter(command__isnull=False).exists()):
            return self.readonly_fields
        return (*self.readonly_fields, *self.WHAT, *self.HOW)

    def save_model(self, request: HttpRequest, obj: FirmwareCampaign, form: Any, change: bool) -> None:
        if not change:
            obj.requested_by = request.user  # type: ignore[assignment]
            obj.stopped_at = utcnow()  # it begins when it is started
            obj.save()
        elif columns_changed := [name for name in form.changed_data if name != "chargers"]:
            obj.save(update_fields=columns_changed)  # not `stopped_at`, which another may write
        campaigns.choose(obj, form.cleaned_data["chargers"])

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        context = {**(extra_context or {}), "may_send": self.may_use(request, "start")}
        return super().change_view(request, object_id, form_url, context)

    @admin.display(description="state", ordering="stopped_at")
    def standing(self, campaign: Any) -> str:
        is_open = any(getattr(campaign, f"{state}_count") for state in FirmwareUpdate.OPEN)
        if campaign.stopped_at:
            return columns.badge("stopped", "stands still", tone="wait" if is_open else "")
        return columns.badge("going" if is_open else "done", tone="busy" if is_open else "good", refresh_s=5)

    @admin.display(description="chargers")
    def progress(self, campaign: Any) -> str:
        parts = [
            columns.to_list(
                "chargers.firmwareupdate",
                columns.badge(state, f"{count} {state}", tone=TONES.get(State(state), "")),
                campaign=campaign.pk,
                state__exact=state,
            )
            for state in State.values
            if (count := getattr(campaign, f"{state}_count"))
        ]
        if not parts:
            return "None chosen yet"
        total = columns.to_list("chargers.firmwareupdate", f"of {campaign.total_count}", campaign=campaign.pk)
        return columns.joined(*parts, total)

    @admin.display(description="created", ordering="created_at")
    def created(self, campaign: FirmwareCampaign) -> str:
        return columns.ago(campaign.created_at)


# --- updates ---


class Silent(YesNo):
    title = "silent"
    parameter_name = "silent"
    words = ("Silent for long", "Not silent")

    def narrow(self, queryset: QuerySet[FirmwareUpdate], yes: bool) -> QuerySet[FirmwareUpdate]:
        silent = {"detail": firmware.SILENT, "finished_at": None}
        return queryset.filter(**silent) if yes else queryset.exclude(**silent)


@admin.action(description="Give up selected updates…", permissions=MAY_UPDATE)
def give_up(
    page: "UpdateAdmin", request: HttpRequest, queryset: QuerySet[FirmwareUpdate]
) -> HttpResponse | None:
    updates: list[FirmwareUpdate] = chosen(page, request, queryset.select_related("charger"))
    if updates and "confirmed" not in request.POST:
        return confirmation(
            page,
            request,
            [(update, update.state) for update in updates],
            name="give_up",
            title="Give up",
            warning="Chargers that wait are not asked. Those that were asked cannot be called back, and may install it"
            " yet; what they say of it no longer counts.",
        )
    for update in updates:
        if firmware.give_up(update, by=request.user):  # type: ignore[arg-type]
            page.message_user(request, f"{update} is given up.", messages.SUCCESS)
        else:
            page.message_user(request, f"{update} has ended already.", messages.INFO)
    return None


@admin.register(FirmwareUpdate)
class UpdateAdmin(Facts):
    actions = (give_up,)
    list_display = (
        *("charger_link", "badge", "status", "what", "versions", "campaign_link"),
        *("reported", "command_link"),
    )
    list_filter = (
        narrowed(Charger, "charger"),
        narrowed(FirmwareCampaign, "campaign", title="campaign"),
        "state",
        Silent,
        ("status", admin.AllValuesFieldListFilter),
        "is_signed",
        "created_at",
    )
    list_display_links = ("badge",)
    search_fields = ("charger__identity", "charger__serial_number", "campaign__name", "location")
    search_help_text = "Identity or serial number of the charger, campaign, address"
    fieldsets = (
        (None, {"fields": ("charger_link", "badge", "status", "what", "versions")}),
        ("What was asked", {"fields": ("location", "is_signed", "campaign_link")}),
        ("When", {"fields": ("asked", "reported", "finished")}),
        ("For the logs", {"fields": ("command_link", "request_id")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[FirmwareUpdate]:
        other = FirmwareUpdate.objects.filter(charger=OuterRef("charger"), state__in=firmware.UNDER_WAY)
        charging = Connector.objects.filter(status__in=campaigns.CHARGING)
        return (
            super()
            .get_queryset(request)
            .select_related("charger", "campaign", "command__charger")
            .prefetch_related(Prefetch("charger__connectors", charging, to_attr="charging"))
            .annotate(is_behind_another=Exists(other))
        )

    @admin.display(description="charger", ordering="charger__identity")
    def charger_link(self, update: FirmwareUpdate) -> str:
        return columns.to_page(update.charger)

    @admin.display(description="state", ordering="state")
    def badge(self, update: FirmwareUpdate) -> str:
        is_open = update.state in FirmwareUpdate.OPEN
        return columns.badge(
            update.state, tone=TONES.get(State(update.state), ""), refresh_s=5 if is_open else 0
        )

    @admin.display(description="in words", ordering="detail")
    def what(self, update: Any) -> str:
        if update.state != State.WAITING or update.command_id:
            return update.detail or columns.NOTHING
        if update.campaign and update.campaign.stopped_at:
            return "Waits for the campaign to go on"
        if not update.charger.is_connected:
            return "Waits until the charger is connected"
        if update.charger.charging:
            return "Waits until nobody is charging"
        return "Waits for another update to end" if update.is_behind_another else "Waits for its turn"

    @admin.display(description="from → to")
    def versions(self, update: FirmwareUpdate) -> str:
        return f"{update.previous_version or '?'} → {update.installed_version or '…'}"

    @admin.display(description="campaign", ordering="campaign__name")
    def campaign_link(self, update: FirmwareUpdate) -> str:
        return columns.to_page(update.campaign)

    @admin.display(description="asked", ordering="created_at")
    def asked(self, update: FirmwareUpdate) -> str:
        return columns.ago(update.command.created_at if update.command else None)

    @admin.display(description="last heard", ordering="reported_at")
    def reported(self, update: FirmwareUpdate) -> str:
        return columns.ago(update.reported_at)

    @admin.display(description="command")
    def command_link(self, update: FirmwareUpdate) -> str:
        command = update.command
        return columns.to_page(command, columns.word_of(command.action)) if command else columns.NOTHING

    # --- on its page only ---

    @admin.display(description="ended")
    def finished(self, update: FirmwareUpdate) -> str:
        return columns.moment(update.finished_at)

    @admin.display(description="request id")
    def request_id(self, update: FirmwareUpdate) -> str:
        return str(update.pk) if update.is_signed else columns.NOTHING
