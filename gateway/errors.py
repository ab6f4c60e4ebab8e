"""Errors as clients see them: one table from code to HTTP status, one shape for socket and REST."""

import logging
from math import ceil
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, UnreadablePostError
from redis.exceptions import RedisError
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from chargers.errors import DomainError
from gateway import languages
from gateway.limits import RateLimited

logger = logging.getLogger(__name__)

HTTP_STATUS = {
    "invalid_message": 400,
    "unknown_action": 400,
    "validation_error": 400,
    "authentication_failed": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "invalid_profile": 400,
    "unfit_password": 400,
    "unfit_certificate": 400,
    "password_change_open": 409,
    "action_not_supported": 409,
    "message_id_used": 409,
    "update_under_way": 409,
    "charger_offline": 409,
    "charger_accepted": 409,
    "charger_pending": 409,
    "connector_unavailable": 409,
    "connector_busy": 409,
    "active_session_exists": 409,
    "reservation_exists": 409,
    "reservation_not_supported": 409,
    "too_many_watches": 409,
    "no_active_session": 404,
    "session_not_ended": 409,
    "no_receipt": 409,
    "wrong_password": 403,
    "session_not_running": 409,
    "nothing_to_review": 409,
    "charger_rejected": 409,
    "cancelled": 409,
    "rate_limited": 429,
    "internal_error": 500,
    "unavailable": 503,
    "charger_timeout": 504,
}


class InvalidMessage(DomainError):
    code = "invalid_message"
    sentence = "The message could not be read"


class UnknownAction(DomainError):
    code = "unknown_action"
    sentence = "Unknown action"


class ValidationFailed(DomainError):
    code = "validation_error"
    sentence = "A field is missing or of the wrong type"


class Forbidden(DomainError):
    code = "forbidden"
    sentence = "This needs an operator"


class ChargerRejected(DomainError):
    code = "charger_rejected"
    sentence = "The charger refused"


class ChargerTimeout(DomainError):
    code = "charger_timeout"
    sentence = "The charger did not answer in time"


class Unavailable(DomainError):
    code = "unavailable"
    sentence = "The service is not available at the moment; try again"


def failure(error: DomainError, language: str = languages.ENGLISH) -> dict[str, Any]:
    """`{"success": false, …}` as section 2 of the protocol has it; `error` in the reader's language."""
    told = {
        "success": False,
        "error": languages.sentence(error.sentence, language),
        "code": error.code,
        "message": str(error.detail or error.sentence),  # for programmers: English, and so it stays
    }
    return {**told, "retry_after": error.retry_after} if isinstance(error, RateLimited) else told


def waiting(error: DomainError) -> dict[str, str]:
    """`Retry-After`, in whole seconds, where there is a time to wait for."""
    return {"Retry-After": str(ceil(error.retry_after))} if isinstance(error, RateLimited) else {}


_REST_CODES: list[tuple[type[Exception], str]] = [
    (exceptions.AuthenticationFailed, "authentication_failed"),
    (exceptions.NotAuthenticated, "authentication_failed"),
    (exceptions.PermissionDenied, "forbidden"),
    (exceptions.NotFound, "not_found"),
    (Http404, "not_found"),
    (exceptions.MethodNotAllowed, "method_not_allowed"),
    (exceptions.Throttled, "rate_limited"),
    (exceptions.ParseError, "invalid_message"),
    (exceptions.UnsupportedMediaType, "invalid_message"),
    (exceptions.ValidationError, "validation_error"),
]


# What is not DRF's and not ours, but has an answer all the same.
_FOREIGN: list[tuple[type[Exception], type[DomainError]]] = [
    (OperationalError, Unavailable),
    (InterfaceError, Unavailable),
    (RedisError, Unavailable),
    (SuspiciousOperation, InvalidMessage),  # such as a body that is too large
    (UnreadablePostError, InvalidMessage),
]


def rest_exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's exception handler: every error of the API has the same shape and a stable code.

    What nobody expected is logged with its trace and answered without it.
    """
    if ours := domain_error(error):
        body = failure(ours, _language(context))
        return Response(body, status=HTTP_STATUS.get(ours.code, 500), headers=waiting(ours))
    response = exception_handler(error, context)
    if response is None:
        logger.error("%s failed", type(context.get("view")).__name__, exc_info=error)
        return Response(failure(DomainError(), _language(context)), status=500)
    code = next((code for kind, code in _REST_CODES if isinstance(error, kind)), "invalid_message")
    detail = response.data.get("detail") if isinstance(response.data, dict) else None
    sentence = str(detail) if detail else "The request is not valid"
    spoken = languages.sentence(sentence, _language(context))
    body = {"success": False, "error": spoken, "code": code, "message": sentence}
    if detail is None:
        body["message"] = "; ".join(_field_errors(response.data))
    elif reasons := response.data.get("messages"):  # simplejwt's: what is wrong with the token
        body["message"] = "; ".join(str(reason["message"]) for reason in reasons)
    if (wait_s := response.headers.get("Retry-After")) is not None:
        body["retry_after"] = float(wait_s)
    response.data = body
    return response


def _language(context: dict[str, Any]) -> str:
    request = context.get("request")
    return languages.of_request(request) if request is not None else languages.ENGLISH


def domain_error(error: Exception) -> DomainError | None:
    if isinstance(error, DomainError):
        return error
    kind = next((ours for kind, ours in _FOREIGN if isinstance(error, kind)), None)
    if kind is None:
        return None
    logger.warning("answered %s: %s", kind.code, error)
    return kind()


def _field_errors(data: Any) -> list[str]:
    if isinstance(data, dict):
        return [f"{name}: {text}" for name, errors in data.items() for text in _field_errors(errors)]
    if isinstance(data, list):
        return [text for item in data for text in _field_errors(item)]
    return [str(data)]
