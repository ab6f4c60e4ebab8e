"""compose.yaml: valid by the Compose specification's schema, and safe by our own rules."""

import json
import re
from typing import Any

import jsonschema_rs
import pytest
import yaml

from evcharge.env import VARIABLES
from tests.deploy.proxies import FILES
from tests.server_process import ROOT

MAIN, CERTIFICATES = ROOT / "compose.yaml", FILES / "compose.certificates.yaml"
# dclint carries the specification's schema.
SCHEMA = ROOT / "node_modules" / "dclint" / "schemas" / "compose.schema.json"


def loaded(path: Any) -> dict[str, Any]:
    return yaml.safe_load(path.read_text())


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return loaded(MAIN)["services"]


@pytest.mark.parametrize("path", [MAIN, CERTIFICATES], ids=lambda path: path.name)
def test_it_is_valid(path: Any) -> None:
    validator = jsonschema_rs.validator_for(json.loads(SCHEMA.read_text()))
    assert [error.message for error in validator.iter_errors(loaded(path))] == []
    assert not validator.is_valid({"services": {"app": {"imagee": "x"}}})


def test_the_certificates_change_services_that_are_there(services: dict[str, Any]) -> None:
    assert loaded(CERTIFICATES)["services"].keys() <= services.keys()


def test_every_secret_must_be_given() -> None:
    text = MAIN.read_text()
    for name in ("SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "DOMAIN", "TLS_FILE"):
        assert f"${{{name}:?" in text
    assert re.findall(r"\$\{\w*(?:SECRET|PASSWORD|KEY)\w*:-", text) == []


def test_its_settings_exist(services: dict[str, Any]) -> None:
    known = {variable.name for variable in VARIABLES}
    assert services["app1"]["environment"].keys() <= known
    assert loaded(CERTIFICATES)["services"]["app1"]["environment"].keys() <= known


def test_two_equal_processes_with_time_to_drain(services: dict[str, Any]) -> None:
    assert services["app1"] == services["app2"]
    assert services["app1"]["environment"]["PROCESSES"] == 2
    defaults = {variable.name: variable.default for variable in VARIABLES}
    grace_s = int(services["app1"]["stop_grace_period"].removesuffix("s"))
    assert grace_s >= defaults["DRAIN_NOTICE_S"] + defaults["DRAIN_S"] + 30


def test_the_database_is_migrated_before_anything_serves(services: dict[str, Any]) -> None:
    assert services["app1"]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert services["migrate"]["depends_on"]["db"] == {"condition": "service_healthy"}
    assert services["proxy"]["depends_on"].keys() == {"app1", "app2"}


def test_only_the_proxy_is_reached_and_believed(services: dict[str, Any]) -> None:
    assert {name for name, service in services.items() if "ports" in service} == {"proxy"}
    address = services["proxy"]["networks"]["front"]["ipv4_address"]
    assert services["app1"]["environment"]["TRUSTED_PROXIES"] == address
    networks = loaded(MAIN)["networks"]
    assert networks["data"]["internal"] is True
    assert services["db"]["networks"] == services["bus"]["networks"] == ["data"]


def test_the_proxy_runs_our_file(services: dict[str, Any]) -> None:
    mounted = services["proxy"]["volumes"][0].split(":")[0]
    assert (ROOT / mounted).samefile(FILES / "haproxy.cfg")
    text = (FILES / "haproxy.cfg").read_text()
    for name in (
        services["proxy"]["environment"].keys()
        | loaded(CERTIFICATES)["services"]["proxy"]["environment"].keys()
    ):
        assert f"${{{name}" in text or f'"${name}"' in text
