"""The language of who reads: `?lang=`, else `Accept-Language`, else English; the same for sockets and requests.

What is made and kept is English (chargers.words). An answer is said in the reader's language as it leaves, an event as
it is forwarded; English costs nothing. The pages of operators are no business of this: nothing here outlives a call.
"""

from functools import lru_cache
from typing import Any, TypeVar

import msgspec
import orjson
from django.http import HttpRequest
from django.utils.translation import get_supported_language_variant, override
from django.utils.translation.trans_real import parse_accept_lang_header
from rest_framework.request import Request

from chargers.words import Made, Words, said, said_of
from sessions.readings import span

ENGLISH = "en"

Answer = TypeVar("Answer")


def of_request(request: Request | HttpRequest) -> str:
    return _chosen(request.GET.get("lang", ""), request.headers.get("Accept-Language", ""))


def of_handshake(query: dict[str, list[str]], headers: list[tuple[bytes, bytes]]) -> str:
    """Of a socket's."""
    header = next((value for name, value in headers if name == b"accept-language"), b"")
    return _chosen(query.get("lang", [""])[0], header.decode("latin-1"))


def of_wish(query: dict[str, list[str]]) -> str:
    """What was asked for by `?lang=` alone. A close's reason is in this: apps from before there were languages look
    for the English one, whatever their browser accepts."""
    return _chosen(query.get("lang", [""])[0], "")


@lru_cache(maxsize=1000)
def _chosen(wish: str, header: str) -> str:
    """`de-AT` is German. A language that there is none of counts as none named."""
    accepted = [language for language, _ in parse_accept_lang_header(header)]
    for language in (wish.lower().replace("_", "-"), *accepted):
        try:
            return get_supported_language_variant(language)
        except LookupError:
            continue
    return ENGLISH


def translated(answer: Answer, language: str) -> Answer:
    """An answer with its sentences in that language."""
    if language == ENGLISH:
        return answer
    with override(language):
        return _translated(answer)


def _translated(thing: Any) -> Any:
    if isinstance(thing, Words):
        return said(thing)
    if isinstance(thing, msgspec.Struct):
        fields = [(name, getattr(thing, name)) for name in thing.__struct_fields__]
        changes = {name: new for name, part in fields if (new := _translated(part)) is not part}
        return msgspec.structs.replace(thing, **changes) if changes else thing
    if isinstance(thing, dict):
        return {name: _translated(part) for name, part in thing.items()}
    if isinstance(thing, list):
        return [_translated(part) for part in thing]
    return thing


def sentence(text: str, language: str) -> str:
    """An error's sentence, which may be a constant of its class."""
    if language == ENGLISH:
        return text
    with override(language):
        return said(text)


# Of a tick: what is said of which figure. So that ticks, of which there are most, carry no sentences for the few.
_SPANS = {"time_remaining_display": "time_remaining", "charging_duration_display": "charging_duration"}


def tick_retold(body: str, language: str) -> str:
    """An encoded `meter_value` with its spans of time in that language."""
    event = orjson.loads(body)
    data = event["data"]
    with override(language):
        for display, seconds in _SPANS.items():
            if data[display] is not None:
                data[display] = said(span(data[seconds]))
    return orjson.dumps(event).decode()


def retold(body: str, words: dict[str, Made], language: str) -> str:
    """An encoded event with its sentences, by their paths, in that language."""
    event = orjson.loads(body)
    with override(language):
        for path, made in words.items():
            *parents, name = path.split(".")
            place = event
            for parent in parents:
                place = place[parent]
            place[name] = said_of(made)
    return orjson.dumps(event).decode()
