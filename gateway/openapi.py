"""JSON schemas of the app wire's types, for both published documents, and the pages of the OpenAPI one."""

import json
from collections.abc import Iterable
from functools import cache
from inspect import cleandoc
from typing import Any, Literal

import msgspec
from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiResponse, extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response

from gateway import protocol

Schema = dict[str, Any]

REF = "#/components/schemas/"

# --- schemas of structs ---


def components_of(kinds: Iterable[type[msgspec.Struct]], *, sent: bool) -> dict[str, Schema]:
    """JSON schemas (draft 2020-12) by name, of these types and of all they are made of.

    `sent` is for what the server sends: it leaves no field out but for a few, so there the others are required.
    """
    kinds = list(kinds)
    _, components = msgspec.json.schema_components(kinds, ref_template=REF + "{name}")
    structs: dict[str, msgspec.inspect.StructType] = {}
    for info in msgspec.inspect.multi_type_info(kinds):
        _gather(info, structs)
    for component in components.values():
        if "description" in component:
            component["description"] = cleandoc(component["description"])
    for name, struct in structs.items():
        properties = components[name].get("properties", {})
        kinds_of = {field.encode_name: field.type for field in struct.fields}  # the tag is none of them
        for field, schema in properties.items():
            properties[field] = _as_encoded(schema, kinds_of.get(field))
        if sent:
            components[name]["required"] = [
                each for each in properties if (name, each) not in protocol.SOMETIMES
            ]
    return components


def _gather(info: Any, found: dict[str, msgspec.inspect.StructType]) -> None:
    """All structs a type is made of."""
    if isinstance(info, msgspec.inspect.StructType):
        if info.cls.__name__ in found:
            return
        found[info.cls.__name__] = info
        for field in info.fields:
            _gather(field.type, found)
        return
    for name in ("type", "item_type", "value_type"):
        if hasattr(info, name):
            _gather(getattr(info, name), found)
    for part in getattr(info, "types", ()):
        _gather(part, found)


def _as_encoded(schema: Schema, kind: Any) -> Schema:
    """What msgspec leaves out or does not know: the format of times, money as a number, one value as a constant."""
    if "anyOf" in schema:
        parts = zip(schema["anyOf"], kind.types, strict=True)
        return {**schema, "anyOf": [_as_encoded(part, each) for part, each in parts]}
    if isinstance(kind, msgspec.inspect.DateTimeType):
        return {**schema, "format": "date-time"}
    if isinstance(kind, msgspec.inspect.DecimalType):
        return {**{k: v for k, v in schema.items() if k != "format"}, "type": "number"}
    if len(schema.get("enum", ())) == 1:
        return {"const": schema["enum"][0]}
    return schema


class StructSchema(OpenApiSerializerExtension):
    """Lets drf-spectacular take a msgspec struct wherever it takes a serializer."""

    target_class = "msgspec.Struct"
    match_subclasses = True

    def get_name(self, auto_schema: AutoSchema, direction: str) -> str:
        return self.target.__name__

    def map_serializer(self, auto_schema: AutoSchema, direction: str) -> Schema:
        components = components_of([self.target], sent=direction == "response")
        schemas = {name: _named_enums(name, _version_3_0(schema)) for name, schema in components.items()}
        schema = schemas.pop(self.target.__name__)
        for name, part in schemas.items():
            auto_schema.registry.register_on_missing(
                ResolvedComponent(name=name, type=ResolvedComponent.SCHEMA, object=name, schema=part)
            )
        return schema


def _named_enums(name: str, schema: Schema) -> Schema:
    """Lets drf-spectacular name an enum after its struct and field, not after a hash of its values."""
    for field, each in schema.get("properties", {}).items():
        if "enum" in each:
            each["x-spec-enum-id"] = f"{name}.{field}"
    return schema


_TYPE_NAMES = {bool: "boolean", int: "integer", str: "string"}


def _version_3_0(schema: Any) -> Any:
    """The same in the words of OpenAPI 3.0, which has neither `const` nor a type for null."""
    if isinstance(schema, list):
        return [_version_3_0(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: _version_3_0(value) for key, value in schema.items()}
    if "const" in schema:
        value = schema.pop("const")
        schema.update(type=_TYPE_NAMES[type(value)], **({} if value is True else {"enum": [value]}))
    if {"type": "null"} in schema.get("anyOf", ()):
        options = [option for option in schema.pop("anyOf") if option != {"type": "null"}]
        several = len(options) > 1 or "$ref" in options[0]
        schema.update({"anyOf": options} if several else options[0], nullable=True)
    if "enum" in schema:
        schema.setdefault("type", _TYPE_NAMES[type(schema["enum"][0])])
    return schema


# --- what the views say of themselves ---


@cache
def envelope(data: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The type of `{"success": true, "data": {…}}`, whose data has no `success` of its own."""
    fields = [(field.name, field.type) for field in msgspec.structs.fields(data) if field.name != "success"]
    inner = msgspec.defstruct(data.__name__, fields, namespace={"__doc__": data.__doc__}, kw_only=True)
    return msgspec.defstruct(
        f"{data.__name__}Answer", [("success", Literal[True]), ("data", inner)], kw_only=True
    )


def failures(*statuses: int) -> dict[int, OpenApiResponse]:
    """The failures of a view, besides those that every view has."""
    return {
        status: OpenApiResponse(protocol.Failure, _MEANINGS[status])
        for status in sorted({401, 500, 503, *statuses})
    }


_MEANINGS = {
    400: "The request is not valid",
    401: "No valid token",
    403: "This needs an operator",
    404: "Not found, or not yours",
    409: "Not possible in the present state; `code` says why",
    429: "Too many requests; `Retry-After` says how many seconds to wait",
    500: "A fault of the server",
    503: "Database or bus are away; try again",
    504: "The charger did not answer in time; the outcome may be unknown",
}
# Where a charger is asked for something.
COMMAND_FAILURES = failures(400, 404, 409, 504)


def action(name: str, *, body: bool = True) -> dict[str, Any]:
    """Arguments of `extend_schema` for the REST twin of an action."""
    request, answer = protocol.ACTIONS[name]
    return {
        "operation_id": name,
        "description": (request.__doc__ or "").strip(),
        "tags": ["charging"],
        "request": request if body else None,
        "responses": {
            200: OpenApiResponse(envelope(answer), "Done"),
            **(COMMAND_FAILURES if body else failures(400, 404)),
        },
    }


# --- pages ---

# Swagger UI writes styles into the page; it needs nothing from outside.
_SWAGGER_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)
_SWAGGER_SETTINGS = {
    "deepLinking": True,
    "persistAuthorization": True,
    "displayRequestDuration": True,
    "validatorUrl": None,  # by default it shows every document to a server on the internet
}


class OpenApiDocument(SpectacularAPIView):
    """`GET /api/schema/`: YAML, or JSON with `?format=json` or by the Accept header."""


class SwaggerPage(SpectacularSwaggerSplitView):
    """`GET /api/docs/`: the REST API to read and to try."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        response = super().get(request, *args, **kwargs)
        if "settings" in response.data:  # the script's part of it
            response.data["settings"] = json.dumps(_SWAGGER_SETTINGS)
        response["Content-Security-Policy"] = _SWAGGER_POLICY
        return response
