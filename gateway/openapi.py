"""Pieces of the OpenAPI document that come from the app wire's types (gateway.protocol)."""

from typing import Any

import msgspec
from drf_spectacular.utils import OpenApiResponse

from gateway import protocol


def raw(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema as drf-spectacular takes it where no serializer is involved."""
    return {"application/json": schema}


def schema_of(kind: Any) -> dict[str, Any]:
    """A type's JSON schema with everything in place, since components belong to serializers there."""
    (schema,), components = msgspec.json.schema_components([kind], ref_template="{name}")
    return _inlined(schema, components)


def _inlined(schema: Any, components: dict[str, Any]) -> Any:
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(components[schema["$ref"]], components)
        return {key: _inlined(value, components) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_inlined(item, components) for item in schema]
    return schema


FAILURE = schema_of(protocol.Failure)
FAILURES = {
    400: OpenApiResponse(FAILURE, "The request is not valid"),
    401: OpenApiResponse(FAILURE, "No valid token"),
    404: OpenApiResponse(FAILURE, "Not found, or not yours"),
    409: OpenApiResponse(FAILURE, "Not possible in this state"),
    504: OpenApiResponse(FAILURE, "The charger did not answer"),
}
COMMAND_RESULT = {
    "type": "object",
    "properties": {
        "success": {"const": True},
        "data": {
            "type": "object",
            "properties": {
                "message_id": {"type": "string", "format": "uuid"},
                "charger_id": {"type": "string"},
                "action": {"type": "string"},
                "status": {"type": "string"},
                "answer": {"type": "object"},
            },
        },
    },
}


def action(name: str, *, body: bool = True) -> dict[str, Any]:
    """Arguments of `extend_schema` for the REST twin of an action."""
    request, answer = protocol.ACTIONS[name]
    data = schema_of(answer)
    data.get("properties", {}).pop("success", None)
    ok = {"type": "object", "properties": {"success": {"const": True}, "data": data}}
    return {
        "operation_id": name,
        "description": (request.__doc__ or "").strip(),
        "request": raw(schema_of(request)) if body else None,
        "responses": {200: raw(ok) and OpenApiResponse(ok, "Done"), **FAILURES},
    }
