"""`make bench`: evcharge against what one would build on instead, as ratios.

Figures of one machine at one moment say little; both sides of a ratio are measured in turns, in the same minutes.
`--quick` only shows that everything runs. Needs Linux, a C compiler, and what `bootstrap.py test` installs.
"""

import argparse
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from tests import servers
from tests.bench.processes import Processors, load_generator, running_on
from tests.pg_server import postgres


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


def allow_open_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        count = min(count, hard)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run of some 20 s; its figures mean little"
    )
    parser.add_argument("--only", choices=("T1", "T3"), help="one of the two ratios")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="how long one measurement takes")
    parser.add_argument("--sockets", type=int, default=500)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.seconds, arguments.sockets = 1, 1.0, 100
    if not sys.platform.startswith("linux"):
        raise SystemExit("The benchmark needs Linux: it reads /proc, and its load generator uses epoll")
    allow_open_files(4 * arguments.sockets + 1000)
    processors = Processors.divided()
    console = Console(highlight=False)
    with (
        running_on(processors.others),
        load_generator() as program,
        console.status("starting PostgreSQL and Valkey") as status,
        database_and_bus(),
    ):
        from tests.bench import drivers, measure, report  # models, which wait for django.setup()

        bench = measure.Bench(
            program=program,
            users=drivers.make_drivers(arguments.sockets),
            processors=processors,
            rounds=arguments.rounds,
            seconds=arguments.seconds,
            say=status.update,
        )
        figures = {
            ratio: measured(bench)
            for ratio, measured in (("T1", measure.actions), ("T3", measure.meter_values))
            if arguments.only in (None, ratio)
        }
    for ratio, rows in figures.items():
        console.print(report.table(ratio, rows))
        console.print(report.verdict(ratio, rows))


if __name__ == "__main__":
    main()
