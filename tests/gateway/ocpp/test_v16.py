"""What a 1.6 payload's fields are read as. The conversations are in tests/flows."""

from typing import Any

import pytest

from gateway.ocpp import hearing


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5),
        ("5", 5),
        (5.4, 5),
        ("5.6", 6),
        (" 5 ", 5),
        (-1, -1),
        (0, 0),
        (None, None),
        ("", None),
        ("five", None),
        ([], None),
        ({}, None),
        (float("nan"), None),
        ("NaN", None),
        ("Infinity", None),
        (1e300, None),
        (2**63, None),
        ("9" * 400, None),
    ],
)
def test_whole_numbers_are_read_as_they_are_meant(value: Any, number: int | None) -> None:
    """E18"""
    assert hearing.integer(value) == number
