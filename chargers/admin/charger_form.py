"""The form of a charger: what an operator decides about it. All else it tells of itself."""

import binascii
from typing import Any

from django import forms

from chargers import passwords
from chargers.models import Charger


class ChargerForm(forms.ModelForm):
    """The password goes in and never comes out: only its hash is kept."""

    new_password = forms.CharField(
        required=False,
        strip=False,
        max_length=128,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "class": "vTextField"}),
        help_text=f"{passwords.MIN_LENGTH} to {passwords.MAX_LENGTH} bytes; it counts from the next connection."
        " Leave empty to keep the one that is set.",
    )
    is_hexadecimal = forms.BooleanField(
        label="It is hexadecimal",
        required=False,
        help_text="As AuthorizationKey of OCPP 1.6 often is: 40 digits for the 20 bytes the charger sends.",
    )
    clear_password = forms.BooleanField(
        label="Remove the password",
        required=False,
        help_text="Anyone who knows the identity can connect then.",
    )

    class Meta:
        model = Charger
        fields = ("identity", "station", "registration", "security_profile")

    def clean_identity(self) -> str:
        identity = self.cleaned_data["identity"]
        if not identity.isprintable():
            raise forms.ValidationError(
                "No charger can dial in with this: it has characters that cannot be shown."
            )
        return identity

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        given = data.get("new_password")
        if not given:
            return data
        if data.get("clear_password"):
            self.add_error("clear_password", "Set a password or remove it, not both.")
        secret = given.encode()
        if data.get("is_hexadecimal"):
            try:
                secret = binascii.unhexlify(given.strip())
            except ValueError:
                self.add_error("new_password", "These are not pairs of hexadecimal digits.")
                return data
        if trouble := passwords.trouble_with(secret):
            self.add_error("new_password", trouble)
            return data
        self.instance.password_hash = passwords.hash_password(secret)
        self.instance.next_password_hash = ""
        return data

    def save(self, commit: bool = True) -> Charger:
        if self.cleaned_data.get("clear_password"):
            self.instance.password_hash = self.instance.next_password_hash = ""
        return super().save(commit)

    @property
    def changed_columns(self) -> list[str]:
        """Columns to write: no others, since the charger's socket writes the same row at any moment."""
        columns = [name for name in self.changed_data if name in ChargerForm.Meta.fields]
        if {"new_password", "clear_password"} & set(self.changed_data):
            columns += ["password_hash", "next_password_hash"]
        return columns
