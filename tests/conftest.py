"""Fixtures. Two kinds of test: those of the domain roll back (`db`); flows talk to server processes and commit."""

import os
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from django.db import connection
from django.test.utils import setup_databases
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from psycopg import Error as DatabaseError

from tests.server_process import ServerProcess

# Tests build their rows where they are, in async functions too; the code under test does not.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

# Property tests: a slow machine is no failure, and nothing is remembered between runs.
hypothesis_settings.register_profile(
    "evcharge", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("evcharge")


# What the kind of database and bus is nothing to: seen to work on one stack, it is not run on the other.
ONCE = re.compile(
    r"deploy/test_(image|proxies|kubernetes|compose|systemd)|test_(env|coverage|readme|monitoring|benchmarks)\.py"
    r"|gateway/test_(openapi|asyncapi|frames|handshakes|logs|languages|limits|proxies|tls|redis_urls|checks|inbox)\.py"
    r"|gateway/test_(console|drive|counters)\.py|gateway/ocpp/test_(simul|rpc|plain|sampled|schema|times|v16_commands)"
    r"|flows/test_(app_messages|security_profiles|certificates|quirks|commands_out|command_api|admin_commands)\.py"
    r"|flows/test_(triggers|data_transfer|smart_charging|local_lists|languages|map|wire_log)\.py|flows/conformance/"
    r"|(chargers|sessions)/test_(\w*_?admin|quirks|clock|cells|totals|schedules|readings|pricing)\.py"
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if ONCE.search(item.path.as_posix()):
            item.add_marker("embedded_only")
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_runtest_setup() -> None:
    """The test before may have restarted PostgreSQL: what is left of our connection to it is given up."""
    kept = connection.connection
    if connection.vendor != "postgresql" or kept is None or connection.in_atomic_block:
        return
    try:
        kept.execute("SELECT 1")
    except DatabaseError:
        connection.close()


def stack() -> str:
    return os.environ.get("STACK", "embedded")


class Site(NamedTuple):
    """Where phones and chargers dial: one process, or, with PostgreSQL and Redis, one for each."""

    apps: ServerProcess
    chargers: ServerProcess

    @property
    def app_url(self) -> str:
        return self.apps.ws

    @property
    def charger_url(self) -> str:
        return self.chargers.ws

    @property
    def http(self) -> str:
        return self.apps.http


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment: None, django_db_blocker: Any) -> None:
    """The test database, also for a run of flows alone: pytest-django's own makes one for marked tests only.

    It is thrown away with the stack it stands in (tests.servers).
    """
    with django_db_blocker.unblock():
        setup_databases(verbosity=0, interactive=False)


@pytest.fixture(scope="session")
def committed(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The test database for rows that other processes see. They stay, so every test makes its own."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="session")
def site(committed: None) -> Iterator[Site]:
    """The servers most flows share."""
    chargers = ServerProcess()
    apps = ServerProcess() if stack() == "real" else chargers
    yield Site(apps, chargers)
    for server in {apps, chargers}:
        server.stop()


@pytest.fixture
def start_server(committed: None) -> Iterator[Callable[..., ServerProcess]]:
    """Start a server of one's own, with settings of one's own: `start_server(MAX_APP_SOCKETS=1)`."""
    started: list[ServerProcess] = []

    def start(*command: str, **environment: Any) -> ServerProcess:
        server = ServerProcess(*command, **environment)
        started.append(server)
        return server

    yield start
    for server in started:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """(group or channel, message) of everything sent on the bus by committed work, events decoded."""
    import json

    from chargers import bus

    sent: list[tuple[str, dict[str, Any]]] = []

    def post(waiting: list[bus.Envelope | bus.Draft]) -> None:
        for each in waiting:
            _, address, message = (
                bus.to_group(each.group, each.make()) if isinstance(each, bus.Draft) else each
            )
            sent.append((address, json.loads(message["body"]) if "body" in message else message))

    monkeypatch.setattr(bus, "post", post)
    return sent
