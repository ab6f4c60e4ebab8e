"""What a measurement is made of: servers on a processor of their own, and the load that talks to them."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = Path(__file__).with_name("wsload.c")
START_TIMEOUT_S = 60
COMPILERS = ("cc", "gcc", "clang")
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


class Server:
    """A server process that says `http://127.0.0.1:<port>/` once it listens."""

    def __init__(self, name: str, *command: str | Path, processors: set[int] | None = None) -> None:
        self.name = name
        self.log_file = tempfile.NamedTemporaryFile("w+", prefix="evcharge-bench-", suffix=".log")  # noqa: SIM115
        with running_on(processors):
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdout=self.log_file, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.port = self._port()

    def _port(self) -> int:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)/", self.log):
                return int(found[1])
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"{self.name} did not start:\n{self.log}")

    @property
    def log(self) -> str:
        return Path(self.log_file.name).read_text()

    def cpu_s(self) -> float:
        """Processor time used so far by all its threads, in user and in system mode."""
        # The second field may hold spaces and parentheses; utime and stime are the 14th and the 15th.
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()


def evcharge(processors: set[int] | None) -> Server:
    """Our server with the settings of the environment, as `make run` starts it."""
    python = ROOT / ".venv" / "bin" / "python"
    return Server("evcharge", python, "manage.py", "serve", "--port", "0", processors=processors)


def node(script: str, processors: set[int] | None) -> Server:
    return Server(script, "node", Path(__file__).with_name("yardstick") / script, processors=processors)


@contextmanager
def load_generator() -> Iterator[Path]:
    """wsload.c as a program, for as long as the block lasts."""
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise SystemExit(
            "The benchmark compiles its load generator and finds no C compiler (apt-get install gcc)"
        )
    with tempfile.TemporaryDirectory(prefix="evcharge-bench-") as folder:
        program = Path(folder) / "wsload"
        subprocess.run([compiler, "-O2", "-o", program, SOURCE], check=True)
        yield program


class Answers(msgspec.Struct):
    """What came of one command. `seconds` until the last answer; percentiles of the answers' latency."""

    answered: int
    failed: int
    unanswered: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_s(self) -> float:
        return self.answered / self.seconds


class Load:
    """Sockets to one server, one per request target; `message` and its placeholders are wsload.c's."""

    def __init__(
        self,
        program: Path,
        *,
        port: int,
        targets: list[str],
        message: str,
        failure: str,
        headers: tuple[str, ...] = (),
    ) -> None:
        self.targets = tempfile.NamedTemporaryFile("w", prefix="evcharge-bench-")  # noqa: SIM115
        self.targets.write("".join(f"{target}\n" for target in targets))
        self.targets.flush()
        self.process = subprocess.Popen(
            [program, str(port), self.targets.name, message, failure, *headers],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._line()  # all sockets are open

    def _line(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the load generator ended; the reason stands above")
        return json.loads(line)

    def _run(self, command: str) -> Answers:
        assert self.process.stdin
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answers = msgspec.convert(self._line(), Answers)
        if answers.failed or answers.unanswered:
            raise RuntimeError(f"{answers.failed} messages failed, {answers.unanswered} have no answer")
        return answers

    def closed(self, seconds: float) -> Answers:
        """Every socket sends again as soon as it was answered."""
        return self._run(f"closed {seconds}")

    def open(self, per_s: float, seconds: float) -> Answers:
        """So many messages a second over all sockets, whether or not the server keeps up."""
        return self._run(f"open {per_s} {seconds}")

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.communicate(timeout=30)  # closes its input, and so ends it
        self.targets.close()
