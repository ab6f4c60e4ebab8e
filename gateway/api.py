"""REST twins of the socket's actions, and the calls other back ends make. Same types, same functions, same errors."""

from typing import Any

import msgspec
from asgiref.sync import async_to_sync
from django.contrib.auth.models import AbstractBaseUser
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import permissions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chargers import commands
from chargers.errors import DomainError, NotFound
from chargers.models import Charger, Command
from gateway import actions, openapi, protocol, results
from gateway.db import in_db
from gateway.errors import HTTP_STATUS, InvalidMessage, UnknownAction, ValidationFailed, failure
from sessions import id_tags, services
from sessions.models import ChargingSession


def perform(user: Any, action: str, data: Any) -> dict[str, Any]:
    """Perform an action as the socket does; returns the answer's data as plain types."""
    raw = msgspec.Raw(msgspec.json.encode(data))
    answer = async_to_sync(actions.perform)(user, action, raw)
    return plain(answer)


def plain(answer: Any) -> dict[str, Any]:
    """A struct as JSON-ready types, with numbers for money as on the socket."""
    return msgspec.json.decode(protocol.encode(answer))


class ActionView(APIView):
    """One action. The answer is `{"success": true, "data": {…}}`."""

    action = ""

    def answer(self, request: Request, data: Any) -> Response:
        body = perform(request.user, self.action, data)
        body.pop("success", None)
        return Response({"success": True, "data": body})


class StartCharging(ActionView):
    action = "start_charging"

    @extend_schema(**openapi.action("start_charging"))
    def post(self, request: Request) -> Response:
        return self.answer(request, request.data)


class StopCharging(ActionView):
    action = "stop_charging"

    @extend_schema(**openapi.action("stop_charging"))
    def post(self, request: Request) -> Response:
        return self.answer(request, request.data)


class ActiveSession(ActionView):
    action = "get_active_session"

    @extend_schema(**openapi.action("get_active_session", body=False))
    def get(self, request: Request) -> Response:
        return self.answer(request, {})


class ChargerStatus(ActionView):
    action = "get_charger_status"

    @extend_schema(**openapi.action("get_charger_status", body=False))
    def get(self, request: Request, charger_id: str) -> Response:
        return self.answer(request, {"charger_id": charger_id})


class Chargers(ActionView):
    action = "list_chargers"

    @extend_schema(
        **openapi.action("list_chargers", body=False),
        parameters=[
            OpenApiParameter("status", str, enum=["available", "in_use", "unavailable"]),
            OpenApiParameter("station_id", int),
            OpenApiParameter("latitude", float),
            OpenApiParameter("longitude", float),
            OpenApiParameter("radius_km", float),
            OpenApiParameter("limit", int),
            OpenApiParameter("cursor", str),
        ],
    )
    def get(self, request: Request) -> Response:
        return self.answer(request, _list_wish(request.query_params))


def _list_wish(query: Any) -> dict[str, Any]:
    """Query parameters as the action's `data`."""
    numbers = {"station_id": int, "limit": int, "latitude": float, "longitude": float, "radius_km": float}
    wish: dict[str, Any] = {name: query[name] for name in ("status", "cursor") if name in query}
    for name, kind in numbers.items():
        if name in query:
            try:
                wish[name] = kind(query[name])
            except ValueError as error:
                raise ValidationFailed(f"{name} must be a number") from error
    near = {name: wish.pop(name) for name in ("latitude", "longitude", "radius_km") if name in wish}
    return {**wish, "near": near} if near else wish


class WebSocketMessage(APIView):
    """`{"action", "data", "request_id"?}` in, the socket's answer out."""

    @extend_schema(
        operation_id="websocket_message",
        request=openapi.raw(
            {
                "type": "object",
                "required": ["action"],
                "properties": {
                    "action": {"type": "string"},
                    "data": {"type": "object"},
                    "request_id": {"type": ["string", "integer"]},
                },
            }
        ),
        responses={200: openapi.raw({"type": "object"})},
    )
    def post(self, request: Request) -> Response:
        body = request.data
        if not isinstance(body, dict) or not isinstance(body.get("action"), str):
            raise InvalidMessage(detail="An `action` is missing")
        if body["action"] in ("subscribe", "unsubscribe"):
            raise UnknownAction(f"{body['action']} needs the socket: events have no other way to you")
        status = 200
        try:
            data = perform(request.user, body["action"], body.get("data") or {})
        except DomainError as error:
            data, status = failure(error), HTTP_STATUS.get(error.code, 500)
        answer = protocol.response(body["action"], data, body.get("request_id"))
        return Response(msgspec.json.decode(answer), status=status)


# --- for other back ends, with an operator's credentials ---


class RemoteStart(APIView):
    """Start at a charger for an id tag."""

    permission_classes = [permissions.IsAdminUser]

    @extend_schema(
        operation_id="remote_start",
        request=openapi.raw(
            {
                "type": "object",
                "required": ["charger_id", "id_tag"],
                "properties": {
                    "charger_id": {"type": "string"},
                    "id_tag": {"type": "string", "maxLength": 20},
                    "connector_id": {"type": "integer", "minimum": 1, "default": 1},
                },
            }
        ),
        responses={200: openapi.raw(openapi.COMMAND_RESULT), **openapi.FAILURES},
    )
    def post(self, request: Request) -> Response:
        wish = _decoded(RemoteStartWish, request.data)
        return Response(async_to_sync(_remote_start)(request.user, wish))


class RemoteStop(APIView):
    """Stop a session, by charger or by transaction."""

    permission_classes = [permissions.IsAdminUser]

    @extend_schema(
        operation_id="remote_stop",
        request=openapi.raw(
            {
                "type": "object",
                "properties": {
                    "charger_id": {"type": "string"},
                    "connector_id": {"type": "integer", "minimum": 1},
                    "transaction_id": {"type": "integer"},
                },
            }
        ),
        responses={200: openapi.raw(openapi.COMMAND_RESULT), **openapi.FAILURES},
    )
    def post(self, request: Request) -> Response:
        wish = _decoded(RemoteStopWish, request.data)
        return Response(async_to_sync(_remote_stop)(request.user, wish))


class RemoteStartWish(msgspec.Struct):
    charger_id: protocol.Identity
    id_tag: protocol.IdTagText
    connector_id: protocol.ConnectorNumber = 1


class RemoteStopWish(msgspec.Struct):
    charger_id: protocol.Identity | None = None
    connector_id: protocol.ConnectorNumber | None = None
    transaction_id: int | None = None


def _decoded(kind: type, data: Any) -> Any:
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise ValidationFailed(detail=str(error)) from error


async def _remote_start(user: AbstractBaseUser, wish: RemoteStartWish) -> dict[str, Any]:
    return await run_command(
        user,
        wish.charger_id,
        commands.REMOTE_START,
        {"connector_id": wish.connector_id, "id_tag": id_tags.normalised(wish.id_tag)},
    )


async def _remote_stop(user: AbstractBaseUser, wish: RemoteStopWish) -> dict[str, Any]:
    session = await in_db(_running_session, wish)
    command_id = actions.new_command_id()
    async with results.expecting(command_id) as done:
        _, command = await in_db(services.stop, session=session, requested_by=user, command_id=command_id)
        if command is not None and command.pk == command_id:
            await actions.end_of(command_id, done)
    return await in_db(_command_result, command.pk) if command else {"success": True, "data": None}


def _running_session(wish: RemoteStopWish) -> ChargingSession:
    sessions = ChargingSession.objects.filter(status__in=ChargingSession.OPEN).select_related(
        "charger__station"
    )
    if wish.transaction_id is not None:
        sessions = sessions.filter(transaction_id=wish.transaction_id)
    elif wish.charger_id is not None:
        sessions = sessions.filter(charger__identity=wish.charger_id)
        if wish.connector_id is not None:
            sessions = sessions.filter(connector__number=wish.connector_id)
    else:
        raise ValidationFailed("Name a charger_id or a transaction_id")
    session = sessions.order_by("-pk").first()
    if session is None:
        raise NotFound("Nothing is being charged there")
    return session


async def run_command(
    user: AbstractBaseUser, identity: str, action: str, params: dict[str, Any]
) -> dict[str, Any]:
    """Send a command for an operator and wait for its end."""
    command_id = actions.new_command_id()
    async with results.expecting(command_id) as done:
        await in_db(_send, user, identity, action, params, command_id)
        await actions.end_of(command_id, done)
    return await in_db(_command_result, command_id)


def _send(
    user: AbstractBaseUser, identity: str, action: str, params: dict[str, Any], command_id: Any
) -> None:
    charger = Charger.objects.filter(identity=identity).first()
    if charger is None:
        raise NotFound(f"There is no charger {identity}")
    commands.send_command(
        charger=charger, action=action, params=params, requested_by=user, command_id=command_id
    )


def _command_result(command_id: Any) -> dict[str, Any]:
    command = Command.objects.select_related("charger").get(pk=command_id)
    if command.status != Command.Status.ACCEPTED:
        raise actions.command_failure(command)
    return {
        "success": True,
        "data": {
            "message_id": str(command.pk),
            "charger_id": command.charger.identity,
            "action": command.action,
            "status": command.status,
            "answer": command.answer,
        },
    }
