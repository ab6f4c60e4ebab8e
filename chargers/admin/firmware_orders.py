"""What an operator can ask of chargers about firmware and logs: the forms, and their entries in the menu."""

from datetime import datetime
from typing import Any

from django import forms
from django.core.validators import URLValidator

from chargers import commands
from chargers.admin.orders import Order, OrderForm
from chargers.clock import as_text
from chargers.events import utcnow
from chargers.models import LogUpload

SCHEMES = ("http", "https", "ftp", "ftps", "sftp")


def address(label: str) -> forms.CharField:
    """A place that files are fetched from or put to."""
    return forms.CharField(
        label=label,
        max_length=512,
        validators=[URLValidator(schemes=SCHEMES)],
        widget=forms.TextInput(attrs={"class": "vURLField"}),
    )


def moment(label: str, help_text: str = "") -> forms.DateTimeField:
    """A time in the zone of these pages."""
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    return forms.DateTimeField(label=label, required=False, widget=widget, help_text=help_text)


class TransferForm(OrderForm):
    """What every transfer of a file may be told."""

    retries = forms.IntegerField(min_value=0, max_value=100, required=False)
    retry_interval_s = forms.IntegerField(
        label="Retry interval (s)", min_value=0, max_value=86_400, required=False
    )

    @property
    def params(self) -> dict[str, Any]:
        given = super().params
        return {name: as_text(v) if isinstance(v, datetime) else v for name, v in given.items()}


def _apart(params: dict[str, Any], names: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters of these names, under those that OCPP has for them, and the rest."""
    inner = {theirs: params[ours] for ours, theirs in names.items() if ours in params}
    return inner, {name: value for name, value in params.items() if name not in names}


class UpdateForm(TransferForm):
    location = address("Download from")
    retrieve_at = moment("Not before", "Empty: at once")
    field_order = ("location", "retrieve_at")


class SignedUpdateForm(TransferForm):
    location = address("Download from")
    retrieve_at = moment("Download not before", "Empty: at once")
    install_at = moment("Install not before", "Empty: at once")
    certificate = forms.CharField(
        label="Signing certificate",
        max_length=5500,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text="PEM",
    )
    signature = forms.CharField(
        max_length=800, widget=forms.Textarea(attrs={"rows": 3}), help_text="Base64, of the whole file"
    )
    field_order = ("location", "certificate", "signature", "retrieve_at", "install_at")

    NAMES = {
        "location": "location",
        "retrieve_at": "retrieveDateTime",
        "install_at": "installDateTime",
        "certificate": "signingCertificate",
        "signature": "signature",
    }

    @property
    def params(self) -> dict[str, Any]:
        inner, rest = _apart({"retrieve_at": as_text(utcnow()), **super().params}, self.NAMES)
        return {**rest, "firmware": inner}


class DiagnosticsForm(TransferForm):
    location = address("Upload to")
    oldest_at = moment("From")
    latest_at = moment("Until")
    field_order = ("location", "oldest_at", "latest_at")


class LogForm(TransferForm):
    log_type = forms.ChoiceField(
        label="Log",
        choices=[
            (LogUpload.Kind.SECURITY_LOG, "Security log"),
            (LogUpload.Kind.DIAGNOSTICS_LOG, "Diagnostics log"),
        ],
    )
    location = address("Upload to")
    oldest_at = moment("From")
    latest_at = moment("Until")
    field_order = ("log_type", "location", "oldest_at", "latest_at")

    NAMES = {"location": "remoteLocation", "oldest_at": "oldestTimestamp", "latest_at": "latestTimestamp"}

    @property
    def params(self) -> dict[str, Any]:
        inner, rest = _apart(super().params, self.NAMES)
        return {**rest, "log": inner}


FIRMWARE_ORDERS = (
    Order("update_firmware", "Update firmware", commands.UPDATE_FIRMWARE, UpdateForm),
    Order(
        "signed_update_firmware", "Update signed firmware", commands.SIGNED_UPDATE_FIRMWARE, SignedUpdateForm
    ),
    Order("get_diagnostics", "Upload diagnostics", commands.GET_DIAGNOSTICS, DiagnosticsForm),
    Order("get_log", "Upload log", commands.GET_LOG, LogForm),
)
