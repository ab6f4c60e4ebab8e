"""Chargers' passwords: hashed, compared on bytes; and how one follows another without locking the charger out.

OCPP-J §6.2.2 and its errata let a key be any 20 bytes, so nothing here decodes them. The key of a charger is
long and random, unlike a person's, so far fewer rounds are enough, and a fleet that reconnects at once does
not exhaust the server.
"""

import re
import secrets
from typing import Any

from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db.models import Q

from chargers.errors import PasswordChangeOpen, UnfitPassword
from chargers.models import Charger, Command

# Security whitepaper A00.FR.205: 16 bytes at least, 20 as hexadecimal digits at most. Some chargers take the key as
# text and send its 40 characters. These are rules for new ones: what was set before goes on.
MIN_LENGTH, MAX_LENGTH = 16, 40
KEY_BYTES = 20

# Configuration keys that hold a charger's password, in lower case: it is shown to nobody.
KEYS = frozenset({"authorizationkey", "basicauthpassword"})
HIDDEN = "[hidden]"  # is shown instead

CHANGE = "change_configuration"

_HEXADECIMAL = re.compile(rb"(?:[0-9A-Fa-f]{2}){1,20}")


class _Hasher(PBKDF2PasswordHasher):
    iterations = 20_000


_hasher = _Hasher()


def is_key(name: str) -> bool:
    """Whether this configuration key holds a password; names of keys know no case (OCPP 1.6 §7.26)."""
    return name.casefold() in KEYS


def masked(content: Any) -> Any:
    """JSON without the values of keys that hold a password, wherever they stand: `{"key": …, "value": …}`."""
    if isinstance(content, list):
        return [masked(each) for each in content]
    if not isinstance(content, dict):
        return content
    secret = isinstance(content.get("key"), str) and is_key(content["key"]) and content.get("value")
    shown = {name: masked(value) for name, value in content.items()}
    return {**shown, "value": HIDDEN} if secret else shown


def hash_password(password: str | bytes) -> str:
    return _hasher.encode(password, _hasher.salt())  # type: ignore[arg-type]  # Django's hashers take bytes too


def matches(password: bytes, password_hash: str) -> bool:
    """Whether these bytes are the password. Chargers that send their key's digits, not its bytes, are understood."""
    if not password_hash:
        return False
    if _hasher.verify(password, password_hash):  # type: ignore[arg-type]
        return True
    if not _HEXADECIMAL.fullmatch(password):
        return False
    return _hasher.verify(bytes.fromhex(password.decode()), password_hash)  # type: ignore[arg-type]


def from_authorization_key(value: str) -> bytes:
    """The bytes a charger will send as its password once this is its AuthorizationKey.

    The key is written as hexadecimal digits of up to 20 bytes (OCPP-J 1.6 §6.2.2, errata 3.10); anything else is text.
    """
    try:
        key = bytes.fromhex(value)
    except ValueError:
        return value.encode()
    return key if 0 < len(key) <= KEY_BYTES else value.encode()


def trouble_with(password: bytes) -> str:
    """Why this cannot be a new password, in words; empty if it can."""
    if len(password) < MIN_LENGTH:
        return f"Too short: at least {MIN_LENGTH} bytes."
    if len(password) > MAX_LENGTH:
        return f"Too long: at most {MAX_LENGTH} bytes."
    return ""


def new_authorization_key() -> str:
    """A random key as AuthorizationKey wants it: 40 hexadecimal digits."""
    return secrets.token_hex(KEY_BYTES).upper()


# --- one password after another ---
#
# Before a new one is sent it counts beside the old. Only a charger that says no keeps the old alone; one that says
# yes, nothing, or is cut off half way tells us which it has by what it comes with (chargers.security).


def is_change(action: str, params: dict[str, Any]) -> bool:
    """Whether a command gives the charger another password."""
    return action == CHANGE and is_key(str(params.get("key", "")))


def last_change(charger: Charger) -> Command | None:
    names = Q()
    for key in KEYS:
        names |= Q(params__key__iexact=key)
    return charger.commands.filter(names, action=CHANGE).order_by("-created_at").first()


def begin_change(charger: Charger, value: str) -> None:
    """Let the new password open the door before the charger hears of it. Raises UnfitPassword, PasswordChangeOpen."""
    password = from_authorization_key(value)
    if trouble := trouble_with(password):
        raise UnfitPassword(trouble)
    free = Charger.objects.filter(pk=charger.pk)
    if not _has_come_since(charger, last_change(charger)):
        free = free.filter(next_password_hash="")
    if not free.update(next_password_hash=hash_password(password)):
        raise PasswordChangeOpen


def _has_come_since(charger: Charger, change: Command | None) -> bool:
    """Whether it has connected since the last change ended: with the old one, if that change is still open."""
    if change is None or change.finished_at is None or charger.connected_at is None:
        return change is None
    return charger.connected_at > change.finished_at


def end_change(command: Command) -> None:
    """A change has ended: unsent or refused, there is no next password. Else the charger will show which it has."""
    if not is_change(command.action, command.params):
        return
    charger = command.charger
    if command.status in (Command.Status.FAILED, Command.Status.REJECTED):
        newest = last_change(charger)
        if newest is not None and newest.pk == command.pk:
            Charger.objects.filter(pk=charger.pk).update(next_password_hash="")
    elif command.status == Command.Status.ACCEPTED and not charger.next_password_hash:
        _expect(charger, str(command.params.get("value", "")))


def _expect(charger: Charger, value: str) -> None:
    """It said yes after it had come with the old one on another line, which had closed the change."""
    password = from_authorization_key(value)
    if not trouble_with(password) and not matches(password, charger.password_hash):
        Charger.objects.filter(pk=charger.pk).update(next_password_hash=hash_password(password))
