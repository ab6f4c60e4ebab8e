"""HAProxy and nginx from Debian, started with the very files of docs/deploy."""

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.certificates import Authority, Pair
from tests.server_process import ROOT

FILES = ROOT / "docs" / "deploy"


def program(name: str) -> str:
    """Its path. Where it is missing the test is left out, but not in CI."""
    path = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]
    if found := shutil.which(name, path=os.pathsep.join(path)):
        return found
    sentence = f"{name} is not installed; `python3 bootstrap.py test` brings it on Debian"
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Keys(NamedTuple):
    """What a proxy needs to end TLS for `localhost`; the authority signs chargers' certificates too."""

    ca: Authority
    ca_file: str
    certificate: str
    key: str
    both: str

    @classmethod
    def made_in(cls, folder: Path) -> "Keys":
        ca = Authority()
        server: Pair = ca.issue("localhost", hosts=("localhost",))
        certificate, key = server.save(folder, "server")
        both = folder / "both.pem"
        both.write_text(Path(certificate).read_text() + Path(key).read_text())
        return cls(ca, ca.save(folder, "ca")[0], certificate, key, str(both))


class Proxy:
    """One of them, in front of these ports. `log` is all it wrote."""

    file: Path
    only_check: list[str]
    only_serve: list[str]

    def __init__(self, folder: Path, keys: Keys, ports: list[int]) -> None:
        self.folder, self.keys, self.ports = folder, keys, ports
        self.port, self.plain_port = free_port(), free_port()
        self.log_file = folder / "proxy.log"
        self.environment = dict(os.environ)
        self.prepare()

    def prepare(self) -> None:
        raise NotImplementedError

    def command(self) -> list[str]:
        raise NotImplementedError

    def check(self) -> subprocess.CompletedProcess[str]:
        """Have it read its configuration and judge it."""
        return subprocess.run(
            [*self.command(), *self.only_check],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=30,
        )

    def start(self) -> None:
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command(), *self.only_serve],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"the proxy did not start:\n{self.log}")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def wait_for_log(self, words: str, *, timeout: float = 20) -> None:
        """A request's line is written after its answer."""
        deadline = time.monotonic() + timeout
        while words not in self.log:
            assert time.monotonic() < deadline, f"no {words!r} in the log:\n{self.log}"
            time.sleep(0.05)

    @property
    def ws(self) -> str:
        return f"wss://localhost:{self.port}"

    @property
    def http(self) -> str:
        return f"https://localhost:{self.port}"


class HAProxy(Proxy):
    """Its file takes what differs from the environment, so it runs as it is."""

    file = FILES / "haproxy.cfg"
    only_check, only_serve = ["-c"], ["-db"]

    def prepare(self) -> None:
        self.environment |= {
            "TLS_FILE": self.keys.both,
            "CHARGERS_CA": self.keys.ca_file,
            "HTTP_BIND": f"127.0.0.1:{self.plain_port}",
            "HTTPS_BIND": f"127.0.0.1:{self.port}",
            "APP1": f"127.0.0.1:{self.ports[0]}",
            "APP2": f"127.0.0.1:{self.ports[1]}",
        }

    def command(self) -> list[str]:
        # 500 connections: no limit of open files of whoever tests stands in the way.
        return [program("haproxy"), "-n", "500", "-f", str(self.file)]


class Nginx(Proxy):
    """Its file is copied with other addresses and paths; every one of them must be there to be replaced."""

    file = FILES / "nginx.conf"
    only_check, only_serve = ["-t"], ["-g", "daemon off;"]

    def prepare(self) -> None:
        text = self.file.read_text()
        folders = "".join(
            f"{name}_temp_path {self.folder}/{name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        for old, new in {
            "http {": f"http {{ {folders}",
            "/etc/nginx/evcharge.pem": self.keys.certificate,
            "/etc/nginx/evcharge.key": self.keys.key,
            "/run/nginx.pid": f"{self.folder}/pid",
            "/var/log/nginx/access.log": str(self.log_file),
            "/var/log/nginx/error.log": str(self.log_file),
            "127.0.0.1:8081": f"127.0.0.1:{self.ports[0]}",
            "127.0.0.1:8082": f"127.0.0.1:{self.ports[1]}",
            "listen 80;": f"listen 127.0.0.1:{self.plain_port};",
            "listen 443 ": f"listen 127.0.0.1:{self.port} ",
            "worker_connections 65536;": "worker_connections 500;",
            "worker_rlimit_nofile 200000;": "",
        }.items():
            assert old in text, old
            text = text.replace(old, new)
        self.copy = self.folder / "nginx.conf"
        self.copy.write_text(text)

    def command(self) -> list[str]:
        return [program("nginx"), "-p", str(self.folder), "-c", str(self.copy)]


PROXIES: dict[str, type[Proxy]] = {"haproxy": HAProxy, "nginx": Nginx}
