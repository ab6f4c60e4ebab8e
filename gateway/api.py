"""REST twins of the socket's actions, and the calls other back ends make. Same types, same functions, same errors."""

from collections.abc import Mapping
from typing import IO, Annotated, Any, TypeVar
from urllib.parse import quote, unquote

import msgspec
from asgiref.sync import async_to_sync
from django.contrib.auth.models import AbstractBaseUser
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.parsers import BaseParser
from rest_framework.permissions import AllowAny, IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chargers import commands
from chargers.errors import DomainError, NotFound
from chargers.models import Charger, Command
from gateway import actions, openapi, protocol, results
from gateway.db import in_db
from gateway.errors import HTTP_STATUS, InvalidMessage, UnknownAction, ValidationFailed, failure
from sessions import id_tags, operations, services
from sessions.models import ChargingSession

Wish = TypeVar("Wish", bound=msgspec.Struct)


class WireParser(BaseParser):
    """A JSON body, left as it came: it is decoded by the wire's own types, with the socket's limits."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        body = stream.read(protocol.MAX_MESSAGE_BYTES + 1)
        if len(body) > protocol.MAX_MESSAGE_BYTES:
            raise InvalidMessage(detail="The body is larger than 64 KiB")
        return msgspec.Raw(body)


class WireView(APIView):
    """A view whose body is a message of the wire."""

    parser_classes = [WireParser]


def body_of(request: Request) -> msgspec.Raw:
    """The body as JSON that can be read; none at all counts as `{}`. Raises InvalidMessage."""
    data: Any = request.data
    if not isinstance(data, msgspec.Raw) or not bytes(data).strip():
        return msgspec.Raw(b"{}")
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidMessage(detail=f"Not JSON: {error}") from error
    return data


def decoded(kind: type[Wish], raw: msgspec.Raw) -> Wish:
    """The body as one of our types. Raises ValidationFailed with the field's path, or InvalidMessage."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise ValidationFailed(detail=str(error)) from error
    except msgspec.DecodeError as error:
        raise InvalidMessage(detail=str(error)) from error


def caller(request: Request) -> Any:
    """Whoever asks; permissions have seen to it that it is somebody."""
    return request.user


def identity_in(request: Request, *, after: str, behind: int = 0) -> str:
    """The charger's identity in the path, `after` what stands before it, without so many parts that are `behind` it.

    Percent-decoded here, part by part, so that an encoded slash stays within (E6). Raises NotFound.
    """
    raw = getattr(request, "scope", {}).get("raw_path") or quote(request.path).encode()
    parts = raw.decode("ascii", errors="replace").partition("?")[0].partition(after)[2].strip("/").split("/")
    if len(parts) > behind > 0:
        del parts[-behind:]
    identity = "/".join(unquote(part) for part in parts)
    if not identity.isprintable():
        raise NotFound(f"There is no charger {identity!r}")
    return identity


def perform(user: Any, action: str, data: msgspec.Raw) -> dict[str, Any]:
    """Perform an action as the socket does; returns the answer's data as plain types."""
    return plain(async_to_sync(actions.perform)(user, action, data))


def plain(answer: Any) -> dict[str, Any]:
    """A struct as JSON-ready types, with numbers for money as on the socket."""
    return msgspec.json.decode(protocol.encode(answer))


def enveloped(answer: Any) -> Response:
    """`{"success": true, "data": {…}}`."""
    data = plain(answer)
    data.pop("success", None)
    return Response({"success": True, "data": data})


class ActionView(WireView):
    """One action."""

    action = ""

    def answer(self, request: Request, data: msgspec.Raw | dict[str, Any]) -> Response:
        raw = data if isinstance(data, msgspec.Raw) else msgspec.Raw(msgspec.json.encode(data))
        return enveloped(async_to_sync(actions.perform)(caller(request), self.action, raw))


class StartCharging(ActionView):
    action = "start_charging"

    @extend_schema(**openapi.action("start_charging"))
    def post(self, request: Request) -> Response:
        return self.answer(request, body_of(request))


class StopCharging(ActionView):
    action = "stop_charging"

    @extend_schema(**openapi.action("stop_charging"))
    def post(self, request: Request) -> Response:
        return self.answer(request, body_of(request))


class ActiveSession(ActionView):
    action = "get_active_session"

    @extend_schema(**openapi.action("get_active_session", body=False))
    def get(self, request: Request) -> Response:
        return self.answer(request, {})


class ChargerStatus(ActionView):
    action = "get_charger_status"

    @extend_schema(**openapi.action("get_charger_status", body=False))
    def get(self, request: Request, charger_id: str) -> Response:
        return self.answer(
            request, {"charger_id": identity_in(request, after="/charging/charger/", behind=1)}
        )


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


class Message(msgspec.Struct, kw_only=True):
    """What would be sent on the socket."""

    action: str
    data: dict[str, Any] = {}
    request_id: protocol.RequestId | None = None


class MessageAnswer(msgspec.Struct, kw_only=True):
    """What the socket would answer; the HTTP status is the fitting one. `data` is documented with each action."""

    type: str
    action: str
    data: dict[str, Any]
    timestamp: str
    request_id: protocol.RequestId | None = None


class WebSocketMessage(WireView):
    """`{"action", "data", "request_id"?}` in, the socket's answer out."""

    @extend_schema(
        operation_id="websocket_message",
        tags=["charging"],
        request=Message,
        responses={200: MessageAnswer, **openapi.COMMAND_FAILURES},
    )
    def post(self, request: Request) -> Response:
        try:
            message = protocol.decode_request(bytes(body_of(request)).decode())
        except msgspec.DecodeError as error:
            raise InvalidMessage(detail=f"Not a request: {error}") from error
        status = 200
        try:
            if message.action in _ONLY_ON_THE_SOCKET:
                raise UnknownAction(f"{message.action} needs the socket: events have no other way to you")
            data = perform(caller(request), message.action, message.data)
        except DomainError as error:
            data, status = failure(error), HTTP_STATUS.get(error.code, 500)
        answer = protocol.response(message.action, data, message.request_id)
        return Response(msgspec.json.decode(answer), status=status)


_ONLY_ON_THE_SOCKET = {"subscribe", "unsubscribe"}


class NotThere(APIView):
    """Every other path under /api/: the same failure as elsewhere, whatever the method, and not a page."""

    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise NotFound(f"There is nothing at {request.path[:200]}")


# --- for other back ends, with an operator's credentials ---


class RemoteStartWish(msgspec.Struct, kw_only=True):
    """Start at a charger for an id tag."""

    charger_id: protocol.Identity
    id_tag: protocol.IdTagText
    connector_id: protocol.ConnectorNumber = 1


class RemoteStopWish(msgspec.Struct, kw_only=True):
    """Stop a session, by charger (and connector) or by transaction."""

    charger_id: protocol.Identity | None = None
    connector_id: protocol.ConnectorNumber | None = None
    transaction_id: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | None = None


class CommandResult(msgspec.Struct, kw_only=True):
    """What the charger made of it. `message_id` is the OCPP CALL's id, `answer` the charger's own.

    All but the charger are null where it need not be asked, since charging had not begun.
    """

    charger_id: str
    message_id: str | None = None
    action: str | None = None
    status: str | None = None
    answer: dict[str, Any] | None = None


class OperatorView(WireView):
    permission_classes = [IsAdminUser]


_RESULT = {
    200: OpenApiResponse(openapi.envelope(CommandResult), "The charger accepted"),
    **openapi.failures(400, 403, 404, 409, 504),
}


class RemoteStart(OperatorView):
    @extend_schema(
        operation_id="remote_start", tags=["operators"], request=RemoteStartWish, responses=_RESULT
    )
    def post(self, request: Request) -> Response:
        """Start at a charger for an id tag."""
        wish = decoded(RemoteStartWish, body_of(request))
        return enveloped(async_to_sync(_remote_start)(caller(request), wish))


class RemoteStop(OperatorView):
    @extend_schema(operation_id="remote_stop", tags=["operators"], request=RemoteStopWish, responses=_RESULT)
    def post(self, request: Request) -> Response:
        """Stop a session, by charger (and connector) or by transaction."""
        wish = decoded(RemoteStopWish, body_of(request))
        return enveloped(async_to_sync(_remote_stop)(caller(request), wish))


async def _remote_start(user: AbstractBaseUser, wish: RemoteStartWish) -> CommandResult:
    id_tag = id_tags.normalised(wish.id_tag)
    if not id_tag:
        raise ValidationFailed("id_tag is blank")
    params = {"connector_id": wish.connector_id, "id_tag": id_tag}
    return await run_command(user, wish.charger_id, commands.REMOTE_START, params)


async def _remote_stop(user: AbstractBaseUser, wish: RemoteStopWish) -> CommandResult:
    session = await in_db(_running_session, wish)
    command_id = actions.new_command_id()
    async with results.expecting(command_id) as done:
        _, command = await in_db(services.stop, session=session, requested_by=user, command_id=command_id)
        if command is not None and command.pk == command_id:
            await actions.end_of(command_id, done)
        elif command is not None and command.action == commands.REMOTE_STOP:
            await actions.end_of_first_tap(command.pk)
        else:  # it had not begun, and is called off
            return CommandResult(charger_id=session.charger.identity)
    return await in_db(_command_result, command.pk)


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
) -> CommandResult:
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
    operations.perform(
        charger=charger, action=action, params=params, requested_by=user, command_id=command_id
    )


def _command_result(command_id: Any) -> CommandResult:
    command = Command.objects.select_related("charger").get(pk=command_id)
    if command.status != Command.Status.ACCEPTED:
        raise actions.command_failure(command)
    return CommandResult(
        charger_id=command.charger.identity,
        message_id=str(command.pk),
        action=command.action,
        status=command.status,
        answer=command.answer,
    )
