"""The one reader of the environment: every setting's name, type, default and meaning.

`.env.example` is written from this table (`manage.py export_api_docs`), so it cannot drift from the code.
Nothing outside `settings.py` imports this module.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
DEMO_DIR = BASE_DIR / ".demo"


@dataclass(frozen=True)
class Variable:
    """One environment variable. `kind` is a cast of django-environ: str, int, bool, list or db_url."""

    name: str
    kind: str
    default: Any
    meaning: str
    section: str


_SECTIONS: dict[str, list[tuple[str, str, Any, str]]] = {
    "Installation": [
        (
            "SECRET_KEY",
            "str",
            "",
            "Signs tokens and cookies; 50 random characters. Required outside the demo.",
        ),
        ("DEBUG", "bool", False, "Django's debug pages. Never in production."),
        ("DEMO", "bool", False, "The demo: its own database in .demo/, users with known passwords."),
        ("LOG_LEVEL", "str", "INFO", "DEBUG, INFO, WARNING or ERROR."),
        ("TIME_ZONE", "str", "UTC", "Time zone of the admin pages; everything is stored in UTC."),
    ],
    "Network": [
        ("HOST", "str", "127.0.0.1", "Address the server listens on; 0.0.0.0 in a container."),
        ("PORT", "int", 8080, "The one port: apps, chargers, API, admin, console."),
        ("ALLOWED_HOSTS", "list", ["localhost", "127.0.0.1", "[::1]"], "Host names served, comma separated."),
        ("CSRF_TRUSTED_ORIGINS", "list", [], "Origins of the admin behind a proxy, with scheme."),
        ("HTTPS", "bool", False, "A TLS proxy stands in front: secure cookies, redirect, HSTS."),
        ("TRUST_PROXY", "bool", False, "Believe X-Forwarded-Proto; only behind a proxy that sets it."),
    ],
    "Storage and bus": [
        (
            "DATABASE_URL",
            "db_url",
            "sqlite:///evcharge.sqlite3",
            "sqlite:///file or postgresql://user:pw@host/db.",
        ),
        ("REDIS_URL", "str", "", "redis://host:6379/0. Empty: messages stay inside this one process."),
        ("PROCESSES", "int", 1, "How many server processes share the database; above 1 Redis is needed."),
        ("DB_THREADS", "int", 8, "Database connections a process may use at once, besides the writer's one."),
    ],
    "Apps": [
        ("ACCESS_TOKEN_MINUTES", "int", 60, "Life of an access token."),
        ("REFRESH_TOKEN_DAYS", "int", 14, "Life of a refresh token."),
        (
            "MAX_APP_SOCKETS",
            "int",
            10_000,
            "App sockets a process takes before it answers `Server at capacity`.",
        ),
        (
            "MAX_ACTIVE_SESSIONS_PER_USER",
            "int",
            1,
            "Charging sessions a user may have open at once from apps.",
        ),
        ("LOGIN_ATTEMPTS_PER_MINUTE", "int", 20, "Token requests per address and minute."),
    ],
    "Chargers": [
        (
            "UNKNOWN_CHARGERS",
            "str",
            "reject",
            "`reject` (HTTP 404) or `inbox`: kept for an operator to accept.",
        ),
        ("COMMAND_TIMEOUT_S", "int", 30, "Seconds a charger has to answer a command."),
        ("START_TIMEOUT_S", "int", 120, "Seconds between an accepted start and its transaction."),
        ("HEARTBEAT_INTERVAL_S", "int", 300, "Heartbeat interval given to chargers at boot."),
        ("CLOCK_SKEW_TOLERANCE_S", "int", 300, "How far ahead a charger's clock may be before ours is used."),
        ("LATE_AFTER_S", "int", 300, "A start or stop older than this is a replay: recorded, not announced."),
    ],
    "Sockets": [
        ("WS_PING_INTERVAL_S", "int", 30, "Seconds between pings on every socket."),
        ("WS_PING_TIMEOUT_S", "int", 20, "Seconds without a pong after which the socket is closed."),
        (
            "PRESENCE_INTERVAL_S",
            "int",
            30,
            "How often a process confirms its chargers; three missed mean offline.",
        ),
        ("SWEEP_INTERVAL_S", "int", 5, "How often what nobody will answer is ended."),
    ],
}

VARIABLES = [
    Variable(name, kind, default, meaning, section)
    for section, rows in _SECTIONS.items()
    for name, kind, default, meaning in rows
]


class Settings:
    """Typed values of all variables: `values.PORT`. Fails at once, and by name, on a value of a wrong type."""

    def __init__(self) -> None:
        self._env = environ.Env()
        configured = bool(self._env.str("SECRET_KEY", default="")) or (BASE_DIR / ".env").is_file()
        self.DEMO: bool = self._env.bool("DEMO", default=not configured and DEMO_DIR.is_dir())
        if not self.DEMO:
            environ.Env.read_env(str(BASE_DIR / self._env.str("ENV_FILE", default=".env")))
        for variable in VARIABLES:
            if variable.name != "DEMO":
                setattr(self, variable.name, self._read(variable))
        if self.DEMO:
            self._isolate_demo()
        if not self.SECRET_KEY:
            raise ImproperlyConfigured(
                "SECRET_KEY is not set. `make run` writes a .env with a fresh one; `make demo` needs none."
            )

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name} is not in the table of settings (evcharge/env.py)")

    def _read(self, variable: Variable) -> Any:
        try:
            if variable.kind == "db_url":
                return self._env.db(variable.name, default=variable.default)
            return getattr(self._env, variable.kind)(variable.name, default=variable.default)
        except (ValueError, ImproperlyConfigured) as error:
            raise ImproperlyConfigured(f"{variable.name} must be of type {variable.kind}: {error}") from error

    def _isolate_demo(self) -> None:
        """The demo keeps to its own folder, whatever the environment says: its users must not reach real data."""
        DEMO_DIR.mkdir(exist_ok=True)
        key = DEMO_DIR / "secret_key"
        if not key.exists():
            key.write_text(secrets.token_urlsafe(50))
            key.chmod(0o600)
        self.SECRET_KEY = key.read_text()
        self.DATABASE_URL = environ.Env.db_url_config(f"sqlite:///{DEMO_DIR / 'db.sqlite3'}")
        self.REDIS_URL = ""


def example() -> str:
    """The text of `.env.example`."""
    lines = ["# Every setting, with its default. Copy to .env, or set them in the environment.", ""]
    section = ""
    for variable in VARIABLES:
        if variable.section != section:
            section = variable.section
            lines += [f"# --- {section} ---", ""]
        default = variable.default
        shown = ",".join(default) if isinstance(default, list) else default
        lines += [f"# {variable.meaning}", f"#{variable.name}={shown}", ""]
    return "\n".join(lines).rstrip() + "\n"
