"""System checks: settings that do not go together."""

import os
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from chargers.models import SecurityProfile
from gateway import tracing


@register()
def several_processes_need_redis(**_: Any) -> list[CheckMessage]:
    if settings.PROCESSES > 1 and not settings.REDIS_URL:
        return [
            Error(
                f"PROCESSES={settings.PROCESSES} without REDIS_URL: processes could not reach each other's sockets.",
                hint="Set REDIS_URL, or run one process.",
                id="evcharge.E001",
            )
        ]
    return []


@register()
def several_processes_need_a_database_server(**_: Any) -> list[CheckMessage]:
    if settings.PROCESSES > 1 and settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        return [
            Error(
                f"PROCESSES={settings.PROCESSES} with SQLite: the processes would queue for its one write lock.",
                hint="Set DATABASE_URL to a PostgreSQL database, or run one process.",
                id="evcharge.E002",
            )
        ]
    return []


@register()
def unknown_chargers_has_two_values(**_: Any) -> list[CheckMessage]:
    if settings.UNKNOWN_CHARGERS not in ("reject", "inbox"):
        return [
            Error(
                f"UNKNOWN_CHARGERS={settings.UNKNOWN_CHARGERS!r} is neither `reject` nor `inbox`.",
                id="evcharge.E003",
            )
        ]
    return []


@register()
def time_outs_are_positive(**_: Any) -> list[CheckMessage]:
    names = [
        "COMMAND_TIMEOUT_S",
        "START_TIMEOUT_S",
        "HEARTBEAT_INTERVAL_S",
        "WS_PING_INTERVAL_S",
        "WS_PING_TIMEOUT_S",
        "PRESENCE_INTERVAL_S",
        "SWEEP_INTERVAL_S",
        "MAX_APP_SOCKETS",
        "MAX_CHARGER_SOCKETS",
        "DRAIN_S",
        "MAX_ACTIVE_SESSIONS_PER_USER",
        "STUCK_AFTER_S",
        "MAX_RESERVATION_MINUTES",
        "MAX_RESERVATIONS_PER_USER",
        "WATCH_HOURS",
        "MAX_WATCHES_PER_USER",
        "DB_THREADS",
        "MAX_SOCKETS_PER_USER",
        "MAX_SOCKETS_PER_ADDRESS",
        "LOGIN_FAILURES",
        "LOGIN_FAILURES_PER_ADDRESS",
    ]
    return [
        Error(f"{name} must be above 0, it is {getattr(settings, name)}.", id="evcharge.E004")
        for name in names
        if getattr(settings, name) <= 0
    ]


@register()
def counts_of_chargers_make_sense(**_: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if settings.MIN_SECURITY_PROFILE not in SecurityProfile.values:
        sentence = f"MIN_SECURITY_PROFILE must be 0, 1, 2 or 3, it is {settings.MIN_SECURITY_PROFILE}."
        found.append(Error(sentence, id="evcharge.E006"))
    names = ["MAX_REFUSALS", "CERTIFICATE_DAYS", "CERTIFICATE_RENEWAL_DAYS"]
    found += [
        Error(f"{name} must be above 0, it is {getattr(settings, name)}.", id="evcharge.E004")
        for name in names
        if getattr(settings, name) <= 0
    ]
    return found


@register()
def tls_has_its_files(**_: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if len(settings.TLS_CERTIFICATE) != len(settings.TLS_KEY):
        sentence = "TLS_CERTIFICATE and TLS_KEY must name as many files each, in the same order."
        found.append(Error(sentence, id="evcharge.E007"))
    if bool(settings.CA_CERTIFICATE) != bool(settings.CA_KEY):
        found.append(Error("CA_CERTIFICATE and CA_KEY belong together: set both.", id="evcharge.E008"))
    missing = [
        file
        for file in (*settings.TLS_CERTIFICATE, *settings.TLS_KEY, *settings.TLS_CLIENT_CA)
        if not os.access(file, os.R_OK)
    ]
    return found + [Error(f"{file} cannot be read.", id="evcharge.E009") for file in missing]


@register()
def certificates_come_from_proxies_that_are_named(**_: Any) -> list[CheckMessage]:
    if settings.CLIENT_CERTIFICATE_HEADER and not settings.TRUSTED_PROXIES:
        return [
            Error(
                "CLIENT_CERTIFICATE_HEADER without TRUSTED_PROXIES: nobody's header would count.",
                hint="Name the proxy's address in TRUSTED_PROXIES.",
                id="evcharge.E010",
            )
        ]
    return []


@register()
def an_outside_authority_is_asked_over_http(**_: Any) -> list[CheckMessage]:
    if settings.CA_URL and settings.CA_URL.partition("://")[0] not in ("http", "https"):
        return [Error("CA_URL must begin with https:// or http://.", id="evcharge.E011")]
    return []


@register()
def tls_can_be_had_where_it_is_demanded(**_: Any) -> list[CheckMessage]:
    has_tls = settings.TLS_CERTIFICATE or settings.TRUSTED_PROXIES
    if settings.MIN_SECURITY_PROFILE >= SecurityProfile.TLS and not has_tls:
        return [
            Error(
                f"MIN_SECURITY_PROFILE={settings.MIN_SECURITY_PROFILE} without TLS: no charger could connect.",
                hint="Set TLS_CERTIFICATE and TLS_KEY, or TRUSTED_PROXIES.",
                id="evcharge.E012",
            )
        ]
    return []


@register(deploy=True)
def chargers_come_over_tls(**_: Any) -> list[CheckMessage]:
    if settings.MIN_SECURITY_PROFILE < SecurityProfile.TLS:
        return [
            Warning(
                f"MIN_SECURITY_PROFILE is {settings.MIN_SECURITY_PROFILE}: chargers may connect without TLS.",
                hint="Set it to 2, or keep the chargers inside a network of their own.",
                id="evcharge.W001",
            )
        ]
    return []


@register(deploy=True)
def the_authoritys_key_is_for_us_alone(**_: Any) -> list[CheckMessage]:
    if settings.CA_KEY and os.path.exists(settings.CA_KEY) and os.stat(settings.CA_KEY).st_mode & 0o077:
        return [Warning(f"{settings.CA_KEY} can be read by others.", hint="chmod 600", id="evcharge.W002")]
    return []


@register(deploy=True)
def demo_is_not_for_production(**_: Any) -> list[CheckMessage]:
    if settings.DEMO:
        return [Error("DEMO is on: its users' passwords are known to everybody.", id="evcharge.E005")]
    return []


@register()
def traces_need_their_packages(**_: Any) -> list[CheckMessage]:
    if settings.TRACING and not tracing.is_installed():
        return [
            Error(
                "OTEL_EXPORTER_OTLP_ENDPOINT is set, but the packages of OpenTelemetry are not installed.",
                hint="Install requirements-tracing.lock, or leave it empty.",
                id="evcharge.E013",
            )
        ]
    return []
