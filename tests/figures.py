"""What a flow measured, for the tables in docs/; kept only where FIGURES names a file."""

import json
import os
from pathlib import Path


def record(what: str, *, heals_s: float | None, lost: int = 0, doubled: int = 0, note: str = "") -> None:
    """`lost` and `doubled`: transactions, and messages that were acknowledged."""
    if file := os.environ.get("FIGURES"):
        row = {"what": what, "heals_s": heals_s, "lost": lost, "doubled": doubled, "note": note}
        with Path(file).open("a") as lines:
            lines.write(json.dumps(row) + "\n")
