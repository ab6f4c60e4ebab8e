"""The AsyncAPI 3.0 document of the app socket, made from gateway.protocol, and the page made from the document."""

import re
from typing import Any

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_safe

from gateway import auth, protocol
from gateway.app_socket import AT_CAPACITY, POLICY_VIOLATION, TOO_MANY_CONNECTIONS
from gateway.consumer import AGAIN
from gateway.errors import HTTP_STATUS
from gateway.openapi import REF, Schema, components_of

Document = dict[str, Any]

CLOSES: list[tuple[int, str, str]] = [
    (POLICY_VIOLATION, auth.AUTHENTICATION_REQUIRED, "No token came with the connection."),
    (
        POLICY_VIOLATION,
        auth.INVALID_TOKEN,
        "The token is not one of ours, or its user has logged out, was disabled or has a new password. Log in again.",
    ),
    (
        POLICY_VIOLATION,
        auth.TOKEN_EXPIRED,
        "Its time is over, at the start or while connected. Refresh it and reconnect; better, show a fresh one by "
        "`refresh_token` when `token_expiring` comes.",
    ),
    (
        POLICY_VIOLATION,
        AT_CAPACITY,
        "This process has all the sockets it may have. `closing` came before, with the seconds to wait.",
    ),
    (
        POLICY_VIOLATION,
        TOO_MANY_CONNECTIONS,
        "The user, or the address, has as many sockets as it may have. Close another; `closing` came before.",
    ),
    (1009, "", "A frame was larger than 1 MiB."),
    (1011, "", "The socket did not answer the server's pings, or the server has a fault. Reconnect."),
    (
        1012,
        "Service restart",
        "The server is being restarted. `closing` came before: reconnect in `retry_after` seconds with its `last_seq`.",
    ),
    (1013, "Too slow", "More waited for this client than it reads. Reconnect with `last_seq`."),
    (
        1013,
        AGAIN,
        "The database is away. `closing` came before, with the seconds to wait. Without a socket: HTTP 503, or 429 for "
        "an address that dials too often, both with `Retry-After`.",
    ),
]

ERROR_MEANINGS = {
    "invalid_message": "The message is no JSON object with an `action`.",
    "unknown_action": "There is no such action; the failure names it.",
    "validation_error": "A field of `data` is missing or not valid; `message` has its path.",
    "authentication_failed": "REST only: no token, or one that does not count. On the socket: close 1008.",
    "forbidden": "This needs an operator.",
    "not_found": "There is no such thing, or it is another user's.",
    "method_not_allowed": "REST only: this path knows other methods.",
    "invalid_profile": "REST only: the charging profile cannot be right, or the charger cannot take it.",
    "unfit_password": "REST, operators: the charger's new password breaks the rules of its security profile.",
    "unfit_certificate": "REST, operators: the certificate cannot be read, or is not fit for its purpose.",
    "password_change_open": "REST, operators: the last change of password is not settled yet.",
    "update_under_way": "REST, operators: another firmware update runs on the charger.",
    "action_not_supported": "REST, operators: the charger's OCPP version has no such action.",
    "message_id_used": "REST, operators: another command has this message id.",
    "charger_offline": "The charger is not connected.",
    "charger_accepted": "REST only: an accepted charger must not be asked to boot.",
    "charger_pending": "The operators have not accepted the charger yet.",
    "connector_unavailable": "Out of service, reserved, or under maintenance.",
    "connector_busy": "Somebody else charges there.",
    "active_session_exists": "The user has a session already.",
    "reservation_exists": "The user has a reservation already.",
    "reservation_not_supported": "The charger takes no reservations.",
    "too_many_watches": "The user waits for as many chargers as one may.",
    "no_active_session": "The user has no session to end.",
    "session_not_ended": "REST only: the session has not ended.",
    "no_receipt": "REST only: nothing was charged, or no price was agreed.",
    "wrong_password": "REST only: the account's password is not right, so the account is not deleted.",
    "session_not_running": "Operators: no transaction is running in the session.",
    "nothing_to_review": "Operators: nothing about the session waits for a decision.",
    "charger_rejected": "The charger refused.",
    "charger_timeout": "The charger did not answer in time. The outcome may be unknown; events will tell.",
    "cancelled": "The user called the start off before charging began.",
    "rate_limited": "Too much was asked; try again in `retry_after` seconds (REST: `Retry-After`, too).",
    "unavailable": "Database or bus are away; try again.",
    "internal_error": "A fault of the server.",
}

# Data of requests as the client's guide has them, and more where an action can do more.
REQUESTS: dict[str, list[dict[str, Any]]] = {
    "start_charging": [
        {"charger_id": "CP001", "connector_id": 1},
        {"charger_id": "CP001", "connector_id": 1, "client_ref": "9b2f1c3e-start"},
    ],
    "stop_charging": [{"charger_id": "CP001"}, {}],
    "get_charger_status": [{"charger_id": "CP001"}],
    "get_active_session": [{}],
    "list_chargers": [
        {},
        {"status": "available", "near": {"latitude": 52.0907, "longitude": 5.1214, "radius_km": 5}},
        {"search": "quay", "limit": 20},
    ],
    "subscribe": [
        {"charger_ids": ["CP001"]},
        {"station_ids": [1]},
        {"bbox": {"south": 52.0, "west": 5.0, "north": 52.2, "east": 5.3}},
        {"all": True},
    ],
    "unsubscribe": [{"all": True}, {"bbox": None}],
    "watch": [{"charger_id": "CP001", "connector_id": 1}, {"station_id": 1}],
    "reserve": [
        {"charger_id": "CP001", "connector_id": 1, "minutes": 15},
        {"charger_id": "CP001", "connector_id": 1, "minutes": 15, "client_ref": "4c1d7a20-reserve"},
    ],
    "list_sessions": [{}, {"status": "completed", "limit": 10}],
    "get_session": [{"session_id": 1, "points": 200}],
    "refresh_token": [{"token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.…"}],
    "ping": [{}],
}

_TIME = "2025-01-29T12:00:00Z"
# What fields look like in examples, by name; a field that is not here gets null or a value of its type.
SAMPLES: dict[str, Any] = {
    "action": "start_charging",
    "address": "1 Market Square, Utrecht",
    "all": False,
    "available_connectors": 1,
    "charge_percentage": 62.0,
    "charger_id": "CP001",
    "charger_ids": ["CP001"],
    "charging_duration": 1215,
    "charging_duration_display": "20 min",
    "code": "charger_offline",
    "connected": True,
    "connector_id": 1,
    "connectors_in_use": 1,
    "connectors_unavailable": 0,
    "cost": 3.47,
    "cost_currency": "EUR",
    "current": 32.1,
    "display": "1/2",
    "duration": 1215,
    "energy_consumed": 2.46,
    "energy_delivered": 2.46,
    "error": "The charger is not connected",
    "has_active_session": True,
    "id_tag": "EV0123456789ABCDEF",
    "key": "HeartbeatInterval",
    "last_seen": _TIME,
    "last_seq": 42,
    "latitude": 52.0907,
    "longitude": 5.1214,
    "message": "Charging has begun",
    "message_id": "6f1f3c9e-0d4b-4c51-9d0e-3f6a2b7c8d90",
    "meter_start": 1000,
    "meter_stop": 3460,
    "meter_value": 3460,
    "model": "Wallbox",
    "name": "Demo Station",
    "output_power": 7.4,
    "power": 7.4,
    "requested_at": _TIME,
    "seconds_left": 900,
    "session_id": 123,
    "since": _TIME,
    "start_time": _TIME,
    "station_address": "1 Market Square, Utrecht",
    "station_id": 1,
    "station_ids": [1],
    "station_name": "Demo Station",
    "status_at": _TIME,
    "stop_reason": "Remote",
    "stop_time": _TIME,
    "time_remaining": 1740,
    "time_remaining_display": "29 min",
    "timestamp": _TIME,
    "title": "Charging started",
    "total_connectors": 2,
    "transaction_id": 456,
    "userId": 7,
    "value": "300",
    "vendor": "Acme",
    "voltage": 230.4,
}
# Where the same name means something else.
_SAMPLES_OF: dict[str, dict[str, Any]] = {
    "CommandUpdate": {"state": "accepted", "code": None, "message": "Plug in your car"},
    "ConnectorState": {"status": "Charging"},
    "Closing": {"code": 1012, "reason": "Service restart"},
    "ErrorMessage": {"code": "invalid_message", "message": "Not JSON: malformed"},
    "Failure": {"message": "CP001 is not connected"},
    "SessionError": {"code": "charger_timeout", "message": "Charging did not begin in time"},
    "SessionState": {"status": "active", "stop_time": None, "stop_reason": None, "meter_stop": None},
    "SessionErrorUpdate": {"transaction_id": None},
    "Started": {
        "transaction_id": None,
        "status": "pending",
        "message": "The charger accepted; plug in if you have not",
    },
    "StatusChange": {"status": "Charging", "previous_status": "Preparing"},
    "Stopped": {"status": "stopping", "message": "The charger is ending the session"},
    "Subscribed": {
        "subscribed": {"all": False, "charger_ids": ["CP001"], "station_ids": [], "bbox": None},
        "complete": True,
    },
    "Unsubscribed": {"subscribed": {"all": False, "charger_ids": ["CP001"], "station_ids": [], "bbox": None}},
    "Watching": {"charger_id": None, "connector_id": None},
    "ReservationState": {"status": "active", "session_id": None, "message": None},
}
# Where the same struct tells of different events.
_DATA_OF: dict[str, dict[str, Any]] = {
    "charger_update.error": {
        "status": "Faulted",
        "previous_status": "Charging",
        "error_code": "GroundFailure",
    },
    "charger_update.status_changed": {
        "connector_id": None,
        "status": "Available",
        "previous_status": "Offline",
    },
}

# --- the document ---


def document(*, host: str = "localhost:8080", secure: bool = False) -> Document:
    """The whole document, for the server at this host."""
    schemas = _schemas()
    messages = {
        **{f"{name}.request": _request(name, schemas) for name in protocol.ACTIONS},
        **{f"{name}.response": _response(name, schemas) for name in protocol.ACTIONS},
        "failure": _failure(schemas),
        **_pushes(schemas),
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "evcharge app socket",
            "version": protocol.PROTOCOL_VERSION,
            "description": "What a charging app says and hears, as JSON text frames on one WebSocket.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "here": {
                "host": host,
                "protocol": "wss" if secure else "ws",
                "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in _SECURITY],
            }
        },
        "channels": {"app": _channel(list(messages))},
        "operations": _operations(list(messages)),
        "components": {"messages": messages, "schemas": schemas, "securitySchemes": _SECURITY},
    }


_SECURITY = {
    "token": {
        "type": "httpApiKey",
        "in": "query",
        "name": "token",
        "description": "An access token in the URL, for clients that cannot set headers.",
    },
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
}


def _schemas() -> dict[str, Schema]:
    requests = [request for request, _ in protocol.ACTIONS.values()]
    answers = [answer for _, answer in protocol.ACTIONS.values()]
    components = {
        **components_of(requests, sent=False),
        **components_of([*answers, protocol.Failure, *protocol.PUSHES], sent=True),
    }
    for name in ("Failure", "ErrorMessage"):
        components[name]["properties"]["code"] = {"enum": protocol.ERROR_CODES}
    return dict(sorted(components.items()))


def _channel(messages: list[str]) -> Document:
    return {
        "address": "/",
        "title": "App socket",
        "description": (
            "Text frames with one JSON object each, at most 64 KiB from the client. The server pings; "
            "a client that does not answer is closed. Refusals complete the handshake first, so that a browser "
            "can read code and reason:\n\n"
            + "\n".join(f"- {code} {reason or '(no reason)'}: {meaning}" for code, reason, meaning in CLOSES)
        ),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "ws": {
                "method": "GET",
                "query": {
                    "type": "object",
                    "properties": {
                        "token": {"type": "string", "description": "An access token (JWT)."},
                        "last_seq": {
                            "type": "integer",
                            "minimum": 0,
                            "description": "The highest `seq` you had: after the state comes what was told since, "
                            "or `resync` where that is not kept any more.",
                        },
                        "lang": {
                            "type": "string",
                            "enum": [code for code, _ in settings.LANGUAGES],
                            "description": "The language of sentences for people: `error`, `title`, `message` of "
                            "events and answers, and of the reasons of closes. Codes and details are the same in all.",
                        },
                    },
                },
                "headers": {
                    "type": "object",
                    "properties": {
                        "Authorization": {
                            "type": "string",
                            "description": "`Bearer …`, in the place of `token`.",
                        },
                        "Accept-Language": {
                            "type": "string",
                            "description": "As browsers send it, in the place of `lang`; not for closes.",
                        },
                    },
                },
            }
        },
        "x-close-codes": [
            {"code": code, "reason": str(reason), "description": meaning} for code, reason, meaning in CLOSES
        ],
    }


def _operations(messages: list[str]) -> Document:
    def refs(*names: str) -> list[Document]:
        return [{"$ref": f"#/channels/app/messages/{name}"} for name in names]

    channel = {"$ref": "#/channels/app"}
    asked = {
        name: {
            "action": "receive",
            "channel": channel,
            "summary": _first_line(request),
            "messages": refs(f"{name}.request"),
            "reply": {"channel": channel, "messages": refs(f"{name}.response", "failure")},
        }
        for name, (request, _) in protocol.ACTIONS.items()
    }
    pushed = [name for name in messages if not name.endswith((".request", ".response", "failure"))]
    return {
        **asked,
        "push": {
            "action": "send",
            "channel": channel,
            "summary": "What the server tells unasked.",
            "messages": refs(*pushed),
        },
    }


# --- messages ---

_REQUEST_ID: Schema = {
    "type": ["string", "integer"],
    "description": "Any value of the client's own; the answer repeats it.",
}


def _message(name: str, title: str, summary: str, payload: Schema, examples: list[Any]) -> Document:
    return {
        "name": name,
        "title": title,
        "summary": summary,
        "payload": payload,
        "examples": [{"payload": example} for example in examples],
    }


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").strip().partition("\n")[0]


def _request(name: str, schemas: dict[str, Schema]) -> Document:
    kind = protocol.ACTIONS[name][0]
    required = ["action", "data"] if schemas[kind.__name__].get("required") else ["action"]
    payload = {
        "type": "object",
        "properties": {
            "action": {"const": name},
            "data": {"$ref": REF + kind.__name__},
            "request_id": _REQUEST_ID,
        },
        "required": required,
    }
    wishes = REQUESTS.get(name) or [_example({"$ref": REF + kind.__name__}, schemas)]
    examples = [{"action": name, "data": data} for data in wishes]
    return _message(f"{name}.request", name, _first_line(kind), payload, examples)


def _response(name: str, schemas: dict[str, Schema]) -> Document:
    kind = protocol.ACTIONS[name][1]
    payload = _answer({"const": name}, kind)
    summary = f"{name} succeeded. {_first_line(kind)}"
    return _message(f"{name}.response", f"{name}, answered", summary, payload, [_example(payload, schemas)])


def _failure(schemas: dict[str, Schema]) -> Document:
    payload = _answer({"type": "string"}, protocol.Failure)
    summary = f"Any action failed. {_first_line(protocol.Failure)}"
    return _message("failure", "Failure", summary, payload, [_example(payload, schemas)])


def _answer(action: Schema, data: type) -> Schema:
    return {
        "type": "object",
        "properties": {
            "type": {"const": "response"},
            "action": action,
            "data": {"$ref": REF + data.__name__},
            "timestamp": {"type": "string", "format": "date-time"},
            "request_id": _REQUEST_ID,
        },
        "required": ["type", "action", "data", "timestamp"],
    }


def _pushes(schemas: dict[str, Schema]) -> dict[str, Document]:
    """One message per type, or per type and event where a type has events."""
    found = {}
    for kind in protocol.PUSHES:
        properties = schemas[kind.__name__]["properties"]
        tag, event = properties["type"]["const"], properties.get("event", {})
        for value in _values_of(event):
            name = f"{tag}.{value}" if value else tag
            found[name] = _push(name, kind, value, is_one_of_several="const" not in event, schemas=schemas)
    return found


def _push(
    name: str, kind: type, event: str | None, *, is_one_of_several: bool, schemas: dict[str, Schema]
) -> Document:
    payload: Schema = {"$ref": REF + kind.__name__}
    example = _example(payload, schemas)
    if event is not None:
        example["event"] = event
        example["data"].update(_DATA_OF.get(name, {}))
        if is_one_of_several:
            payload = {"allOf": [payload, {"properties": {"event": {"const": event}}}]}
    return _message(name, name.replace(".", ": "), _first_line(kind), payload, [example])


def _values_of(event: Schema) -> list[str | None]:
    if "const" in event:
        return [event["const"]]
    return event.get("enum") or [None]


# --- examples ---


def _example(schema: Schema, schemas: dict[str, Schema], *, name: str = "", of: str = "") -> Any:
    """A value that fits; `name` is the field's, `of` the struct it stands in."""
    if "const" in schema:
        return schema["const"]
    if name in _SAMPLES_OF.get(of, {}):
        return _SAMPLES_OF[of][name]
    options = schema.get("anyOf", [schema])
    described = next((option for option in options if option != {"type": "null"}), schema)
    if "$ref" in described:
        of = described["$ref"].rpartition("/")[2]
        described = schemas[of]
    if "properties" in described:
        return {
            field: _example(each, schemas, name=field, of=of)
            for field, each in described["properties"].items()
            if field in described.get("required", ())
        }
    if described.get("type") == "array" and name not in SAMPLES:
        return [_example(described["items"], schemas, of=of)]
    if "enum" in described:
        return SAMPLES[name] if SAMPLES.get(name) in described["enum"] else described["enum"][0]
    if name in SAMPLES:
        return SAMPLES[name]
    if {"type": "null"} in options:
        return None
    return _BY_FORMAT.get(described.get("format", "")) or _BY_TYPE[described.get("type", "object")]


_BY_FORMAT = {"date-time": _TIME}
_BY_TYPE: dict[str, Any] = {"boolean": False, "integer": 1, "number": 1.0, "string": "…", "object": {}}

# --- served ---

_DOCS_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"
)


@require_safe
def asyncapi_json(request: HttpRequest) -> JsonResponse:
    """`GET /asyncapi.json`: the document, naming the server it was asked of."""
    made = document(host=request.get_host(), secure=request.is_secure())
    return JsonResponse(made, json_dumps_params={"ensure_ascii": False})


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """`GET /docs/`: the socket and the way to it, for people who write apps."""
    made = document(host=request.get_host(), secure=request.is_secure())
    scheme = "wss" if request.is_secure() else "ws"
    context = {
        "actions": _actions_to_read(made),
        "pushes": _pushes_to_read(made),
        "closes": CLOSES,
        "errors": [(code, HTTP_STATUS[code], _html(meaning)) for code, meaning in ERROR_MEANINGS.items()],
        "failure": _pretty(made["components"]["messages"]["failure"]["examples"][0]["payload"]),
        "http_url": request.build_absolute_uri("/").rstrip("/"),
        "ws_url": f"{scheme}://{request.get_host()}",
        "ping_interval_s": settings.WS_PING_INTERVAL_S,
        "command_timeout_s": settings.COMMAND_TIMEOUT_S,
        "version": protocol.PROTOCOL_VERSION,
    }
    response = render(request, "docs.html", context)
    response["Content-Security-Policy"] = _DOCS_POLICY
    return response


def _actions_to_read(made: Document) -> list[Document]:
    messages, schemas = made["components"]["messages"], made["components"]["schemas"]
    return [
        {
            "name": name,
            "summary": _html(messages[f"{name}.request"]["summary"]),
            "request_fields": _fields(schemas[request.__name__], schemas),
            "requests": [_line(each["payload"]) for each in messages[f"{name}.request"]["examples"]],
            "answer": _pretty(messages[f"{name}.response"]["examples"][0]["payload"]),
            "answer_note": _html(_first_line(answer)),
            "answer_fields": _fields(schemas[answer.__name__], schemas),
        }
        for name, (request, answer) in protocol.ACTIONS.items()
    ]


def _pushes_to_read(made: Document) -> list[Document]:
    messages, schemas = made["components"]["messages"], made["components"]["schemas"]
    pushed = [ref["$ref"].rpartition("/")[2] for ref in made["operations"]["push"]["messages"]]
    return [
        {
            "name": name,
            "title": messages[name]["title"],
            "summary": _html(messages[name]["summary"]),
            "example": _pretty(messages[name]["examples"][0]["payload"]),
            "fields": _fields(_struct(messages[name]["payload"], schemas), schemas, skip={"type", "event"}),
        }
        for name in pushed
    ]


def _struct(payload: Schema, schemas: dict[str, Schema]) -> Schema:
    ref = payload["allOf"][0]["$ref"] if "allOf" in payload else payload["$ref"]
    return schemas[ref.rpartition("/")[2]]


def _fields(
    schema: Schema,
    schemas: dict[str, Schema],
    *,
    under: str = "",
    skip: frozenset[str] | set[str] = frozenset(),
) -> list[Document]:
    """Rows of a table: path, type, whether it must be there, note. Structs within follow their field."""
    rows: list[Document] = []
    for name, each in schema.get("properties", {}).items():
        if name in skip:
            continue
        words, inner = _words(each, schemas)
        rows.append(
            {
                "name": under + name,
                "type": words,
                "required": name in schema.get("required", ()),
                "note": _html(each.get("description", "")),
                "default": each.get("default"),
            }
        )
        if inner and under.count(".") < 2:
            brackets = "[]." if words.startswith("list") else "."
            rows += _fields(inner, schemas, under=under + name + brackets)
    return rows


def _words(schema: Schema, schemas: dict[str, Schema]) -> tuple[str, Schema | None]:
    """A type as a person reads it, and the struct it is or holds."""
    if "anyOf" in schema:
        parts = [_words(part, schemas) for part in schema["anyOf"]]
        inner = next((struct for _, struct in parts if struct), None)
        return " or ".join(words for words, _ in parts), inner
    if "$ref" in schema:
        return "object", schemas[schema["$ref"].rpartition("/")[2]]
    if "const" in schema:
        return _line(schema["const"]), None
    if "enum" in schema:
        return " or ".join(_line(value) for value in schema["enum"]), None
    if schema.get("type") == "array":
        words, inner = _words(schema["items"], schemas)
        return f"list of {words}s" if inner is None else "list", inner
    return ("time" if schema.get("format") == "date-time" else schema.get("type", "any")), None


def _html(text: str) -> SafeString:
    """A sentence with its `names` set as code."""
    return mark_safe(re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text)))  # noqa: S308  (escaped)


def _line(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
