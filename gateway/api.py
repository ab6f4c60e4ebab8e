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
from chargers.words import Words
from gateway import actions, idempotency, languages, openapi, outcomes, protocol, results
from gateway.db import in_db
from gateway.errors import HTTP_STATUS, InvalidMessage, UnknownAction, ValidationFailed, failure, waiting
from sessions import client_refs, id_tags, operations, services
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
        raise NotFound(Words("There is no charger %(charger)s", charger=repr(identity)))
    return identity


def perform(user: Any, action: str, data: msgspec.Raw, language: str) -> dict[str, Any]:
    """Perform an action as the socket does; returns the answer's data as plain types."""
    return plain(languages.translated(async_to_sync(actions.perform)(user, action, data), language))


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
        answer = async_to_sync(actions.perform)(caller(request), self.action, raw)
        return enveloped(languages.translated(answer, languages.of_request(request)))


class StartCharging(ActionView):
    action = "start_charging"

    @extend_schema(**openapi.action("start_charging"), parameters=[idempotency.HEADER])
    def post(self, request: Request) -> Response:
        return self.answer(request, idempotency.with_key(request, body_of(request)))


class StopCharging(ActionView):
    action = "stop_charging"

    @extend_schema(**openapi.action("stop_charging"), parameters=[idempotency.HEADER])
    def post(self, request: Request) -> Response:
        return self.answer(request, idempotency.with_key(request, body_of(request)))


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
            OpenApiParameter("south", float),
            OpenApiParameter("west", float),
            OpenApiParameter("north", float),
            OpenApiParameter("east", float),
            OpenApiParameter("search", str),
            OpenApiParameter("limit", int),
            OpenApiParameter("cursor", str),
        ],
    )
    def get(self, request: Request) -> Response:
        return self.answer(request, _list_wish(request.query_params))


_NEAR, _BBOX = ("latitude", "longitude", "radius_km"), ("south", "west", "north", "east")


def _list_wish(query: Any) -> dict[str, Any]:
    """Query parameters as the action's `data`."""
    numbers = {"station_id": int, "limit": int, **dict.fromkeys((*_NEAR, *_BBOX), float)}
    wish: dict[str, Any] = {name: query[name] for name in ("status", "search", "cursor") if name in query}
    for name, kind in numbers.items():
        if name in query:
            try:
                wish[name] = kind(query[name])
            except ValueError as error:
                raise ValidationFailed(Words("%(name)s must be a number", name=name)) from error
    for place, names in (("near", _NEAR), ("bbox", _BBOX)):
        if found := {name: wish.pop(name) for name in names if name in wish}:
            wish[place] = found
    return wish


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
        parameters=[idempotency.HEADER],
        responses={200: MessageAnswer, **openapi.COMMAND_FAILURES},
    )
    def post(self, request: Request) -> Response:
        try:
            message = protocol.decode_request(bytes(body_of(request)).decode())
        except msgspec.DecodeError as error:
            raise InvalidMessage(detail=f"Not a request: {error}") from error
        status, headers, language = 200, {}, languages.of_request(request)
        try:
            if message.action in actions.SUBSCRIPTIONS:
                raise UnknownAction(Words("%(action)s needs the socket", action=message.action))
            wish = message.data
            if message.action in protocol.WITH_CLIENT_REF:
                wish = idempotency.with_key(request, wish)
            data = perform(caller(request), message.action, wish, language)
        except DomainError as error:
            data, status, headers = failure(error, language), HTTP_STATUS.get(error.code, 500), waiting(error)
        answer = protocol.response(message.action, data, message.request_id)
        return Response(msgspec.json.decode(answer), status=status, headers=headers)


class NotThere(APIView):
    """Every other path under /api/: the same failure as elsewhere, whatever the method, and not a page."""

    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise NotFound(Words("There is nothing at %(path)s", path=request.path[:200]))


# --- for other back ends, with an operator's credentials ---


class RemoteStartWish(msgspec.Struct, kw_only=True):
    """Start at a charger for an id tag."""

    charger_id: protocol.Identity
    id_tag: protocol.IdTagText
    connector_id: protocol.ConnectorNumber = 1
    client_ref: protocol.ClientRef | None = None


class RemoteStopWish(msgspec.Struct, kw_only=True):
    """Stop a session, by charger (and connector) or by transaction."""

    charger_id: protocol.Identity | None = None
    connector_id: protocol.ConnectorNumber | None = None
    transaction_id: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | None = None
    client_ref: protocol.ClientRef | None = None


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
        operation_id="remote_start",
        tags=["operators"],
        parameters=[idempotency.HEADER],
        request=RemoteStartWish,
        responses=_RESULT,
    )
    def post(self, request: Request) -> Response:
        """Start at a charger for an id tag."""
        wish = decoded(RemoteStartWish, idempotency.with_key(request, body_of(request)))
        return enveloped(async_to_sync(_remote_start)(caller(request), wish))


class RemoteStop(OperatorView):
    @extend_schema(
        operation_id="remote_stop",
        tags=["operators"],
        parameters=[idempotency.HEADER],
        request=RemoteStopWish,
        responses=_RESULT,
    )
    def post(self, request: Request) -> Response:
        """Stop a session, by charger (and connector) or by transaction."""
        wish = decoded(RemoteStopWish, idempotency.with_key(request, body_of(request)))
        return enveloped(async_to_sync(_remote_stop)(caller(request), wish))


async def _remote_start(user: AbstractBaseUser, wish: RemoteStartWish) -> CommandResult:
    id_tag = id_tags.normalised(wish.id_tag)
    if not id_tag:
        raise ValidationFailed("id_tag is blank")
    params = {"connector_id": wish.connector_id, "id_tag": id_tag}
    command_id = outcomes.new_command_id()
    async with results.expecting(command_id) as done:
        command = await in_db(_begin_start, user, wish, params, command_id)
        await _end(command, command_id, done)
    return await in_db(_command_result, command.pk)


def _begin_start(
    user: AbstractBaseUser, wish: RemoteStartWish, params: dict[str, Any], command_id: Any
) -> Command:
    def act() -> client_refs.Requested:
        charger = Charger.objects.filter(identity=wish.charger_id).first()
        if charger is None:
            raise NotFound(Words("There is no charger %(charger)s", charger=wish.charger_id))
        command = operations.perform(
            charger=charger,
            action=commands.REMOTE_START,
            params=params,
            requested_by=user,
            command_id=command_id,
        )
        return client_refs.Requested(None, command)

    named = ["remote_start", wish.charger_id, params]
    _, command = client_refs.once(user=user, ref=wish.client_ref, wish=named, act=act)
    assert command is not None  # every start has one
    return command


async def _end(command: Command, command_id: Any, done: Any) -> None:
    if command.pk == command_id:
        await outcomes.end_of(command_id, done)
    else:
        await outcomes.end_of_first_tap(command.pk)


async def _remote_stop(user: AbstractBaseUser, wish: RemoteStopWish) -> CommandResult:
    command_id = outcomes.new_command_id()
    async with results.expecting(command_id) as done:
        session, command = await in_db(_begin_stop, user, wish, command_id)
        if command is None or command.action != commands.REMOTE_STOP:  # it had not begun, and is called off
            return CommandResult(charger_id=await in_db(lambda: session.charger.identity))
        await _end(command, command_id, done)
    return await in_db(_command_result, command.pk)


def _begin_stop(user: AbstractBaseUser, wish: RemoteStopWish, command_id: Any) -> services.Requested:
    def act() -> client_refs.Requested:
        session = _running_session(wish)
        return client_refs.Requested(
            *services.stop(session=session, requested_by=user, command_id=command_id)
        )

    named = ["remote_stop", wish.charger_id, wish.connector_id, wish.transaction_id]
    session, command = client_refs.once(user=user, ref=wish.client_ref, wish=named, act=act)
    assert session is not None  # every stop has one
    return services.Requested(session, command)


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
        raise NotFound(Words("Nothing is being charged there"))
    return session


def _command_result(command_id: Any) -> CommandResult:
    command = Command.objects.select_related("charger").get(pk=command_id)
    if command.status != Command.Status.ACCEPTED:
        raise outcomes.command_failure(command)
    return CommandResult(
        charger_id=command.charger.identity,
        message_id=str(command.pk),
        action=command.action,
        status=command.status,
        answer=command.answer,
    )
