"""Every sentence of docs/correctness.md about OCPP 1.6 has a test, and every OCA test case is played."""

import re

from tests.coverage import ROOT, covered, missing


def test_nothing_is_without_a_test() -> None:
    assert missing() == []


def test_every_number_in_a_test_stands_in_the_document() -> None:
    document = (ROOT / "docs" / "correctness.md").read_text()
    described = set(re.findall(r"\*\*(E\d+)\*\*", document))
    assert {name for name in covered() if name.startswith("E")} <= described
    assert described == {f"E{number}" for number in range(1, 50)}
