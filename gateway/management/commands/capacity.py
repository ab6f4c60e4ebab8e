"""`manage.py capacity`: what an installation of so many phones and chargers needs."""

import argparse
import json
from dataclasses import asdict, fields
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich import box
from rich.console import Console
from rich.table import Table

from gateway.capacity import HEADROOM, Load, Needs, needs

HELP = {
    "phones": "phones that are connected at once",
    "chargers": "chargers that are connected",
    "charging": "share of the chargers at which somebody charges",
    "meter_interval_s": "seconds between the meter values of a charge",
    "watching": "share of the charges that a phone watches",
    "actions_per_hour": "actions of one phone",
    "reconnect_s": "seconds in which all phones are to be back after an outage",
}


def number(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return value


def above_zero(text: str) -> float:
    if not (value := number(text)):
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


class Command(BaseCommand):
    help = "Reckon how many cores and how much memory it takes, from what was measured: see docs/capacity.md."
    requires_system_checks: list[str] = []  # noqa: RUF012  # it needs no installation

    def add_arguments(self, parser: CommandParser) -> None:
        for field in fields(Load):
            usual = {} if field.name in ("phones", "chargers") else {"default": field.default}
            kind: Any = above_zero if field.name.endswith("_s") else number
            parser.add_argument(
                f"--{field.name.replace('_', '-')}",
                type=kind,
                required=not usual,
                help=HELP[field.name] + (" (%(default)s)" if usual else ""),
                **usual,
            )
        parser.add_argument("--json", action="store_true", help="the same for programs")

    def handle(self, **options: Any) -> None:
        load = Load(**{field.name: options[field.name] for field in fields(Load)})
        rows = needs(load)
        if options["json"]:
            self.stdout.write(json.dumps({"load": asdict(load), "needs": [asdict(row) for row in rows]}))
            return
        console = Console(file=self.stdout._out, highlight=False, width=110)
        console.print(_table(rows))
        cores, memory = sum(row.cores for row in rows), sum(row.memory_gib for row in rows)
        console.print(f"  In all {cores} cores and {memory:.1f} GiB, with cores at most {HEADROOM:.0%} busy.")


def _table(rows: list[Needs]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("")
    for name in ("busy cores", "cores", "GiB"):
        table.add_column(name, justify="right")
    table.add_column("for")
    for row in rows:
        table.add_row(row.name, f"{row.busy_cores:.2f}", str(row.cores), f"{row.memory_gib:.1f}", row.why)
    return table
