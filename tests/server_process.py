"""Real server processes on the test database."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.db import connection

ROOT = Path(__file__).resolve().parent.parent

# Short waits, so that what ends by time ends within a test.
FAST = {
    "COMMAND_TIMEOUT_S": "3",
    "START_TIMEOUT_S": "5",
    "SWEEP_INTERVAL_S": "1",
    "DRAIN_NOTICE_S": "0",
    "LOG_LEVEL": "INFO",
    "LOGIN_ATTEMPTS_PER_MINUTE": "10000",
    "LOGIN_FAILURES_PER_ADDRESS": "10000",
    "MESSAGES_PER_SECOND": "0",
    "LOOKS_PER_SECOND": "0",
    "ORDERS_PER_MINUTE": "0",
}


def database_url() -> str:
    """The test database, as a URL for another process."""
    values = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{values['NAME']}"
    user = values["USER"] + (f":{values['PASSWORD']}" if values["PASSWORD"] else "")
    return f"postgresql://{user}@{values['HOST']}:{values['PORT']}/{values['NAME']}"


def environment_of(**settings: Any) -> dict[str, str]:
    """The environment of a process on the test database, with these settings."""
    return {
        **os.environ,
        **FAST,
        "DATABASE_URL": database_url(),
        "ENV_FILE": os.devnull,
        "PGAPPNAME": "process",  # so that a test may end a server's connections and not its own
        **{name: str(value) for name, value in settings.items()},
    }


def run_command(*arguments: str, timeout_s: float = 60, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run `manage.py …` on the test database to its end; it has nothing to read and no terminal."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment_of(**settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


class ServerProcess:
    """`manage.py serve` on a port of its own, or another command that serves on `port`; `log` is what it wrote."""

    def __init__(self, *command: str, port: int | None = None, **environment: Any) -> None:
        self.log_file = tempfile.NamedTemporaryFile("w+", suffix=".log", delete=False)  # noqa: SIM115
        arguments = command or ("manage.py", "serve", "--port", "0")
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment_of(**environment),
            stdout=self.log_file,
            stderr=subprocess.STDOUT,
        )
        self.port = self._port(port)
        self.ws = f"ws://127.0.0.1:{self.port}"
        self.http = f"http://127.0.0.1:{self.port}"

    def _port(self, given: int | None) -> int:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if given is not None:
                with suppress(OSError), socket.create_connection(("127.0.0.1", given), timeout=1):
                    return given
            elif (found := self.log.partition("listens on http://")[2]) and "/" in found:
                return int(found.partition("/")[0].rpartition(":")[2])
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        self.process.kill()
        raise RuntimeError(f"the server did not start:\n{self.log}")

    @property
    def log(self) -> str:
        return Path(self.log_file.name).read_text()

    def get(self, path: str) -> tuple[int, str]:
        return self._ask(urllib.request.Request(self.http + path))

    def post(self, path: str, data: Any) -> tuple[int, str]:
        """POST JSON; the status and the text of the answer."""
        headers = {"Content-Type": "application/json"}
        return self._ask(urllib.request.Request(self.http + path, json.dumps(data).encode(), headers))

    def _ask(self, request: urllib.request.Request) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.terminate()
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self.log_file.close()

    def kill(self) -> None:
        """As when the machine dies: nothing is said to anybody."""
        self.process.kill()
        self.process.wait()
