"""The hot paths cost no more instructions than they did: a gate that neither a busy machine nor a slow one moves."""

import os

import pytest

from tests.benchmarks import instructions
from tests.server_process import environment_of


@pytest.mark.embedded_only  # about our own code; what stands behind it is left out
@pytest.mark.timeout(240)  # half a minute, and more where others keep the machine busy
def test_hot_paths_keep_to_their_limits(committed: None) -> None:
    if instructions.missing() and not os.environ.get("CI"):
        pytest.skip(f"{', '.join(instructions.missing())} missing")
    limits = instructions.limits()
    measured = instructions.ratios(environment_of())
    assert instructions.excess(measured, limits) == [], (
        "A hot path costs more instructions than before. If that is worth it: "
        "python -m tests.benchmarks.instructions --write"
    )


def test_a_path_over_its_limit_is_named() -> None:
    limits = {"Heartbeat": 0.1, "token check": 0.4}
    assert instructions.excess({"Heartbeat": 0.114, "token check": 0.2}, limits) == []
    (words,) = instructions.excess({"Heartbeat": 0.116, "token check": 0.4}, limits)
    assert words == "Heartbeat: 0.116, +16% of its limit 0.100"


def test_a_path_without_a_limit_is_named() -> None:
    assert instructions.excess({"new": 1.0}, {"old": 1.0}) != []
