"""`make bench`: evcharge against what one would build on instead, as ratios.

Figures of one machine at one moment say little; both sides of a ratio are measured in turns, in the same minutes.
`--quick` only shows that everything runs. Needs Linux, a C compiler, and what `bootstrap.py test` installs.
"""

import argparse
import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table

from tests import servers
from tests.bench.processes import Processors, load_generator, running_on
from tests.pg_server import postgres

# Ratio at least, and ratio hoped for.
T1_MUST, T1_STRETCH = 0.50, 0.70
T3_MUST, T3_STRETCH = 0.40, 0.60


@contextmanager
def database_and_bus() -> Iterator[None]:
    """The environment of a server under test: a PostgreSQL that keeps what it commits, migrated, and a Valkey."""
    servers._forget_settings()
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


def verdict(ratio: float, *, must: float, stretch: float) -> str:
    if ratio >= stretch:
        return f"pass, and past the stretch target {stretch:.2f}"
    word = "pass" if ratio >= must else "FAIL"
    return f"{word}: at least {must:.2f} wanted, {stretch:.2f} hoped for"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a smoke run of some 20 s; its figures mean nothing")
    parser.add_argument("--sockets", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one measurement; there are 5 in a round")
    parser.add_argument("--only", choices=("T1", "T3"), help="one ratio only")
    arguments = parser.parse_args()
    if not sys.platform.startswith("linux"):
        raise SystemExit("The benchmark needs Linux: it reads /proc, and its load generator uses epoll")

    console = Console(highlight=False)
    processors = Processors.divided()
    allow_open_files(8 * arguments.sockets + 1000)
    with (
        running_on(processors.others),
        load_generator() as program,
        console.status("starting PostgreSQL and Valkey") as status,
        database_and_bus(),
    ):
        from tests.bench import measure
        from tests.bench.drivers import make_drivers
        ...


if __name__ == "__main__":
    main()
