"""`manage.py capacity`: what an installation of so many phones and chargers needs."""

import argparse
import io
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
    return int(value) if value.is_integer() else value


def above_zero(text: str) -> float:
    if not (value := number(text)):
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


class Command(BaseCommand):
    help = "Reckon how many cores and how much memory it takes, from what was measured: see docs/capacity.md."
    requires_system_checks: list[str] = []  # it needs no installation

    def add_arguments(self, parser: CommandParser) -> None:
        for field in fields(Load):
            option, kind = (
                f"--{field.name.replace('_', '-')}",
                above_zero if field.name.endswith("_s") else number,
            )
            if field.name in ("phones", "chargers"):
                parser.add_argument(option, type=kind, required=True, help=HELP[field.name])
            else:
                parser.add_argument(
                    option, type=kind, default=field.default, help=f"{HELP[field.name]} (%(default)s)"
                )
        parser.add_argument("--json", action="store_true", help="the same for programs")

    def handle(self, **options: Any) -> None:
        load = Load(**{field.name: options[field.name] for field in fields(Load)})
        rows = needs(load)
        if options["json"]:
            self.stdout.write(json.dumps({"load": asdict(load), "needs": [asdict(row) for row in rows]}))
        else:
            self.stdout.write(text(rows))


def text(rows: list[Needs]) -> str:
    """As a person reads it."""
    console = Console(file=io.StringIO(), highlight=False, width=110)
    with console.capture() as captured:
        console.print(_table(rows))
        cores, memory = sum(row.cores for row in rows), sum(row.memory_gib for row in rows)
        console.print(f"  In all {cores} cores and {memory:.1f} GiB, with cores at most {HEADROOM:.0%} busy.")
    return captured.get()


def _table(rows: list[Needs]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("")
    for name in ("busy cores", "cores", "GiB"):
        table.add_column(name, justify="right")
    table.add_column("for")
    for row in rows:
        table.add_row(row.name, f"{row.busy_cores:.2f}", str(row.cores), f"{row.memory_gib:.1f}", row.why)
    return table
