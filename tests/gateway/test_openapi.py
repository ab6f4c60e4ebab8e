"""The published documents: valid, up to date, and the pages that show them."""

import json
import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.core.management import call_command
from django.test import Client

from gateway.errors import HTTP_STATUS
from gateway.management.commands.export_api_docs import openapi_yaml, published

ROOT = Path(settings.BASE_DIR)

DOCUMENTED = {
    "/api/token/",
    "/api/token/refresh/",
    "/api/token/verify/",
    "/api/auth/logout/",
    "/api/auth/validate-token",
    "/api/charging/start",
    "/api/charging/stop",
    "/api/charging/session/active",
    "/api/charging/charger/{charger_id}/status",
    "/api/charging/chargers",
    "/api/charging/remote_start",
    "/api/charging/remote_stop",
    "/api/websocket/message",
    "/api/stations/",
    "/api/stations/{id}/",
    "/api/chargers/",
    "/api/chargers/{charger_id}/",
    "/api/chargers/{charger_id}/status",
    *(
        f"/api/chargers/{{charger_id}}/{name}/"
        for name in (
            "commands",
            "transactions",
            "transactions/{transaction_id}/close",
            "reservations",
            "charging-profiles",
            "local-list",
            "certificates",
            "firmware-updates",
            "log-uploads",
            "security-events",
            "configuration",
            "breaches",
            "ocpp-messages",
        )
    ),
    "/api/sessions/",
    "/api/sessions/{id}/",
    "/api/sessions/{id}/meter-values/",
    "/api/sessions/{id}/chart/",
    "/api/sessions/{id}/receipt/",
    "/api/sessions/{id}/receipt.pdf",
    "/api/account/",
    "/api/account/export/",
    "/api/commands/",
    "/api/commands/{id}/",
    "/stats",
}


@pytest.fixture(scope="module")
def document() -> Any:
    return yaml.safe_load(openapi_yaml())


def test_drf_spectacular_has_nothing_to_complain_about() -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", file=os.devnull)


def test_every_path_is_documented_once(document: Any) -> None:
    assert set(document["paths"]) == DOCUMENTED


def test_every_operation_tells_its_failures_in_the_one_shape(document: Any) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            responses = operation["responses"]
            assert {"401", "500", "503"} <= responses.keys(), (path, method)
            for status, response in responses.items():
                if int(status) >= 400:
                    schema = response["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/Failure"}, (path, method, status)


def test_answers_of_the_twins_are_enveloped(document: Any) -> None:
    schemas = document["components"]["schemas"]
    answer = schemas["StartedAnswer"]
    assert answer["required"] == ["success", "data"]
    assert answer["properties"]["data"] == {"$ref": "#/components/schemas/Started"}
    assert "success" not in schemas["Started"]["properties"]
    assert schemas["Stopped"]["properties"]["cost"] == {"type": "number", "nullable": True}
    assert schemas["SessionState"]["properties"]["start_time"] == {
        "type": "string",
        "format": "date-time",
        "nullable": True,
    }


def test_no_helper_of_ours_is_left_in_the_document() -> None:
    text = openapi_yaml()
    assert "x-spec-enum-id" not in text
    assert "const:" not in text


# --- export ---


def test_committed_documents_are_up_to_date() -> None:
    call_command("export_api_docs", "--check", stdout=StringIO())


def test_documents_are_the_same_whatever_the_settings_are() -> None:
    """Another process, other settings, another hash seed."""
    environment = {
        **os.environ,
        "PORT": "9999",
        "TIME_ZONE": "Europe/Amsterdam",
        "COMMAND_TIMEOUT_S": "7",
        "PYTHONHASHSEED": "7",
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "export_api_docs", "--check"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_export_writes_what_is_stale_and_check_names_it(tmp_path: Path, settings: Any) -> None:
    settings.BASE_DIR = tmp_path
    call_command("export_api_docs", stdout=StringIO())
    assert {name: (tmp_path / name).read_text(encoding="utf-8") for name in published()} == published()
    (tmp_path / "docs" / "asyncapi.json").write_text("{}")
    complaint = StringIO()
    with pytest.raises(SystemExit) as stopped:
        call_command("export_api_docs", "--check", stderr=complaint)
    assert stopped.value.code == 1
    assert "docs/asyncapi.json" in complaint.getvalue()
    assert "openapi" not in complaint.getvalue()
    assert (tmp_path / "docs" / "asyncapi.json").read_text() == "{}"


def test_env_example_has_every_setting() -> None:
    from evcharge.env import VARIABLES

    text = (ROOT / ".env.example").read_text()
    for variable in VARIABLES:
        assert f"#{variable.name}=" in text


# --- served ---


def test_schema_is_served_as_yaml_and_as_json(client: Client) -> None:
    served = client.get("/api/schema/")
    assert served.status_code == 200
    assert yaml.safe_load(served.content) == yaml.safe_load(openapi_yaml())
    as_json = client.get("/api/schema/?format=json")
    assert json.loads(as_json.content) == yaml.safe_load(openapi_yaml())


def test_swagger_page_loads_nothing_from_elsewhere(client: Client) -> None:
    page = client.get("/api/docs/")
    assert page.status_code == 200
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.content.decode())
    assert addresses
    assert all(address.startswith("/") and not address.startswith("//") for address in addresses)
    assert "default-src 'none'" in page["Content-Security-Policy"]
    assert "unsafe-inline" not in page["Content-Security-Policy"].split("style-src")[0]
    script = client.get("/api/docs/?script=")
    assert '"validatorUrl": null' in script.content.decode()


def test_docs_page_has_no_script_and_everything_an_app_needs(client: Client) -> None:
    page = client.get("/docs/")
    assert page.status_code == 200
    assert page["Content-Security-Policy"] == (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"
    )
    text = page.content.decode()
    assert "<script" not in text
    assert "style=" not in text
    for code, status in HTTP_STATUS.items():
        assert f"<code>{code}</code></td><td>{status}</td>" in text
    for word in ("start_charging", "session_update: meter_value", "Server at capacity", "/api/docs/"):
        assert word in text
    for target in re.findall(r'href="#([^"]+)"', text):
        assert f'id="{target}"' in text, target
