"""The manifests: valid by Kubernetes' own schemas, and fitting each other and the server."""

import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from evcharge.env import VARIABLES
from tests.deploy.proxies import FILES, program

FOLDER = FILES / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
OBJECTS = [
    each for name in KUSTOMIZATION["resources"] for each in yaml.safe_load_all((FOLDER / name).read_text())
]
DEFAULTS = {variable.name: variable.default for variable in VARIABLES}


def only(kind: str) -> Any:
    (found,) = [each for each in OBJECTS if each["kind"] == kind]
    return found


def pod(kind: str) -> dict[str, Any]:
    return only(kind)["spec"]["template"]["spec"]


@pytest.mark.parametrize("version", ["1.31", "1.37"])
@pytest.mark.parametrize("each", OBJECTS, ids=lambda each: each["kind"])
def test_it_is_valid(each: Any, version: str) -> None:
    kubernetes_validate.validate(each, version, strict=True)


def test_every_file_is_in_the_kustomization() -> None:
    assert {path.name for path in FOLDER.glob("*.yaml")} == {
        "kustomization.yaml",
        *KUSTOMIZATION["resources"],
    }


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_pods_may_do_next_to_nothing(kind: str) -> None:
    spec = pod(kind)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"secretRef": {"name": "evcharge"}} in container["envFrom"]


def test_probes_ask_what_they_mean() -> None:
    (container,) = pod("Deployment")["containers"]
    paths = {
        name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")
    }
    assert paths == {"startup": "/health/live", "readiness": "/health", "liveness": "/health/live"}


def test_a_pod_has_time_to_drain() -> None:
    spec = pod("Deployment")
    before_s = int(spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    needed_s = before_s + DEFAULTS["DRAIN_NOTICE_S"] + DEFAULTS["DRAIN_S"]
    assert spec["terminationGracePeriodSeconds"] >= needed_s + 30


def test_its_settings_exist() -> None:
    (container,) = pod("Deployment")["containers"]
    named = {*only("ConfigMap")["data"], *(each["name"] for each in container["env"])}
    assert named - DEFAULTS.keys() == {"DOMAIN", "POD_IP"}  # parts of ALLOWED_HOSTS
    assert only("ConfigMap")["data"]["PROCESSES"] == str(only("Deployment")["spec"]["replicas"])


def test_all_select_the_same_pods() -> None:
    labels = only("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert only("Deployment")["spec"]["selector"]["matchLabels"] == labels
    assert only("Service")["spec"]["selector"] == labels
    assert only("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert only("NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels


def test_haproxy_understands_the_headers_of_the_ingress(tmp_path: Path) -> None:
    """Its controller makes a `set-header` of each line."""
    lines = only("Ingress")["metadata"]["annotations"]["haproxy.org/request-set-header"].splitlines()
    rules = "".join(f"  http-request set-header {line}\n" for line in lines)
    file = tmp_path / "haproxy.cfg"
    file.write_text(
        "defaults\n  mode http\n  timeout client 1s\n  timeout server 1s\n  timeout connect 1s\n"
        f"frontend f\n  bind 127.0.0.1:8099\n{rules}  default_backend b\nbackend b\n  server s 127.0.0.1:8098\n"
    )
    checked = subprocess.run([program("haproxy"), "-c", "-f", file], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
