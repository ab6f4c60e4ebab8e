"""What `make bench` makes of its figures. That it measures, it shows itself: `make bench ARGS=--quick`."""

import argparse

import pytest

from tests.benchmarks import document
from tests.benchmarks.__main__ import wanted
from tests.benchmarks.targets import TARGETS, Finding, Outcome


@pytest.mark.parametrize(
    ("text", "names"),
    [("3", {"T3"}), ("T3", {"T3"}), ("1, t8,sockets", {"T1", "T8", "sockets"}), ("", {*TARGETS, "sockets"})],
)
def test_what_is_to_be_measured(text: str, names: set[str]) -> None:
    assert wanted(text) == names


def test_a_target_that_does_not_exist() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="T13 is none of"):
        wanted("3,T13")


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        (Outcome("T3", 0.39), "**missed**"),
        (Outcome("T3", 0.40), "met"),
        (Outcome("T3", 0.60), "met, and the stretch mark"),
        (Outcome("T6", 5.01), "**missed**"),
        (Outcome("T6", 5.0), "met"),
        (Outcome("T6", 2.0), "met, and the stretch mark"),
        (Outcome("T12", 0.5, "closed with 1006"), "**missed**: closed with 1006"),
    ],
)
def test_verdicts(outcome: Outcome, verdict: str) -> None:
    """The marks themselves are met; where less is better, at most them. A fault outweighs any value."""
    assert outcome.verdict == verdict


def test_every_must_is_easier_than_its_stretch() -> None:
    for name, target in TARGETS.items():
        assert target.is_met(target.stretch, target.must), name


def test_the_document_has_targets_and_figures() -> None:
    rows = [("Node", "10.0"), ("evcharge", "4.1")]
    finding = Finding("T3: meter values", ("", "msg/s"), rows, [Outcome("T3", 0.41)], "All stored.")
    text = document.markdown({"Commit": "abc1234"}, [finding], "3 rounds")
    assert "| **Commit** | abc1234 |" in text
    assert (
        f"| T3 | {TARGETS['T3'].measure} | {TARGETS['T3'].yardstick} | 0.41 | ≥ 0.4 | ≥ 0.6 | met |" in text
    )
    assert (
        "### T3: meter values\n\n|  | msg/s |\n|---|---|\n| Node | 10.0 |\n| evcharge | 4.1 |\n\nAll stored.\n"
        in text
    )
