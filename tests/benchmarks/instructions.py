"""Instructions of the hot paths, counted by valgrind: a measure that no noise moves, and so one that CI can hold.

    python -m tests.benchmarks.instructions [--write]

How many instructions Python itself needs differs from build to build, so each path is compared with a piece of plain
Python counted in the same run. The ratios stand in instructions.json, and tests/test_instructions.py holds them;
`--write` takes the measured ones as the new limits.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.hot_paths import FEW, MANY
from tests.benchmarks.load import COMPILERS
from tests.benchmarks.processes import ROOT

LIMITS = Path(__file__).with_name("instructions.json")
ROOM = 1.15  # above the limit: what another build of Python and its libraries may make of the ratio
REFERENCE = "reference"
VALGRIND = ("valgrind",)

_TRIGGER = re.compile(r"^desc: Trigger: Client Request: (.+) (\d+)$", re.MULTILINE)
_TOTAL = re.compile(r"^summary: (\d+)$", re.MULTILINE)


def ratios(environment: dict[str, str]) -> dict[str, float]:
    """Instructions of one pass through each path, in passes through the reference. The database is migrated."""
    counted = _counts(environment)
    each = {name: (counted[name, MANY] - counted[name, FEW]) / (MANY - FEW) for name, _ in counted}
    return {name: count / each[REFERENCE] for name, count in each.items() if name != REFERENCE}


def excess(measured: dict[str, float], limits: dict[str, float]) -> list[str]:
    """What costs more than it may, in words; and what has no limit, or is not measured any more."""
    words = [
        f"{name}: {ratio:.3f}, {ratio / limits[name] - 1:+.0%} of its limit {limits[name]:.3f}"
        for name, ratio in measured.items()
        if name in limits and ratio > ROOM * limits[name]
    ]
    return words + [f"{name}: only measured, or only limited" for name in measured.keys() ^ limits.keys()]


def limits() -> dict[str, float]:
    return {str(name): float(ratio) for name, ratio in json.loads(LIMITS.read_text()).items()}


def missing() -> list[str]:
    """What counting needs and this machine has not."""
    return [names[0] for names in (VALGRIND, COMPILERS) if _program(names) is None]


def _counts(environment: dict[str, str]) -> dict[tuple[str, int], int]:
    """(path, how often) → instructions."""
    valgrind, compiler = _program(VALGRIND), _program(COMPILERS)
    if valgrind is None or compiler is None:
        raise RuntimeError(f"{', '.join(missing())} missing; run `python3 bootstrap.py test`")
    with tempfile.TemporaryDirectory(prefix="evcharge-instructions-") as folder:
        marks, parts = Path(folder) / "marks.so", Path(folder) / "parts"
        source = Path(__file__).with_name("marks.c")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", marks, source], check=True)
        run = subprocess.run(
            [
                valgrind,
                "--tool=callgrind",
                "--instr-atstart=no",  # start-up at a tenth of the cost, and not counted
                f"--callgrind-out-file={parts}",
                "--vgdb=no",
                sys.executable,
                "-m",
                "tests.benchmarks.hot_paths",
                marks,
            ],
            cwd=ROOT,
            # Which order sets and dictionaries have, and so what they cost, is not to be left to chance.
            env=environment | {"PYTHONHASHSEED": "0", "DJANGO_SETTINGS_MODULE": "evcharge.settings"},
            capture_output=True,
            text=True,
        )
        counted = dict(filter(None, (_counted(part.read_text()) for part in Path(folder).glob("parts*"))))
    if run.returncode or not counted:
        raise RuntimeError(f"the hot paths did not run under valgrind:\n{run.stdout}{run.stderr}")
    return counted


def _counted(part: str) -> tuple[tuple[str, int], int] | None:
    """What one part of callgrind's output says; None for what was counted after the last path."""
    trigger, total = _TRIGGER.search(part), _TOTAL.search(part)
    return ((trigger[1], int(trigger[2])), int(total[1])) if trigger and total else None


def _program(names: tuple[str, ...]) -> str | None:
    """The first of these that is installed; `bootstrap.py test` brings them."""
    return next(filter(None, map(shutil.which, names)), None)


def main() -> None:
    from tests import servers

    servers.forget_settings()
    with tempfile.TemporaryDirectory(prefix="evcharge-instructions-") as folder:
        environment = {**os.environ, "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3"}
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=ROOT, env=environment, check=True)
        measured = ratios(environment)
    known = limits() if LIMITS.exists() else {}
    for name, ratio in sorted(measured.items()):
        change = f"{ratio / known[name] - 1:+.1%}" if name in known else "new"
        print(f"{name:16} {ratio:8.3f}  {change}")
    if "--write" in sys.argv:
        LIMITS.write_text(
            json.dumps({name: round(ratio, 3) for name, ratio in sorted(measured.items())}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
