"""Chargers' passwords."""

import pytest

from chargers.passwords import from_authorization_key, hash_password, matches


@pytest.mark.parametrize("password", [b"with:colon", bytes(range(236, 256)), "text-password"])
def test_any_bytes_can_be_a_password(password: str | bytes) -> None:
    """E8"""
    stored = hash_password(password)
    given = password.encode() if isinstance(password, str) else password
    assert matches(given, stored)
    assert not matches(given + b"x", stored)
    assert given.decode("latin-1") not in stored


@pytest.mark.parametrize(
    ("value", "password"),
    [("00FF" * 10, b"\x00\xff" * 10), ("a-long-text-key", b"a-long-text-key"), ("ab" * 30, b"ab" * 30)],
)
def test_an_authorization_key_is_hexadecimal_where_it_can_be(value: str, password: bytes) -> None:
    assert from_authorization_key(value) == password
