"""DataTransfer from chargers (OCPP 1.6 §4.3): each vendor's message is one function.

To add one, write it at the end of this module:

    @vendor("com.example", "ParkingSensor")
    def parking_sensor(message: Message) -> Answer:
        '''What the vendor's document says of it, and where that is to be had.'''
        parking.record(charger_id=message.charger_id, is_taken=bool(message.data["taken"]))
        return ACCEPTED, {"seen": True}

It runs in the pool, in one transaction, and calls a service; what it raises is logged and answered Rejected.
Without a message id it hears all of the vendor's messages that no other function names.
"""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson
from django.db import transaction

from gateway.db import in_db

logger = logging.getLogger(__name__)

ACCEPTED, REJECTED = "Accepted", "Rejected"
UNKNOWN_MESSAGE, UNKNOWN_VENDOR = "UnknownMessageId", "UnknownVendorId"
STATUSES = (ACCEPTED, REJECTED, UNKNOWN_MESSAGE, UNKNOWN_VENDOR)


class Message(NamedTuple):
    """`text` is the data as it came, None if there is none; `data` what it means as JSON, else the text."""

    charger_id: int
    vendor_id: str
    message_id: str
    text: str | None
    data: Any


# (status, data): data is text, or anything that JSON can say; None is none.
Answer = tuple[str, Any]
Function = Callable[[Message], Answer]

# By vendor and message id, without regard to case (both are CiStrings). No message id: any of the vendor's.
_functions: dict[tuple[str, str], Function] = {}


def vendor(vendor_id: str, message_id: str = "") -> Callable[[Function], Function]:
    """Make a function hear a vendor's message."""

    def register(function: Function) -> Function:
        key = vendor_id.casefold(), message_id.casefold()
        assert key not in _functions  # two would not know of each other
        _functions[key] = function
        return function

    return register


async def answer(*, charger_id: int, payload: dict[str, Any]) -> dict[str, Any]:
    """The answer to a DataTransfer. Never an error: a charger would take it for the line's."""
    vendor_id, message_id = str(payload.get("vendorId", "")), str(payload.get("messageId") or "")
    function = _functions.get((vendor_id.casefold(), message_id.casefold())) or _functions.get(
        (vendor_id.casefold(), "")
    )
    if function is None:
        known = any(vendor_id.casefold() == name for name, _ in _functions)
        return {"status": UNKNOWN_MESSAGE if known else UNKNOWN_VENDOR}
    text = payload.get("data")
    message = Message(charger_id, vendor_id, message_id, text, _meant(text))
    try:
        status, data = await in_db(_told, function, message)
        assert status in STATUSES  # a fault of the function
        said = data if data is None or isinstance(data, str) else orjson.dumps(data).decode()
    except Exception:
        logger.exception("DataTransfer %s %s failed", vendor_id, message_id)
        return {"status": REJECTED}
    return {"status": status} if said is None else {"status": status, "data": said}


def _meant(text: Any) -> Any:
    try:
        return orjson.loads(text)
    except (TypeError, ValueError):
        return text


@transaction.atomic
def _told(function: Function, message: Message) -> Answer:
    return function(message)
