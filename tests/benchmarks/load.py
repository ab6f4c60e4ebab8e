"""The clients: wsload.c, compiled for the run, and the way to talk to it."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

SOURCE = Path(__file__).with_name("wsload.c")
COMPILERS = ("cc", "gcc", "clang")
TOGETHER = 200  # handshakes under way at a time


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
    """What came of one command. `seconds` until the last answer; percentiles of latency."""

    answered: int
    failed: int
    unanswered: int
    refused: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_s(self) -> float:
        return self.answered / self.seconds if self.seconds else 0.0


class Load:
    """Sockets to one server, one per request target, numbered from `first`.

    What may stand in messages, and what the commands do, is explained in wsload.c.
    """

    def __init__(
        self,
        program: Path,
        *,
        port: int,
        targets: Sequence[str],
        messages: Sequence[str],
        failure: str,
        ready: str = "",
        first: int = 0,
        headers: Sequence[str] = (),
    ) -> None:
        self.targets, self.messages = _lines(targets), _lines(messages)
        self.process = subprocess.Popen(
            [program, str(port), self.targets.name, str(first), self.messages.name, failure, ready, *headers],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _run(self, command: str) -> Answers:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the load generator ended; the reason stands above")
        answers = msgspec.convert(json.loads(line), Answers)
        if answers.failed or answers.unanswered:
            raise RuntimeError(f"{answers.failed} messages failed, {answers.unanswered} have no answer")
        return answers

    def dial(self, together: int = TOGETHER) -> Answers:
        """Open what is not open. Who is refused dials again; latency is of those that came in."""
        return self._run(f"dial {together}")

    def drop(self) -> None:
        """Cut all sockets, as a network does."""
        self._run("drop")

    def closed(self, seconds: float) -> Answers:
        """Every socket sends again as soon as it was answered."""
        return self._run(f"closed {seconds}")

    def open(self, per_s: float, seconds: float) -> Answers:
        """So many messages a second over all sockets, whether or not the server keeps up."""
        return self._run(f"open {per_s} {seconds}")

    def listen(self, seconds: float) -> Answers:
        """Count pushes that say when they were made."""
        return self._run(f"listen {seconds}")

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.communicate(timeout=30)  # closes its input, and so ends it
        self.targets.close()
        self.messages.close()


def _lines(texts: Sequence[str]) -> Any:
    file = tempfile.NamedTemporaryFile("w", prefix="evcharge-bench-")  # noqa: SIM115
    file.write("".join(f"{text}\n" for text in texts))
    file.flush()
    return file
