"""From phones and chargers to cores and memory."""

import io
import json
from dataclasses import replace

import pytest
from django.core.management import CommandError, call_command

from gateway.capacity import Costs, Load, needs
from tests.server_process import ROOT

FREE = Costs(**{name: 0.0 for name in Costs.__dataclass_fields__})


def reckoned(*arguments: str) -> str:
    out = io.StringIO()
    call_command("capacity", *arguments, stdout=out)
    return out.getvalue()


def test_the_document_shows_what_the_command_says() -> None:
    said = [line.rstrip() for line in reckoned("--phones", "100000", "--chargers", "10000").splitlines()]
    shown = [line.rstrip() for line in (ROOT / "docs" / "capacity.md").read_text().splitlines()]
    for line in filter(None, said):
        assert line in shown


def test_what_costs_nothing_needs_the_least() -> None:
    servers, database, redis = needs(Load(phones=0, chargers=0), FREE)
    assert (servers.cores, database.cores, redis.cores) == (2, 1, 1)


def test_each_cost_is_in_its_place() -> None:
    load = Load(
        phones=3600, chargers=1000, charging=0.5, meter_interval_s=5, actions_per_hour=2, reconnect_s=10
    )
    servers, _, _ = needs(load, replace(FREE, meter_values_us=100_000))
    assert (servers.busy_cores, servers.cores) == (10, 20)
    servers, _, _ = needs(load, replace(FREE, action_us=500_000))
    assert servers.busy_cores == 1
    servers, _, _ = needs(load, replace(FREE, phone_connect_us=25_000))
    assert (servers.busy_cores, servers.cores) == (0, 9)
    servers, database, redis = needs(load, replace(FREE, phone_kib=1024, redis_kib_per_phone=1024))
    assert servers.memory_gib == redis.memory_gib == 3600 / 1024
    _, database, _ = needs(load, replace(FREE, postgresql_us_per_meter_values=30_000))
    assert (database.busy_cores, database.cores) == (3, 6)


def test_programs_get_json_and_nonsense_is_refused() -> None:
    told = json.loads(reckoned("--phones", "10", "--chargers", "2", "--json"))
    assert told["load"]["phones"] == 10
    assert [row["name"] for row in told["needs"]] == ["server processes", "PostgreSQL", "Redis"]
    for wrong in ("-1", "many", "nan"):
        with pytest.raises(CommandError):
            reckoned("--phones", wrong, "--chargers", "1")
    with pytest.raises(CommandError):
        reckoned("--phones", "1", "--chargers", "1", "--meter-interval-s", "0")
