"""What the published documents say, in the words that both languages' emitters use."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

Schema = dict[str, Any]


class Field(NamedTuple):
    name: str
    schema: Schema
    is_required: bool

    @property
    def note(self) -> str:
        return self.schema.get("description", "")


class Action(NamedTuple):
    """`request` and `answer` are names of schemas."""

    name: str
    request: str
    answer: str
    note: str


class Push(NamedTuple):
    """`event` is set where the schema has several and this message is one of them."""

    name: str
    schema: str
    event: str | None


def fields_of(schema: Schema) -> list[Field]:
    required = schema.get("required", ())
    return [Field(name, each, name in required) for name, each in schema.get("properties", {}).items()]


def name_in(reference: Schema) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def is_record(schema: Schema) -> bool:
    return "properties" in schema or (schema.get("type") == "object" and "additionalProperties" not in schema)


class Protocol:
    """The app socket, of the AsyncAPI document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.schemas: dict[str, Schema] = document["components"]["schemas"]
        self._messages = document["components"]["messages"]
        self._operations = document["operations"]

    @property
    def actions(self) -> list[Action]:
        return [self._action(name) for name, operation in self._operations.items() if "reply" in operation]

    def _action(self, name: str) -> Action:
        parts = [
            self._messages[f"{name}.{part}"]["payload"]["properties"]["data"]
            for part in ("request", "response")
        ]
        return Action(name, name_in(parts[0]), name_in(parts[1]), self._operations[name]["summary"])

    @property
    def pushes(self) -> list[Push]:
        return [self._push(name_in(each)) for each in self._operations["push"]["messages"]]

    def _push(self, name: str) -> Push:
        payload = self._messages[name]["payload"]
        if "allOf" not in payload:
            return Push(name, name_in(payload), None)
        reference, narrowed = payload["allOf"]
        return Push(name, name_in(reference), narrowed["properties"]["event"]["const"])

    @property
    def with_client_ref(self) -> list[str]:
        """Actions whose repetition the server knows by a key of the client's."""
        return [
            each.name
            for each in self.actions
            if "client_ref" in self.schemas[each.request].get("properties", {})
        ]

    @property
    def error_codes(self) -> list[str]:
        codes: list[str] = self.schemas["Failure"]["properties"]["code"]["enum"]
        return codes


class Rest:
    """What the REST API answers to drivers, of the OpenAPI document: operators' half is left out."""

    def __init__(self, document: dict[str, Any]) -> None:
        every = document["components"]["schemas"]
        found: set[str] = set()
        for path in document["paths"].values():
            for operation in path.values():
                if isinstance(operation, dict) and not {"operators", "charging"} & set(
                    operation.get("tags", ())
                ):
                    _gather(operation.get("responses", {}), every, found)
        self.schemas: dict[str, Schema] = {name: every[name] for name in sorted(found)}


def _gather(part: Any, every: dict[str, Schema], found: set[str]) -> None:
    for name in _references(part):
        if name not in found:
            found.add(name)
            _gather(every[name], every, found)


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield name_in(part)
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from _references(each)


def camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)
