"""Where and with what a run was made: what a figure is worth nothing without."""

import json
import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks.processes import ROOT

PYTHON_PACKAGES = (
    "django",
    "channels",
    "channels-redis",
    "redis",
    "uvicorn",
    "uvloop",
    "websockets",
    "orjson",
    "msgspec",
    "jsonschema-rs",
    "psycopg",
    "ocpp",
)
NODE_PACKAGES = ("ws", "ocpp-rpc", "pg")


def facts() -> dict[str, str]:
    """Name → value, in the order to print. Import after django.setup(): the database tells its own version."""
    memory_gib = _found(r"^MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(), "0")
    model = _found(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), platform.machine())
    return {
        "Date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "Commit": _commit(),
        "Processor": f"{os.cpu_count()} cores, {model}",
        "Memory": f"{int(memory_gib) / 1024**2:.0f} GiB",
        "Kernel": f"{platform.system()} {platform.release()}",
        "Load before the run": f"{os.getloadavg()[0]:.2f}",
        "Servers": f"PostgreSQL {_postgres()}, Valkey {_valkey()}",
        "Python": f"{platform.python_version()}: "
        + ", ".join(f"{name} {version(name)}" for name in PYTHON_PACKAGES),
        "Node": f"{_output('node', '--version')}: "
        + ", ".join(f"{name} {_node_package(name)}" for name in NODE_PACKAGES),
    }


def _found(pattern: str, text: str, otherwise: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found[1] if found else otherwise


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _commit() -> str:
    commit = _output("git", "rev-parse", "--short", "HEAD") or "unknown"
    return commit + (", with changes" if _output("git", "status", "--porcelain") else "")


def _postgres() -> str:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        return str(cursor.fetchone()[0])


def _valkey() -> str:
    from redis import Redis

    told = Redis.from_url(os.environ["REDIS_URL"]).info("server")
    return str(told.get("valkey_version") or told["redis_version"])


def _node_package(name: str) -> str:
    return str(json.loads((ROOT / "node_modules" / name / "package.json").read_text())["version"])
