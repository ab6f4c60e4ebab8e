"""The published documents as Python."""

import json
import keyword
import re
import textwrap
from collections.abc import Iterable

from generator.model import Action, Protocol, Rest, Schema, fields_of, is_record, name_in

HEADER = '''"""Written by docs/clients/generate.py from docs/{source}; not by hand."""

from __future__ import annotations

{imports}
'''


def protocol_module(protocol: Protocol) -> str:
    messages = dict.fromkeys(each.schema for each in protocol.pushes)
    imports = "from collections.abc import Callable\nfrom typing import Any, Literal, NotRequired, TypedDict, overload"
    return "\n".join(
        [
            HEADER.format(source="asyncapi.json", imports=imports),
            *_declarations(protocol.schemas),
            f"Event = {' | '.join(messages)}",
            "",
            f"EventName = Literal[{', '.join(json.dumps(name) for name in _kinds(protocol))}]",
            "",
            f"ERROR_CODES = frozenset({json.dumps(protocol.error_codes)})",
            "",
            "# Actions that are known by a key of the client's when they are repeated.",
            f"WITH_CLIENT_REF: frozenset[str] = frozenset({json.dumps(protocol.with_client_ref)})",
            "",
            "class Actions:",
            '    """A method for each action; what is None is left out."""',
            "",
            "    async def act(",
            "        self, action: str, data: dict[str, Any] | None = None, *, timeout_s: float | None = None",
            "    ) -> Any:",
            "        raise NotImplementedError",
            *(_method(each, protocol.schemas[each.request]) for each in protocol.actions),
            "",
            *_listening(_kinds(protocol) | {"event": ["Event"], "subscribed": ["Subscribed"]}),
        ]
    )


def rest_module(rest: Rest) -> str:
    body = "\n".join(_declarations(rest.schemas))
    names = ", ".join(
        name for name in ("Any", "Literal", "NotRequired", "TypedDict") if re.search(rf"\b{name}\b", body)
    )
    return HEADER.format(source="openapi.yaml", imports=f"from typing import {names}") + "\n" + body


def _kinds(protocol: Protocol) -> dict[str, list[str]]:
    """The schemas of messages by their names: their types, and `type.event` where a type has events."""
    found: dict[str, list[str]] = {}
    for each in protocol.pushes:
        for name in dict.fromkeys((each.name.partition(".")[0], each.name)):
            found.setdefault(name, []).append(each.schema)
    return found


def _listening(kinds: dict[str, list[str]]) -> Iterable[str]:
    """`on` and `once`, whose messages are typed by their names."""
    yield "class Listening:"
    yield '    """`on` and `once`, by name: a type, `type.event`, or `event` for every message. `subscribed` is the'
    yield '    client\'s own: how what is subscribed is, after a reconnect."""'
    yield "    def _on(self, name: str, listener: Callable[[Any], object]) -> Callable[[], None]:"
    yield "        raise NotImplementedError"
    yield "    async def _once(self, name: str, where: Callable[[Any], bool], timeout_s: float | None) -> Any:"
    yield "        raise NotImplementedError"
    for name, schemas in kinds.items():
        yield "    @overload"
        listener = f"Callable[[{_union(schemas)}], object]"
        yield f"    def on(self, name: {_named(name)}, listener: {listener}) -> Callable[[], None]: ..."
    yield "    def on(self, name: str, listener: Callable[[Any], object]) -> Callable[[], None]:"
    yield '        """Calls the listener with each such message, in order; returns what ends it."""'
    yield "        return self._on(name, listener)"
    for name, schemas in kinds.items():
        kind = _union(schemas)
        options = f"where: Callable[[{kind}], bool] = ..., timeout_s: float | None = ..."
        yield "    @overload"
        yield f"    async def once(self, name: {_named(name)}, *, {options}) -> {kind}: ..."
    options = "where: Callable[[Any], bool] = lambda message: True, timeout_s: float | None = None"
    yield f"    async def once(self, name: str, *, {options}) -> Any:"
    yield '        """The next such message."""'
    yield "        return await self._once(name, where, timeout_s)"
    yield ""


def _named(name: str) -> str:
    return f"Literal[{json.dumps(name)}]"


def _declarations(schemas: dict[str, Schema]) -> Iterable[str]:
    """Records first: what else there is may be made of them, and is no string that waits."""
    for name, schema in schemas.items():
        if is_record(schema):
            yield _record(name, schema)
    for name, schema in schemas.items():
        if not is_record(schema):
            yield f"{name} = {_type(schema)}\n"


def _record(name: str, schema: Schema) -> str:
    lines = [f"class {name}(TypedDict):"]
    if note := schema.get("description", "").strip():
        lines.append(f"    {_quoted(note)}")
    for field in fields_of(schema):
        assert field.name.isidentifier() and not keyword.iskeyword(field.name), f"{name}.{field.name}"
        kind = _type(field.schema)
        text = kind if field.is_required else f"NotRequired[{kind}]"
        lines.append(f"    {field.name}: {text}")
    return "\n".join(lines if len(lines) > 1 else [*lines, "    pass"]) + "\n"


def _quoted(note: str) -> str:
    lines = (part for line in note.splitlines() for part in textwrap.wrap(line, 100) or [""])
    body = "\n".join(lines).replace("\\", "\\\\").replace('"""', "'''").replace("\n", "\n    ")
    return f'"""{body}"""' if "\n" not in body else f'"""{body}\n    """'


def _type(schema: Schema) -> str:
    kind = _bare_type(schema)
    return f"{kind} | None" if schema.get("nullable") else kind


def _bare_type(schema: Schema) -> str:
    if "$ref" in schema:
        return name_in(schema)
    if "const" in schema:
        return f"Literal[{schema['const']!r}]"
    if "enum" in schema:
        return f"Literal[{', '.join(repr(each) for each in schema['enum'])}]"
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return _union(_type(each) for each in schema[several])
    if "allOf" in schema:  # of one, as drf-spectacular writes a reference with a description
        (only,) = schema["allOf"]
        return _type(only)
    kind = schema.get("type")
    if isinstance(kind, list):
        return _union(_type({**schema, "type": each}) for each in kind)
    if kind == "array":
        return f"list[{_type(schema['items'])}]"
    if kind == "object":
        values = schema.get("additionalProperties", True)
        return f"dict[str, {_type(values) if isinstance(values, dict) else 'Any'}]"
    return _SIMPLE.get(str(kind), "Any")


_SIMPLE = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def _union(kinds: Iterable[str]) -> str:
    return " | ".join(dict.fromkeys(kinds))


def _method(action: Action, request: Schema) -> str:
    """Required fields by position, the others by name."""
    fields = fields_of(request)
    required = [f"{each.name}: {_type(each.schema)}" for each in fields if each.is_required]
    optional = [
        f"{each.name}: {_union([*_type(each.schema).split(' | '), 'None'])} = None"
        for each in fields
        if not each.is_required
    ]
    parameters = ", ".join(["self", *required, "*", *optional, "timeout_s: float | None = None"])
    data = ", ".join(f'"{each.name}": {each.name}' for each in fields)
    return (
        f"\n    async def {action.name}({parameters}) -> {action.answer}:\n"
        f"        {_quoted(action.note)}\n"
        f"        data: dict[str, Any] = {{{data}}}\n"
        "        given = {name: value for name, value in data.items() if value is not None}\n"
        f"        answer: {action.answer} = await self.act({action.name!r}, given, timeout_s=timeout_s)\n"
        "        return answer\n"
    )
