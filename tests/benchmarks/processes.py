"""Servers under measurement, each on a processor of its own: started, watched through /proc, ended."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
YARDSTICKS = Path(__file__).with_name("yardsticks")
START_TIMEOUT_S, STOP_TIMEOUT_S = 60, 30
SETTLE_TIMEOUT_S, SETTLE_WINDOW_S, IDLE = 15, 0.3, 0.07
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Processors(NamedTuple):
    """One for the server under test, the rest for everything else. None where there is only one, or no way to ask."""

    server: set[int] | None
    others: set[int] | None

    @classmethod
    def divided(cls) -> "Processors":
        usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        return cls({usable[0]}, set(usable[1:])) if len(usable) > 1 else cls(None, None)


@contextmanager
def running_on(processors: set[int] | None) -> Iterator[None]:
    """What is started in this block runs on these processors."""
    if processors is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def memory_kib(pid: int) -> int:
    """A process's proportional set size: what it shares counts in part, sockets' buffers in the kernel do not."""
    found = re.search(r"^Pss:\s+(\d+) kB$", _proc(pid, "smaps_rollup"), re.MULTILINE)
    assert found  # every kernel that has the file writes this line
    return int(found[1])


def _proc(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


class Server:
    """A server process that says `http://127.0.0.1:<port>/` once it listens."""

    def __init__(self, processors: set[int] | None, *command: str | Path, **environment: Any) -> None:
        self.log_file = tempfile.NamedTemporaryFile("w+", prefix="evcharge-bench-", suffix=".log")  # noqa: SIM115
        with running_on(processors):
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | {name: str(value) for name, value in environment.items()},
                stdout=self.log_file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.port = self._port()

    def _port(self) -> int:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)/", self.log):
                return int(found[1])
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"a server did not start:\n{self.log}")

    @property
    def log(self) -> str:
        return Path(self.log_file.name).read_text()

    def cpu_s(self) -> float:
        """Processor time used so far by all its threads, in user and in system mode."""
        # The second field may hold spaces and parentheses; utime and stime are the 14th and the 15th.
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    def memory_kib(self) -> int:
        return memory_kib(self.process.pid)

    def _proc(self, name: str) -> str:
        return _proc(self.process.pid, name)

    def settle(self) -> None:
        """Wait until it has finished what it was left with: closed sockets to forget, say."""
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while time.monotonic() < deadline:
            before = self.cpu_s()
            time.sleep(SETTLE_WINDOW_S)
            if self.cpu_s() - before < IDLE * SETTLE_WINDOW_S:
                return

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()


def evcharge(processors: set[int] | None, **settings: Any) -> Server:
    """Our server with the settings of the environment and these, as `make run` starts it; one driver may say more."""
    more = {"MESSAGES_PER_SECOND": 10**9, "LOOKS_PER_SECOND": 10**9, "MAX_SOCKETS_PER_USER": 10**6}
    return Server(processors, sys.executable, "manage.py", "serve", "--port", "0", **(more | settings))


def evcharge_without_database(processors: set[int] | None) -> Server:
    """Our server, which takes meter values as always and then forgets them."""
    return Server(processors, sys.executable, "-m", "tests.benchmarks.forgetful_server", WIRE_LOG="off")


def node(processors: set[int] | None, script: str) -> Server:
    return Server(processors, "node", YARDSTICKS / script)


def python(processors: set[int] | None, script: str) -> Server:
    return Server(processors, sys.executable, YARDSTICKS / script)
