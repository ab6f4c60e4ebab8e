"""Chargers' passwords: hashed, compared on bytes.

OCPP-J §6.2.2 and its errata let a key be any 20 bytes, so nothing here decodes them. The key of a charger is
long and random, unlike a person's, so far fewer rounds are enough, and a fleet that reconnects at once does
not exhaust the server.
"""

from django.contrib.auth.hashers import PBKDF2PasswordHasher

MIN_LENGTH = 8


class _Hasher(PBKDF2PasswordHasher):
    iterations = 20_000


_hasher = _Hasher()


def hash_password(password: str | bytes) -> str:
    return _hasher.encode(password, _hasher.salt())  # type: ignore[arg-type]  # Django's hashers take bytes too


def matches(password: bytes, password_hash: str) -> bool:
    return _hasher.verify(password, password_hash)  # type: ignore[arg-type]


def from_authorization_key(value: str) -> bytes:
    """The bytes a charger will send as its password once this is its AuthorizationKey.

    The key is written as hexadecimal digits of up to 20 bytes (OCPP-J 1.6 §6.2.2, errata 3.10); anything else is text.
    """
    try:
        key = bytes.fromhex(value)
    except ValueError:
        return value.encode()
    return key if 0 < len(key) <= 20 else value.encode()
