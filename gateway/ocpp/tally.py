"""OCPP's calls, counted and timed by direction, action and verdict (gateway.ocpp.rpc.Recorder has what those are)."""

from gateway.counters import Timed
from gateway.ocpp.schemas import messages
from gateway.ocpp.v16_commands import VERSION

_ERRORS = (
    "NotImplemented",
    "NotSupported",
    "InternalError",
    "ProtocolError",
    "SecurityError",
    "FormationViolation",
    "PropertyConstraintViolation",
    "OccurenceConstraintViolation",
    "OccurrenceConstraintViolation",
    "TypeConstraintViolation",
    "GenericError",
)
_ENDS = ("ok", "repeat", "timeout", "lost", "late", "unreadable", "unasked", "ignored")

calls = Timed(
    frozenset({"in", "out"}),
    frozenset(name for name in messages(VERSION) if not name.endswith("Response")),
    frozenset({*_ENDS, *_ERRORS}),
)
