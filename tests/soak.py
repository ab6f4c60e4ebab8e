"""`make soak`: `manage.py soak` on SQLite in one process, then on PostgreSQL and Valkey in two."""

import os
import subprocess
import sys
import tempfile

from tests import servers
from tests.pg_server import postgres


def run(*arguments: str, **environment: str) -> int:
    print(f"\n== soak {' '.join(arguments)}: {environment['DATABASE_URL'].partition(':')[0]}", flush=True)
    command = [sys.executable, "manage.py", "soak", *arguments]
    return subprocess.run(command, cwd=servers.ROOT, env=os.environ | environment).returncode


def main() -> int:
    """Arguments go to both runs; the last one of a kind counts."""
    servers.forget_settings()
    given = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="evcharge-soak-") as home:
        failed = run("--processes", "1", *given, DATABASE_URL=f"sqlite:///{home}/db.sqlite3")
    with postgres(durable=True) as database_url, servers.valkey() as redis_url:
        failed |= run("--processes", "2", *given, DATABASE_URL=database_url, REDIS_URL=redis_url)
    return failed


if __name__ == "__main__":
    sys.exit(main())
