"""The official JSON schemas of OCPP, compiled once, from the files the `ocpp` package ships."""

import json
from functools import cache
from importlib.resources import files

import jsonschema_rs

_FOLDERS = {"ocpp1.6": "v16"}


@cache
def messages(version: str) -> frozenset[str]:
    """Every message of the version: `Heartbeat`, `HeartbeatResponse` …"""
    folder = files("ocpp") / _FOLDERS[version] / "schemas"
    return frozenset(
        file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json")
    )


def validator(version: str, name: str) -> jsonschema_rs.Draft4Validator | None:
    """The validator of a message, None where the version has no such message."""
    return _compiled(version, name) if name in messages(version) else None


@cache
def _compiled(version: str, name: str) -> jsonschema_rs.Draft4Validator:
    file = files("ocpp") / _FOLDERS[version] / "schemas" / f"{name}.json"
    return jsonschema_rs.Draft4Validator(json.loads(file.read_text(encoding="utf-8-sig")))
