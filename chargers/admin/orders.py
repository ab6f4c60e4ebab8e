"""What an operator can ask of chargers: each word with the form that asks for its parameters."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms

from chargers import commands, models
from chargers.models import Charger
from chargers.services import MAX_CONNECTORS


class OrderForm(forms.Form):
    """Parameters of a command, under the names that chargers.commands uses; empty ones are left out."""

    prefix = "order"

    def __init__(self, *args: Any, chargers: Sequence[Charger], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.chargers = chargers

    @property
    def params(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if value not in (None, "")}

    def offer_connectors(self, *before: tuple[str, str], required: bool = True) -> None:
        """Ask for a connector: one of the charger's where there is one charger that told of them, else any number."""
        known = list(self.chargers[0].connectors.all()) if len(self.chargers) == 1 else []
        ask: forms.Field
        if known:
            rows = [(str(row.number), f"{row.number} – {row.status or 'not told'}") for row in known]
            ask = forms.TypedChoiceField(
                choices=[*before, *rows], coerce=int, empty_value=None, required=required
            )
        else:
            meanings = ", ".join(f"{value} is {text.lower()}" for value, text in before if value)
            ask = forms.IntegerField(
                min_value=0 if any(value == "0" for value, _ in before) else 1,
                max_value=MAX_CONNECTORS,
                initial=1 if required and not before else None,
                help_text=meanings,
                required=required,
            )
        ask.label = "Connector"
        self.fields["connector_id"] = ask


class StartForm(OrderForm):
    id_tag = forms.CharField(
        label="Id tag", max_length=20, help_text="The card it is charged to, as if it had been shown there."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer_connectors()

    def clean_id_tag(self) -> str:
        return self.cleaned_data["id_tag"].upper()  # as they are stored (E40)


class ConnectorForm(OrderForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer_connectors()


class AvailabilityForm(OrderForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer_connectors(("0", "The whole charger"))


class ConfigurationForm(OrderForm):
    key = forms.CharField(max_length=50)
    value = forms.CharField(max_length=500, required=False, strip=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = sorted(self.chargers[0].configuration) if len(self.chargers) == 1 else []
        self.suggestions = {"order-keys": known}
        self.fields["key"].widget.attrs["list"] = "order-keys"

    @property
    def params(self) -> dict[str, Any]:
        return {"key": self.cleaned_data["key"], "value": self.cleaned_data["value"]}  # an empty value is one


class TriggerForm(OrderForm):
    MESSAGES = (
        "StatusNotification",
        "MeterValues",
        "Heartbeat",
        "DiagnosticsStatusNotification",
        "FirmwareStatusNotification",
    )
    message = forms.ChoiceField()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # An accepted charger must not be asked to boot (errata 3.40, E44).
        accepted = any(charger.registration == Charger.Registration.ACCEPTED for charger in self.chargers)
        messages = self.MESSAGES if accepted else ("BootNotification", *self.MESSAGES)
        self.fields["message"] = forms.ChoiceField(choices=[(word, word) for word in messages])
        self.offer_connectors(("", "Not only one"), required=False)


class DataForm(OrderForm):
    vendor_id = forms.CharField(label="Vendor", max_length=255)
    message_id = forms.CharField(label="Message", max_length=50, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Not as an attribute: a form's `data` is what was sent to it.
        area = forms.Textarea(attrs={"rows": 4})
        self.fields["data"] = forms.CharField(widget=area, required=False, strip=False)


@dataclass(frozen=True)
class Order:
    """One entry of the menu. With a form it asks first, with a warning it wants to be confirmed."""

    name: str
    label: str
    action: str
    form: type[OrderForm] = OrderForm
    fixed: dict[str, Any] = field(default_factory=dict)
    warning: str = ""

    @property
    def asks(self) -> bool:
        return self.form is not OrderForm or bool(self.warning)

    @property
    def title(self) -> str:
        return f"{self.label}…" if self.asks else self.label


ORDERS = (
    Order("remote_start", "Remote start", commands.REMOTE_START, StartForm),
    Order("unlock_connector", "Unlock connector", commands.UNLOCK_CONNECTOR, ConnectorForm),
    Order(
        "make_operative",
        "Set operative",
        commands.CHANGE_AVAILABILITY,
        AvailabilityForm,
        {"type": "Operative"},
    ),
    Order(
        "make_inoperative",
        "Set inoperative",
        commands.CHANGE_AVAILABILITY,
        AvailabilityForm,
        {"type": "Inoperative"},
    ),
    Order("get_configuration", "Get configuration", commands.GET_CONFIGURATION),
    Order("change_configuration", "Change configuration", commands.CHANGE_CONFIGURATION, ConfigurationForm),
    Order("trigger_message", "Trigger message", commands.TRIGGER_MESSAGE, TriggerForm),
    Order("data_transfer", "Data transfer", commands.DATA_TRANSFER, DataForm),
    Order("clear_cache", "Clear cache", commands.CLEAR_CACHE),
    Order(
        "soft_reset",
        "Soft reset",
        commands.RESET,
        fixed={"type": "Soft"},
        warning="The charger ends what is being charged, and restarts.",
    ),
    Order(
        "hard_reset",
        "Hard reset",
        commands.RESET,
        fixed={"type": "Hard"},
        warning="The charger restarts at once, as if its power had failed. What is being charged is cut off,"
        " and its end may be reported late or never.",
    ),
)

# Every word that commands may hold, for the filter of their list.
WORDS = sorted(models.WORDS)
