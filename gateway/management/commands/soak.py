"""`manage.py soak`: a fleet with every fault, drivers, servers that are killed; then the ledger against the books."""

import argparse
import asyncio
import logging
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from gateway.ocpp.simulated_faults import rate
from gateway.soak.fleet import RATES
from gateway.soak.run import Plan, Report, allow_open_files, has_other_data, soak
from gateway.soak.servers import Mishap

SHOWN = 20
"""Differences that are printed in full; of more only their number."""


def fault(text: str) -> tuple[str, float]:
    try:
        return rate(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def mishaps(
    *, no_restarts: bool, no_kills: bool, rolling: bool, redis_restarts: bool, **_: Any
) -> list[Mishap]:
    """What befalls the servers, by turns."""
    wanted: dict[Mishap, bool] = {"kill": not no_kills, "rolling": rolling, "redis": redis_restarts}
    return [] if no_restarts else [mishap for mishap, is_wanted in wanted.items() if is_wanted]


class Command(BaseCommand):
    help = (
        "Charge with a simulated fleet that has every fault, kill servers meanwhile, and compare the ledger with "
        "what truly happened. Uses the configured database and bus, which must hold nothing else. See docs/soak.md."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add = parser.add_argument
        add("--chargers", type=int, default=50, help="how many, and as many drivers")
        add("--minutes", type=float, default=2, help="how long there is trouble; the recovery comes after it")
        add("--seed", type=int, default=1, help="the same chance again")
        add("--processes", type=int, default=1, help="server processes; above 1 REDIS_URL is needed")
        add("--no-restarts", action="store_true", help="let the servers live")
        add("--no-kills", action="store_true", help="no `kill -9`")
        add(
            "--rolling",
            action="store_true",
            help="beside it, let all servers leave and come anew, one by one",
        )
        add(
            "--redis-restarts",
            action="store_true",
            help="and end Redis now and then; its service manager has to start it again",
        )
        add("--no-faults", action="store_true", help="chargers without any trouble of their own")
        add(
            "--fault",
            action="append",
            type=fault,
            metavar="NAME=RATE",
            help="instead of the usual rate of a fault; see `simulate --help`",
        )
        add("--books", type=Path, help="write the chargers' books to this file too, a line for each fact")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.DEMO:
            raise CommandError("Not in the demo: give the soak a database of its own, by DATABASE_URL.")
        if (options["processes"] > 1 or options["redis_restarts"]) and not settings.REDIS_URL:
            raise CommandError("More than one process, and Redis restarts, need REDIS_URL.")
        call_command("migrate", verbosity=0)
        if has_other_data():
            raise CommandError(
                "This database holds other data. Give the soak one of its own, by DATABASE_URL."
            )
        plan = Plan(
            chargers=options["chargers"],
            seconds=options["minutes"] * 60,
            seed=options["seed"],
            processes=options["processes"],
            mishaps=mishaps(**options),
            rates=(dict.fromkeys(RATES, 0.0) if options["no_faults"] else RATES)
            | dict(options["fault"] or ()),
            books=options["books"],
        )
        logging.getLogger("gateway.ocpp").setLevel(logging.ERROR)  # trouble is what this is about
        allow_open_files(8 * plan.chargers + 500)
        started = time.monotonic()

        def say(text: str) -> None:
            self.stdout.write(f"{time.monotonic() - started:6.1f} s  {text}")
            self.stdout.flush()

        report = asyncio.run(soak(plan, say))
        self._show(report, seconds=time.monotonic() - started)
        if report.differences or report.complaints:
            raise CommandError(
                f"{len(report.differences)} differences, {len(report.complaints)} errors in the servers' logs"
            )

    def _show(self, report: Report, *, seconds: float) -> None:
        line = self.stdout.write
        line(f"\n{connection.vendor}, {seconds:.0f} s in all")
        for name, number in report.figures.items():
            line(f"  {number:>9,}  {name}")
        for title, counts in (
            ("faults", report.faults),
            ("what drivers heard", report.outcomes),
            ("flags", report.flags),
        ):
            line(f"{title}:")
            for name, number in sorted(counts.items()):
                line(f"  {number:>9,}  {name}")
        for complaint in report.complaints[:SHOWN]:
            line(f"server: {complaint}")
        for difference in report.differences[:SHOWN]:
            line(str(difference))
        line(f"differences: {len(report.differences)}")
