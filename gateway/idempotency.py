"""`Idempotency-Key`: over REST a request may be named in a header, which means the same as `client_ref` in its body."""

import msgspec
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from chargers.words import Words
from gateway.errors import ValidationFailed

HEADER = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="The same as `client_ref`: sent again within a day it is the same request, and is done once.",
)


def with_key(request: Request, body: msgspec.Raw) -> msgspec.Raw:
    """The body with the header's name for it as `client_ref`. Raises ValidationFailed where it has another one.

    Null counts as empty. What is no JSON object is left as it is: who decodes it says so.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return body
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw] | None) or {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    key = _unquoted(key.strip())
    named = msgspec.json.decode(fields.get("client_ref", b"null"))
    if named not in (None, key):
        raise ValidationFailed(Words("client_ref and Idempotency-Key differ"))
    fields["client_ref"] = msgspec.Raw(msgspec.json.encode(key))
    return msgspec.Raw(msgspec.json.encode(fields))


def _unquoted(key: str) -> str:
    """A structured field (RFC 8941), as the draft for this header has it, is a string in quotes."""
    return key[1:-1] if len(key) > 1 and key[0] == key[-1] == '"' else key
