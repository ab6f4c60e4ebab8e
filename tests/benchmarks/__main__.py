"""`make bench`: evcharge against what one would build on instead, as ratios, with the targets T1 to T12.

Figures of one machine at one moment say little; both sides of a ratio are measured in turns, in the same minutes.
`--quick` only shows that everything runs. Needs Linux, a C compiler, and what `bootstrap.py test` installs.
"""

import argparse
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from tests import servers
from tests.benchmarks import document
from tests.benchmarks.load import load_generator
from tests.benchmarks.processes import ROOT, Processors, running_on
from tests.benchmarks.targets import TARGETS, Finding
from tests.pg_server import postgres

if TYPE_CHECKING:  # it imports models, which wait for django.setup()
    from tests.benchmarks.bench import Bench

DOCUMENT = ROOT / "docs" / "benchmarks.md"
SOCKETS = "sockets"
BUSY = 0.5  # a load average above it is somebody else's work


@contextmanager
def database_and_bus() -> Iterator[None]:
    """The environment of a server under test: a PostgreSQL that keeps what it commits, migrated, and a Valkey."""
    servers.forget_settings()
    with postgres(durable=True) as database_url, servers.valkey() as redis_url:
        os.environ.update(DATABASE_URL=database_url, REDIS_URL=redis_url, LOG_LEVEL="WARNING")
        os.environ["DJANGO_SETTINGS_MODULE"] = "evcharge.settings"
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connections

        call_command("migrate", verbosity=0)
        yield
        connections.close_all()


def allow_open_files() -> None:
    """As many as the machine lets us; servers and load generator inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def wanted(text: str) -> frozenset[str]:
    """`3`, `T3`, `1,3,8`, `sockets`; nothing is everything."""
    known = {**{name: name for name in TARGETS}, SOCKETS: SOCKETS}
    known |= {name.removeprefix("T"): name for name in TARGETS}
    names = [part.strip() for part in text.split(",") if part.strip()]
    if unknown := [name for name in names if name.upper() not in known and name not in known]:
        raise argparse.ArgumentTypeError(f"{unknown[0]} is none of T1 to T12, nor {SOCKETS}")
    return frozenset(known.get(name) or known[name.upper()] for name in names) or frozenset(known.values())


def findings(bench: "Bench", console: Console) -> list[Finding]:
    from tests.benchmarks import connections, pushes, throughput, trouble

    measurements = {
        ("T1",): throughput.actions,
        ("T2",): throughput.without_database,
        ("T3", "T4", "T5", "T6"): throughput.meter_values,
        ("T7",): connections.memory,
        ("T8",): connections.connects,
        ("T9",): pushes.to_each,
        ("T10",): pushes.to_all,
        ("T11",): trouble.restart_of_the_bus,
        ("T12",): trouble.never_reading,
        (SOCKETS,): connections.many_sockets,
    }
    found = []
    for targets, measured in measurements.items():
        if bench.wanted.intersection(targets):
            finding = measured(bench)
            found.append(finding)
            console.print(document.table(finding))
            for outcome in finding.outcomes:
                console.print(document.verdict(outcome))
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", type=wanted, default="", help="targets, such as 3 or 1,3,8, and `sockets`")
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run, a tenth of everything; its figures mean nothing"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="under load, for each side in each round")
    parser.add_argument("--document", type=Path, help="write it there, whatever was measured")
    given = parser.parse_args()
    if given.quick:
        given.rounds, given.seconds = 1, 1.0
    return given


def main() -> None:
    given = arguments()
    if not sys.platform.startswith("linux"):
        raise SystemExit("The benchmark needs Linux: it reads /proc, and its load generator uses epoll")
    allow_open_files()
    processors = Processors.divided()
    console = Console(highlight=False)
    if (load := os.getloadavg()[0]) > BUSY:
        console.print(
            f"[yellow]This machine is busy (load {load:.1f}): ratios of latencies will mean little.[/]"
        )
    began = time.monotonic()
    with (
        running_on(processors.others),
        load_generator() as program,
        console.status("starting PostgreSQL and Valkey") as status,
        database_and_bus(),
    ):
        from tests.benchmarks import machine
        from tests.benchmarks.bench import Bench
        from tests.benchmarks.drivers import Drivers

        facts = machine.facts()
        bench = Bench(
            program=program,
            drivers=Drivers(),
            processors=processors,
            rounds=given.rounds,
            seconds=given.seconds,
            is_quick=given.quick,
            wanted=given.only,
            say=status.update,
        )
        found = findings(bench, console)
    missed = [outcome.target for finding in found for outcome in finding.outcomes if not outcome.is_met]
    minutes = (time.monotonic() - began) / 60
    how = f"{given.rounds} rounds of {given.seconds:g} s, {minutes:.0f} minutes in all"
    console.print(f"{how}; missed: {', '.join(missed) or 'none'}")
    is_whole = given.only == wanted("") and not given.quick
    if path := given.document or (DOCUMENT if is_whole else None):
        path.write_text(document.markdown(facts, found, how))
        console.print(f"wrote {path}")


if __name__ == "__main__":
    main()
