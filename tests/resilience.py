"""`make resilience`: the flows in which something dies, with their figures, which are written to docs/resilience.md."""

import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "resilience.md"
FLOWS = [
    "tests/flows/test_resilience.py",
    "tests/flows/test_soak.py::test_rolling_restart_of_two_processes_under_load_loses_and_doubles_nothing",
    "tests/flows/test_bus_away.py::test_an_ending_that_went_lost_is_seen_when_the_bus_is_back",
    "tests/flows/test_slow_reader.py",
    "tests/gateway/test_leader.py",
]
BEGIN, END = "<!-- figures: written by `make resilience` -->", "<!-- end of figures -->"


def measure(figures: Path) -> int:
    longer = {"STOPPED_S": "30", "ROLLING_MINUTES": "1", "SLOW_READER_S": "60"}
    command = [sys.executable, "-m", "pytest", "-q", "--timeout=300", *FLOWS]
    environment = {**os.environ, **longer, "STACK": "real", "CI": "true", "FIGURES": str(figures)}
    return subprocess.run(command, cwd=ROOT, env=environment).returncode


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| what happens | heals in | lost | done twice | |", "|---|---|---|---|---|"]
    for row in rows:
        heals = "–" if row["heals_s"] is None else f"{row['heals_s']:.1f} s"
        lines.append(f"| {row['what']} | {heals} | {row['lost']} | {row['doubled']} | {row['note']} |")
    return "\n".join(lines)


def write(rows: list[dict[str, Any]]) -> None:
    machine = f"{os.cpu_count()} processors, {platform.system()}, Python {platform.python_version()}"
    text = f"{BEGIN}\nMeasured on {date.today():%d %B %Y}: {machine}.\n\n{table(rows)}\n{END}"
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    DOCUMENT.write_text(before + text + rest.partition(END)[2])


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures"
        failed = measure(figures)
        rows = [json.loads(line) for line in figures.read_text().splitlines()] if figures.exists() else []
    print(f"\n{table(rows)}")
    if not failed:
        write(rows)
    return failed


if __name__ == "__main__":
    sys.exit(main())
