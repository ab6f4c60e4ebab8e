"""docs/monitoring: every figure that the dashboard and the rules ask for exists, by name and label."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from tests.server_process import ROOT

FOLDER = ROOT / "docs" / "monitoring"
RULES = FOLDER / "alerts.yaml"
OURS = re.compile(r"\b(?:evcharge|process|python)_[a-z_]+\b")
WORDS_OF_JOBS = {"job", "instance"}  # labels that Prometheus puts on


@pytest.fixture
def shown(client: Client, db: None) -> str:
    return client.get("/metrics").content.decode()


def names_in(text: str) -> set[str]:
    """All that can be asked for, `_bucket` and its like included; also of what has no sample yet."""
    names = set()
    for family in text_string_to_metric_families(text):
        endings = {
            "counter": ["_total"],
            "histogram": ["_bucket", "_count", "_sum"],
            "summary": ["", "_count", "_sum"],
        }.get(family.type, [""])
        names |= {family.name + ending for ending in endings}
    return names


def dashboard() -> Any:
    return json.loads((FOLDER / "dashboard.json").read_text())


def expressions() -> Iterator[tuple[str, str]]:
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            yield f"panel {panel['title']}", target["expr"]
    for rule in rules():
        yield rule["alert"], rule["expr"]


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def test_every_figure_asked_for_exists(shown: str) -> None:
    names = names_in(shown)
    asked = [(where, name) for where, text in expressions() for name in OURS.findall(text)]
    assert len(asked) > 70
    assert [(where, name) for where, name in asked if name not in names] == []


def test_every_figure_of_ours_is_on_the_dashboard(shown: str) -> None:
    drawn = " ".join(text for where, text in expressions() if where.startswith("panel"))
    families = [family.name for family in text_string_to_metric_families(shown)]
    ours = [name for name in families if name.startswith("evcharge_")]
    assert [name for name in ours if name not in drawn] == []


def test_labels_asked_for_are_those_that_are_given(shown: str) -> None:
    from gateway import metrics

    given = {name for family in metrics.registry.collect() for name in _labels(family)}
    for where, text in expressions():
        for inside in re.findall(r"{([^}]*)}", text):
            for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside):
                assert label in given | WORDS_OF_JOBS, (where, label)
        for grouped in re.findall(r"by \(([^)]*)\)", text):
            assert {word.strip() for word in grouped.split(",")} <= given | WORDS_OF_JOBS | {"le"}, where


def _labels(family: Any) -> list[str]:
    return getattr(family, "_labelnames", [])


def test_the_dashboard_asks_whichever_prometheus_is_chosen() -> None:
    board = dashboard()
    variables = [each["name"] for each in board["templating"]["list"]]
    assert variables[0] == "datasource"
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    for panel in board["panels"]:
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
            assert panel["targets"], panel["title"]
        for used in re.findall(r"\$(\w+)", json.dumps(panel).replace("${datasource}", "")):
            assert used in [*variables, "__rate_interval"], panel["title"]


def test_every_rule_says_how_bad_it_is_and_what_to_do() -> None:
    text = (FOLDER / "README.md").read_text()
    found = rules()
    assert len({rule["alert"] for rule in found}) == len(found) > 10
    for rule in found:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        assert rule["alert"] in text, rule["alert"]


# --- by Prometheus' own tool ---


@pytest.fixture
def promtool() -> Callable[..., str]:
    path = shutil.which(
        "promtool", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    )
    if path is None and "CI" in os.environ:
        pytest.fail("promtool is missing; `python3 bootstrap.py test` brings it")
    if path is None:
        pytest.skip("promtool is missing")

    def run(*arguments: str, **options: Any) -> str:
        done = subprocess.run([str(path), *arguments], capture_output=True, text=True, timeout=30, **options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_prometheus_takes_the_rules(promtool: Callable[..., str]) -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", str(RULES))


def test_prometheus_finds_no_fault_with_the_names(promtool: Callable[..., str], shown: str) -> None:
    """Of ours: of the runtime's own it finds some."""
    ours = [line for line in shown.splitlines() if re.match(r"(# \w+ )?evcharge_", line)]
    promtool("check", "metrics", input="\n".join(ours) + "\n")


def test_rules_fire_when_they_should(promtool: Callable[..., str], tmp_path: Path) -> None:
    """Figures over time, and which alerts they raise at the end."""
    cases: dict[str, tuple[dict[str, str], set[str]]] = {
        "all is well": (
            {
                'up{job="evcharge", instance="a"}': "1x60",
                'evcharge_ready{instance="a"}': "1x60",
                'evcharge_draining{instance="a"}': "0x60",
                'evcharge_sweep_last_success_timestamp_seconds{instance="a"}': "0+60x60",
                'evcharge_ws_connections{instance="a", role="chargers"}': "100x60",
                'evcharge_commands_total{command="reset", end="accepted"}': "0+5x60",
            },
            set(),
        ),
        "it leaves in good order": (
            {'evcharge_ready{instance="a"}': "0x60", 'evcharge_draining{instance="a"}': "1x60"},
            set(),
        ),
        "the database is away": (
            {
                'evcharge_ready{instance="a"}': "0x60",
                'evcharge_draining{instance="a"}': "0x60",
                'evcharge_database_up{instance="a"}': "0x60",
                'evcharge_sweep_last_success_timestamp_seconds{instance="a"}': "0x60",
            },
            {"EvchargeNotReady", "EvchargeDatabaseAway", "EvchargeNoSweep"},
        ),
        "chargers are silent, and then gone": (
            {
                'evcharge_commands_total{command="reset", end="accepted"}': "0+1x60",
                'evcharge_commands_total{command="reset", end="timed_out"}': "0+1x60",
                'evcharge_ws_connections{instance="a", role="chargers"}': "100x49 10x11",
            },
            {"EvchargeCommandsFail", "EvchargeChargersGone"},
        ),
        "a reason to refuse that was not there before": (
            {'evcharge_ws_refused_total{role="chargers", reason="wrong_password"}': "0x50 30+30x10"},
            {"EvchargeRefusalsRise"},
        ),
        "too much": (
            {
                'evcharge_queue_fill_ratio{instance="a", queue="bus"}': "0.9x60",
                'evcharge_queue_dropped_total{instance="a", queue="bus"}': "0x55 10x5",
                'evcharge_event_loop_lag_seconds_bucket{instance="a", le="0.5"}': "0x60",
                'evcharge_event_loop_lag_seconds_bucket{instance="a", le="1.0"}': "0+60x60",
                'evcharge_event_loop_lag_seconds_bucket{instance="a", le="+Inf"}': "0+60x60",
            },
            {"EvchargeQueueNearlyFull", "EvchargeDropped", "EvchargeEventLoopBehind"},
        ),
    }
    tests = []
    for name, (series, expected) in cases.items():
        firing = [rule["alert"] for rule in rules() if rule["alert"] in expected]
        tests.append(
            {
                "name": name,
                "interval": "1m",
                "input_series": [{"series": key, "values": values} for key, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                        "eval_time": "59m",
                        "exp_samples": [
                            {"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in sorted(firing)
                        ],
                    }
                ],
            }
        )
    file = tmp_path / "tests.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    promtool("test", "rules", str(file))
