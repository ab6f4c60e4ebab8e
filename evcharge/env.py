"""The one reader of the environment: every setting's name, type, default and meaning.

`.env.example` is written from this table (`manage.py export_api_docs`), so it cannot drift from the code.
Nothing outside `settings.py` imports this module.
"""

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from re import fullmatch
from typing import Any
from zoneinfo import ZoneInfo

import environ
from django.core.exceptions import ImproperlyConfigured

from gateway.redis_urls import places

BASE_DIR = Path(__file__).resolve().parent.parent
DEMO_DIR = BASE_DIR / ".demo"


@dataclass(frozen=True)
class Variable:
    """One environment variable; `kind` names its reader, below."""

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
        ("LOG_LEVEL", "level", "INFO", "DEBUG, INFO, WARNING or ERROR."),
        ("LOG_FORMAT", "log_format", "text", "`text`, or `json`: an object a line, with ids."),
        (
            "TIME_ZONE",
            "zone",
            "UTC",
            "Time zone of the admin pages and receipts; everything is stored in UTC.",
        ),
    ],
    "Network": [
        ("HOST", "str", "127.0.0.1", "Address the server listens on; 0.0.0.0 in a container."),
        ("PORT", "int", 8080, "The one port: apps, chargers, API, admin, console."),
        ("ALLOWED_HOSTS", "list", ["localhost", "127.0.0.1", "[::1]"], "Host names served, comma separated."),
        ("CSRF_TRUSTED_ORIGINS", "list", [], "Origins of the admin behind a proxy, with scheme."),
        ("HTTPS", "bool", False, "People and apps come over TLS: secure cookies, redirect, HSTS."),
        (
            "TRUSTED_PROXIES",
            "networks",
            [],
            "Addresses or networks of proxies; X-Forwarded-Proto and -For count from them alone.",
        ),
        (
            "CLIENT_CERTIFICATE_HEADER",
            "str",
            "",
            "Header in which a trusted proxy passes a charger's certificate: PEM, URL-encoded, or as RFC 9440 has it.",
        ),
    ],
    "TLS by this server": [
        (
            "TLS_CERTIFICATE",
            "list",
            [],
            "Certificate files, PEM; one RSA and one ECDSA, say. Empty: no TLS here.",
        ),
        ("TLS_KEY", "list", [], "Their keys' files, in the same order."),
        ("TLS_PORT", "int", 8443, "Port for TLS, beside PORT."),
        (
            "TLS_CLIENT_CA",
            "list",
            [],
            "Files of the authorities whose chargers' certificates are believed, here and from a proxy.",
        ),
    ],
    "Storage and bus": [
        (
            "DATABASE_URL",
            "db_url",
            "sqlite:///evcharge.sqlite3",
            "sqlite:///file or postgresql://user:pw@host/db.",
        ),
        (
            "REDIS_URL",
            "redis_url",
            "",
            "redis://host:6379/0, or another form of docs/redis.md. Empty: messages stay inside this one process.",
        ),
        (
            "CHANNEL_LAYER",
            "str",
            "gateway.layers.RedisLayer",
            "The channel layer on REDIS_URL; channels_redis.pubsub.RedisPubSubChannelLayer works too.",
        ),
        ("REDIS_PREFIX", "redis_prefix", "evcharge", "Keeps installations that share a Redis apart."),
        ("PROCESSES", "int", 1, "How many server processes share the database; above 1 Redis is needed."),
        ("DB_THREADS", "int", 8, "Database connections a process may use at once, besides three of its own."),
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
        (
            "REPLAY_MINUTES",
            "int",
            60,
            "So long a user's messages are kept for apps that reconnect with `last_seq`.",
        ),
        (
            "CLIENT_REF_HOURS",
            "int",
            24,
            "So long the same `client_ref` (or `Idempotency-Key`) of a user is the same request.",
        ),
        ("REPLAY_MESSAGES", "int", 500, "And so many an app gets again at most; beyond it gets `resync`."),
        (
            "REFRESH_GRACE_S",
            "int",
            60,
            "Seconds in which a refresh token may be exchanged again, for whom the answer did not reach.",
        ),
        (
            "TOKEN_WARNING_S",
            "int",
            60,
            "Seconds before its token expires at which a socket is told so.",
        ),
        ("LOGIN_ATTEMPTS_PER_MINUTE", "int", 20, "Token requests per address and minute."),
        (
            "LOGIN_FAILURES",
            "int",
            5,
            "Wrong passwords for a user name from an address before it has to wait, longer each time.",
        ),
        ("LOGIN_FAILURES_PER_ADDRESS", "int", 50, "The same for all user names together."),
        (
            "MAX_SOCKETS_PER_USER",
            "int",
            20,
            "Sockets of a user in a process; one more is refused: `Too many connections`.",
        ),
        (
            "MAX_SOCKETS_PER_ADDRESS",
            "int",
            1000,
            "The same of an address; many phones may share one. Not of loopback, nor of a trusted proxy's own.",
        ),
        (
            "MESSAGES_PER_SECOND",
            "int",
            50,
            "Messages and requests of a user, in a process; ten seconds' worth at once. 0: any number.",
        ),
        ("LOOKS_PER_SECOND", "int", 20, "Of these, all but pings and orders to chargers."),
        (
            "ORDERS_PER_MINUTE",
            "int",
            60,
            "Orders of a user to chargers, such as starts and stops, in a process; as many at once. 0: any number.",
        ),
        (
            "REQUESTS_PER_ADDRESS",
            "int",
            100,
            "Requests and handshakes of an address a second, in a process; ten seconds' worth at once. 0: any number.",
        ),
    ],
    "Driver's page": [
        (
            "MAP_TILES_URL",
            "tiles",
            "",
            "Pictures of the map, such as https://tiles.example/{z}/{x}/{y}.png; their host sees what drivers look at. "
            "Empty: none.",
        ),
        ("MAP_ATTRIBUTION", "str", "", "Whose map it is, as its licence wants it said."),
        ("MAP_ATTRIBUTION_URL", "web_address", "", "Where that leads to."),
    ],
    "Receipts and accounts": [
        ("OPERATOR_NAME", "str", "", "Who sells, as receipts have it."),
        ("OPERATOR_ADDRESS", "str", "", "Its address, in one line."),
        ("OPERATOR_TAX_ID", "str", "", "Its tax number."),
        ("EXPORTS_PER_HOUR", "int", 6, "How often a user may ask for all of their data."),
    ],
    "Chargers": [
        (
            "UNKNOWN_CHARGERS",
            "str",
            "reject",
            "`reject` (HTTP 404) or `inbox`: kept for an operator to accept.",
        ),
        ("MAX_UNKNOWN_CHARGERS", "int", 100, "How many may wait in the inbox; beyond it they get HTTP 404."),
        (
            "MIN_SECURITY_PROFILE",
            "int",
            0,
            "The least for every charger: 0 nothing, 1 password, 2 password over TLS, 3 own certificate.",
        ),
        (
            "MAX_REFUSALS",
            "int",
            1000,
            "How many refused connections are kept for the operator; the oldest go.",
        ),
        ("CPO_NAME", "str", "", "Organisation (O) that chargers' certificates must name. Empty: any."),
        (
            "CA_CERTIFICATE",
            "str",
            "",
            "Certificate file of our own authority; `manage.py create_ca` makes it.",
        ),
        ("CA_KEY", "str", "", "Its key's file."),
        (
            "CA_URL",
            "str",
            "",
            "An outside authority instead: gets each request by POST as PEM, answers with the chain as PEM.",
        ),
        ("CERTIFICATE_DAYS", "int", 365, "Life of a charger's certificate that our own authority signs."),
        (
            "CERTIFICATE_RENEWAL_DAYS",
            "int",
            30,
            "Days before its end at which a charger is asked to renew it.",
        ),
        (
            "MAX_CHARGER_SOCKETS",
            "int",
            10_000,
            "Charger sockets a process takes before it answers a handshake with 503.",
        ),
        ("COMMAND_TIMEOUT_S", "int", 30, "Seconds a charger has to answer a command."),
        ("START_TIMEOUT_S", "int", 120, "Seconds between an accepted start and its transaction."),
        ("HEARTBEAT_INTERVAL_S", "int", 300, "Heartbeat interval given to chargers at boot."),
        ("CLOCK_SKEW_TOLERANCE_S", "int", 300, "How far ahead a charger's clock may be before ours is used."),
        ("LATE_AFTER_S", "int", 300, "A start or stop older than this is a replay: recorded, not announced."),
        (
            "STUCK_AFTER_S",
            "int",
            900,
            "Seconds in Preparing or Finishing after which a connector is said to be stuck.",
        ),
        ("MAX_RESERVATION_MINUTES", "int", 60, "The longest reservation from an app."),
        ("MAX_RESERVATIONS_PER_USER", "int", 1, "Reservations a user may have open at once from apps."),
        (
            "RESERVATION_REMINDERS_S",
            "seconds",
            [300, 60],
            "Seconds before its end at which the holder of a reservation is told, comma separated.",
        ),
        ("WATCH_HOURS", "int", 12, "How long a driver's wish to hear of a free connector lasts."),
        ("MAX_WATCHES_PER_USER", "int", 20, "Such wishes a user may have open at once."),
        (
            "SILENT_AFTER_S",
            "int",
            7200,
            "A firmware update or upload of which nothing was heard for so long is marked as silent.",
        ),
        (
            "MAX_POWER_KW",
            "int",
            500,
            "The most a connector delivers: a register that rises faster is suspect and not billed.",
        ),
    ],
    "Traces": [
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "str",
            "",
            "Where OpenTelemetry traces go, by OTLP over HTTP. Empty: none. Its SDK reads every other OTEL_… variable.",
        ),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "str", "", "The same, with the whole path; it comes first."),
        ("OTEL_SDK_DISABLED", "bool", False, "No traces, whatever else is set."),
    ],
    "Wire log": [
        (
            "WIRE_LOG",
            "wire_log",
            "all",
            "`all`, `without_meter_values` (nor heartbeats, unless they fail), or `off`.",
        ),
        ("WIRE_LOG_DAYS", "int", 30, "Days after which messages are deleted from the wire log."),
        ("WIRE_LOG_ROWS", "int", 2_000_000, "How many of the newest messages the wire log keeps at most."),
    ],
    "Retention": [
        (
            "METER_READINGS_FULL_DAYS",
            "int",
            90,
            "Days after its end at which a session's meter readings are thinned to what its totals need. 0: never.",
        ),
        (
            "METER_READINGS_THINNED_MINUTES",
            "int",
            15,
            "Besides that, one reading in so many minutes stays.",
        ),
        (
            "METER_READINGS_DAYS",
            "int",
            0,
            "Days after its end at which a session's readings go altogether; its totals stay. 0: never.",
        ),
        (
            "COMMANDS_DAYS",
            "int",
            365,
            "Days after which commands are deleted, but for starts and stops. 0: never.",
        ),
        ("SECURITY_EVENTS_DAYS", "int", 365, "Days after which security events are deleted. 0: never."),
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
        (
            "DRAIN_NOTICE_S",
            "int",
            2,
            "Seconds after SIGTERM in which readiness fails and sockets still come in: for the load balancer.",
        ),
        (
            "DRAIN_S",
            "int",
            10,
            "Then: seconds over which open sockets are closed (1012) at most; what is under way is answered first.",
        ),
    ],
}

VARIABLES = [
    Variable(name, kind, default, meaning, section)
    for section, rows in _SECTIONS.items()
    for name, kind, default, meaning in rows
]


# Settings of earlier versions that meant something: ignored, they would open or shut a door without a word.
_GONE = {"TRUST_PROXY": "name your proxies' addresses in TRUSTED_PROXIES"}


# --- readers: text → value; a ValueError says what the text must be ---


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"must be a whole number, not {text!r}") from None


_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def _yes_or_no(text: str) -> bool:
    """Strict, since a mistyped HTTPS=ture must not turn security off without a word."""
    word = text.strip().lower()
    if word not in _YES + _NO:
        raise ValueError(f"must be true or false, not {text!r}")
    return word in _YES


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _seconds(text: str) -> list[int]:
    return [_whole_number(part) for part in _parts(text)]


def _networks(text: str) -> list[IPv4Network | IPv6Network]:
    try:
        return [ip_network(part, strict=False) for part in _parts(text)]
    except ValueError as error:
        raise ValueError(f"must be addresses or networks such as 10.0.0.0/8: {error}") from None


def _level(text: str) -> str:
    if text.upper() not in (levels := ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")):
        raise ValueError(f"must be one of {', '.join(levels)}, not {text!r}")
    return text.upper()


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ValueError, OSError, KeyError):
        raise ValueError(f"must be a time zone such as Europe/Amsterdam, not {text!r}") from None
    return text


def _database(text: str) -> dict[str, Any]:
    """Django's settings for it. The text is not repeated in an error: it may hold a password."""
    kind, colon, _ = text.partition("://")
    if not colon or kind not in ("sqlite", "postgres", "postgresql"):
        raise ValueError("must be sqlite:///file or postgresql://user:password@host/database")
    config = environ.Env.db_url_config(text)
    if kind == "sqlite" and config["NAME"] != ":memory:":
        config["NAME"] = str(BASE_DIR / config["NAME"])  # wherever it is started from
    return config


def _redis(text: str) -> str:
    if text:
        places(text)
    return text


def _redis_prefix(text: str) -> str:
    if not fullmatch(r"[A-Za-z0-9_.-]{1,40}", text):
        raise ValueError(f"must be up to 40 letters, digits, dots, dashes and underscores, not {text!r}")
    return text


def _tiles(text: str) -> str:
    """Their host goes into the page's policy, so it is one, and has no gaps to fill."""
    parts = r"(https?://[A-Za-z0-9.-]+(:\d+)?)?/[^\s\\]*"
    if text and not (fullmatch(parts, text) and all(text.count(gap) == 1 for gap in ("{z}", "{x}", "{y}"))):
        raise ValueError(
            f"must be an address such as https://tiles.example/{{z}}/{{x}}/{{y}}.png, not {text!r}"
        )
    return text


def _web_address(text: str) -> str:
    if text and not fullmatch(r"https?://\S+", text):
        raise ValueError(f"must be an address such as https://map.example/licence, not {text!r}")
    return text


def _wire_log(text: str) -> str:
    if text not in ("all", "without_meter_values", "off"):
        raise ValueError(f"must be all, without_meter_values or off, not {text!r}")
    return text


def _log_format(text: str) -> str:
    if text not in ("text", "json"):
        raise ValueError(f"must be text or json, not {text!r}")
    return text


_READERS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": _whole_number,
    "bool": _yes_or_no,
    "list": _parts,
    "seconds": _seconds,
    "networks": _networks,
    "level": _level,
    "tiles": _tiles,
    "web_address": _web_address,
    "zone": _zone,
    "db_url": _database,
    "redis_url": _redis,
    "redis_prefix": _redis_prefix,
    "wire_log": _wire_log,
    "log_format": _log_format,
}


class Settings:
    """Typed values of all variables: `values.PORT`. Fails at once, and by name, on a value of a wrong type."""

    def __init__(self) -> None:
        configured = bool(os.environ.get("SECRET_KEY")) or (BASE_DIR / ".env").is_file()
        self.DEMO: bool = _read("DEMO", "bool", not configured and DEMO_DIR.is_dir())
        if not self.DEMO:
            environ.Env.read_env(str(BASE_DIR / os.environ.get("ENV_FILE", ".env")))
        for name, instead in _GONE.items():
            if os.environ.get(name):
                raise ImproperlyConfigured(f"{name} is gone: {instead}")
        for variable in VARIABLES:
            if variable.name != "DEMO":
                setattr(self, variable.name, _read(variable.name, variable.kind, variable.default))
        if self.DEMO:
            self._isolate_demo()
        if not self.SECRET_KEY:
            raise ImproperlyConfigured(
                "SECRET_KEY is not set. `make run` writes a .env with a fresh one; `make demo` needs none."
            )

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name} is not in the table of settings (evcharge/env.py)")

    def _isolate_demo(self) -> None:
        """The demo keeps to its own folder, whatever the environment says: its users must not reach real data."""
        DEMO_DIR.mkdir(exist_ok=True)
        key = DEMO_DIR / "secret_key"
        if not key.exists():
            key.write_text(secrets.token_urlsafe(50))
            key.chmod(0o600)
        self.SECRET_KEY = key.read_text()
        self.DATABASE_URL = _database(f"sqlite:///{DEMO_DIR / 'db.sqlite3'}")
        self.REDIS_URL = ""


def _read(name: str, kind: str, default: Any) -> Any:
    text = os.environ.get(name, "")
    if not text:  # not set, or as good as: `PORT=`, as container tools write it
        if not isinstance(default, str):
            return default
        text = default
    try:
        return _READERS[kind](text)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} {error}") from error


def example() -> str:
    """The text of `.env.example`."""
    lines = ["# Every setting, with its default. Copy to .env, or set them in the environment.", ""]
    section = ""
    for variable in VARIABLES:
        if variable.section != section:
            section = variable.section
            lines += [f"# --- {section} ---", ""]
        default = variable.default
        shown = ",".join(map(str, default)) if isinstance(default, list) else default
        lines += [f"# {variable.meaning}", f"#{variable.name}={shown}", ""]
    return "\n".join(lines).rstrip() + "\n"
