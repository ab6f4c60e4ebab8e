"""The published documents as TypeScript."""

import json
from collections.abc import Iterable

from generator.model import Action, Protocol, Push, Rest, Schema, camel, fields_of, is_record, name_in

HEADER = "// Written by docs/clients/generate.py from docs/{source}; not by hand.\n"


def protocol_module(protocol: Protocol) -> str:
    actions = protocol.actions
    return "\n".join(
        [
            HEADER.format(source="asyncapi.json"),
            *_declarations(protocol.schemas),
            "/** What an action takes and what it is answered. */",
            "export interface ActionTypes {",
            *(f"  {each.name}: {{ request: {each.request}; answer: {each.answer} }};" for each in actions),
            "}",
            "export type Action = keyof ActionTypes;",
            'export type Request<A extends Action> = ActionTypes[A]["request"];',
            'export type Answer<A extends Action> = ActionTypes[A]["answer"];',
            "",
            "/** What the server tells unasked, by `type`, or by `type.event` where a type has events. */",
            "export interface Pushes {",
            *(f"  {json.dumps(each.name)}: {_push(each)};" for each in protocol.pushes),
            "}",
            "export type ServerMessage = Pushes[keyof Pushes];",
            "export type MessageOf<N> = N extends keyof Pushes ? Pushes[N] : Extract<ServerMessage, { type: N }>;",
            "",
            f"export type ErrorCode = {_union(json.dumps(each) for each in protocol.error_codes)};",
            "",
            "/** Actions that are known by a key of the client's when they are repeated. */",
            f"export const WITH_CLIENT_REF: ReadonlySet<string> = new Set({json.dumps(protocol.with_client_ref)});",
            "",
            "/** A method for each action. */",
            "export abstract class Actions<Options = object> {",
            "  abstract act<A extends Action>(action: A, data: Request<A>, options?: Options): Promise<Answer<A>>;",
            *(_method(each, protocol.schemas[each.request]) for each in actions),
            "}",
            "",
        ]
    )


def rest_module(rest: Rest) -> str:
    return "\n".join([HEADER.format(source="openapi.yaml"), *_declarations(rest.schemas)])


def _declarations(schemas: dict[str, Schema]) -> Iterable[str]:
    for name, schema in schemas.items():
        note = _note(schema.get("description", ""))
        if not is_record(schema):
            yield f"{note}export type {name} = {_type(schema)};\n"
            continue
        fields = "".join(
            f"{_note(field.note, '  ')}  {field.name}{'' if field.is_required else '?'}: {_type(field.schema)};\n"
            for field in fields_of(schema)
        )
        yield f"{note}export interface {name} {{\n{fields}}}\n"


def _type(schema: Schema) -> str:
    kind = _bare_type(schema)
    return f"{kind} | null" if schema.get("nullable") else kind


def _bare_type(schema: Schema) -> str:
    if "$ref" in schema:
        return name_in(schema)
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return _union(json.dumps(each) for each in schema["enum"])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return _union(_type(each) for each in schema[several])
    if "allOf" in schema:
        return " & ".join(_type(each) for each in schema["allOf"])
    kind = schema.get("type")
    if isinstance(kind, list):
        return _union(_type({**schema, "type": each}) for each in kind)
    if kind == "array":
        item = _type(schema["items"])
        return f"({item})[]" if " " in item else f"{item}[]"
    if kind == "object":
        values = schema.get("additionalProperties", True)
        return f"Record<string, {_type(values) if isinstance(values, dict) else 'unknown'}>"
    return _SIMPLE.get(str(kind), "unknown")


_SIMPLE = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def _union(kinds: Iterable[str]) -> str:
    return " | ".join(dict.fromkeys(kinds))


def _note(text: str, indent: str = "") -> str:
    lines = text.strip().replace("*/", "* /").splitlines()
    if len(lines) < 2:
        return "".join(f"{indent}/** {line} */\n" for line in lines)
    return "".join(
        [f"{indent}/**\n", *(f"{indent} * {line}".rstrip() + "\n" for line in lines), f"{indent} */\n"]
    )


def _push(push: Push) -> str:
    return push.schema if push.event is None else f"{push.schema} & {{ event: {json.dumps(push.event)} }}"


def _method(action: Action, request: Schema) -> str:
    data = f"data: {action.request}" + ("" if request.get("required") else " = {}")
    return (
        f"\n{_note(action.note, '  ')}"
        f"  {camel(action.name)}({data}, options?: Options): Promise<{action.answer}> {{\n"
        f"    return this.act({json.dumps(action.name)}, data, options);\n"
        "  }"
    )
