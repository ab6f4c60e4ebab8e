"""Chargers' passwords."""

import pytest

from chargers.passwords import hash_password, matches


@pytest.mark.parametrize("password", [b"with:colon", bytes(range(236, 256)), "text-password"])
def test_any_bytes_can_be_a_password(password: str | bytes) -> None:
    """E8"""
    stored = hash_password(password)
    given = password.encode() if isinstance(password, str) else password
    assert matches(given, stored)
    assert not matches(given + b"x", stored)
    assert given.decode("latin-1") not in stored
