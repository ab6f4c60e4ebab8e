"""Which test proves which sentence of docs/correctness.md (E1 …) and plays which OCA test case (TC_001 …).

    python -m tests.coverage        the list; exit status 1 if one that must have a test has none

A test names what it covers in its docstring.
"""

import ast
import re
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Of OCPP 1.6; E45 to E49 are about the apps' side.
SENTENCES = [f"E{number}" for number in range(1, 45)]

_CASES = """
    001 003 004_1 004_2 005_1 007 010 011_1 011_2 012 013 014 017_1 017_2 018_1 019_1 019_2 021 023_1 023_2 023_3
    024 026 028 030 031 032_1 037_1 037_3 039 040_1 040_2 061 064
    042_1 042_2 043_1 043_3 043_4 043_5 044_1 044_2 044_3 045_1 045_2
    046 047 048_1 048_2 048_3 048_4 049 051 052 053 054 055 056 057 059 066 067
    073 074 075_1 075_2 076 077 078 079 080 081 083 085 086 087 088
"""  # core; local list, firmware; reservation, remote trigger, smart charging; security
CASES = [f"TC_{number}" for number in _CASES.split()]


def covered() -> dict[str, list[str]]:
    """Sentence or case → the tests that name it, as `file::function`."""
    tests: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                words = set(re.findall(r"\b(?:E\d{1,2}|TC_\d{3}(?:_\d)?)\b", ast.get_docstring(node) or ""))
                for word in words:
                    tests[word].append(f"{path.relative_to(ROOT / 'tests')}::{node.name}")
    return tests


def main() -> int:
    tests = covered()
    names = sorted({*tests, *SENTENCES, *CASES}, key=lambda name: (name[0] != "E", _number(name)))
    for name in names:
        print(f"{name:9} {', '.join(tests.get(name, ['– no test –']))}")
    return 1 if missing() else 0


def _number(name: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", name)))


def missing() -> list[str]:
    """What must have a test and has none."""
    tests = covered()
    return [name for name in SENTENCES + CASES if name not in tests]


if __name__ == "__main__":
    sys.exit(main())
