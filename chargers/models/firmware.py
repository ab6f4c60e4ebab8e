"""Firmware that chargers are to install, and the logs they are to upload."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from chargers.models.commands import Command
from chargers.models.stations import Charger


class FirmwareCampaign(models.Model):
    """One firmware for many chargers, a few at a time. What became of each is in its FirmwareUpdate."""

    name = models.CharField(max_length=80)
    location = models.URLField("download URL", max_length=512)
    version = models.CharField(
        max_length=50, blank=True, help_text="As the chargers will name it when they boot with it"
    )
    retrieve_at = models.DateTimeField(null=True, blank=True, help_text="Empty: at once")
    install_at = models.DateTimeField(null=True, blank=True, help_text="Signed updates only. Empty: at once")
    retries = models.PositiveSmallIntegerField(null=True, blank=True)
    retry_interval_s = models.PositiveIntegerField("retry interval (s)", null=True, blank=True)
    signing_certificate = models.TextField(blank=True, help_text="PEM. With it the update is a signed one")
    signature = models.CharField(max_length=800, blank=True, help_text="Base64")
    at_once = models.PositiveSmallIntegerField(default=10, help_text="Chargers that update at one time")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    stopped_at = models.DateTimeField(null=True, blank=True, help_text="No further charger is asked")

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return self.name


class FirmwareUpdate(models.Model):
    """A charger's way to another firmware: waiting → requested → what it reports of itself → an end."""

    class State(models.TextChoices):
        WAITING = "waiting"
        REQUESTED = "requested"
        RUNNING = "running"
        INSTALLED = "installed"
        FAILED = "failed"
        CANCELLED = "cancelled"

    OPEN = (State.WAITING, State.REQUESTED, State.RUNNING)

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="firmware_updates")
    campaign = models.ForeignKey(
        FirmwareCampaign, models.CASCADE, null=True, blank=True, related_name="updates"
    )
    command = models.ForeignKey(Command, models.SET_NULL, null=True, blank=True, related_name="+")
    location = models.CharField(max_length=512)
    is_signed = models.BooleanField("signed", default=False)
    state = models.CharField(max_length=9, choices=State.choices, default=State.WAITING)
    status = models.CharField(max_length=40, blank=True, help_text="The charger's own last word")
    detail = models.CharField(
        max_length=255, blank=True, help_text="In words: why it failed, or what it waits for"
    )
    previous_version = models.CharField(max_length=50, blank=True)
    installed_version = models.CharField(max_length=50, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    reported_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    charger_id: int

    class Meta:
        ordering = ("-created_at", "-pk")
        constraints = [
            models.UniqueConstraint(
                fields=["charger"],
                condition=Q(state__in=("requested", "running")),
                name="one_firmware_update_at_a_time",
            ),
            models.UniqueConstraint(fields=["charger", "campaign"], name="one_update_per_campaign"),
        ]

    def __str__(self) -> str:
        return f"{self.charger.identity}: {self.location}"


class LogUpload(models.Model):
    """A charger's diagnostics or log, sent by it to an address of ours. The key is the request id of GetLog."""

    class Kind(models.TextChoices):
        DIAGNOSTICS = "Diagnostics"  # GetDiagnostics
        DIAGNOSTICS_LOG = "DiagnosticsLog"
        SECURITY_LOG = "SecurityLog"

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="log_uploads")
    command = models.ForeignKey(Command, models.SET_NULL, null=True, blank=True, related_name="+")
    kind = models.CharField(max_length=14, choices=Kind.choices)
    location = models.CharField(max_length=512)
    oldest_at = models.DateTimeField(null=True, blank=True)
    latest_at = models.DateTimeField(null=True, blank=True)
    file_name = models.CharField(max_length=255, blank=True)
    status = models.CharField(max_length=30, blank=True, help_text="The charger's own last word")
    detail = models.CharField(max_length=255, blank=True, help_text="In words: what became of it")
    created_at = models.DateTimeField(auto_now_add=True)
    reported_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    charger_id: int

    class Meta:
        ordering = ("-created_at", "-pk")

    def __str__(self) -> str:
        return f"{self.charger.identity}: {self.kind}"
