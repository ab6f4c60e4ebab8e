"""The spans of a trace, from an app's action to what came of it. Imported by gateway.tracing where traces are wanted.

A trace that leads to a command has the command's id: it is the OCPP message id and the app's `message_id`, too, so
either finds the trace, and any process can join it by that id alone, at any time: nothing is stored for it, and a
transaction that begins minutes later, on another process, finds its way. Messages on the bus carry W3C's `traceparent`
besides.

Spans name chargers, commands, sessions, actions and outcomes; no users, no tokens, no id tags.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from django.db import transaction
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from chargers import bus
from chargers.errors import DomainError
from chargers.models import Command
from gateway import logs
from sessions.models import ChargingSession

Answer = TypeVar("Answer")

# (status, the charger's answer, error): how asking a charger ends.
Ended = tuple[str, Any, str]

Belongs = Callable[[uuid.UUID | None, ChargingSession], None]

_PLAIN: dict[str, Any] = {
    "record_exception": False,
    "set_status_on_exception": False,
}  # errors may quote what was sent
_SPAN_ID = 2**64 - 1

_unused_id: ContextVar[list[uuid.UUID] | None] = ContextVar("unused_id", default=None)
_w3c = TraceContextTextMapPropagator()


class _Ids(RandomIdGenerator):
    """Traces are numbered by UUIDs, so that a command can have its trace's; a command's span by the half of its id."""

    def __init__(self) -> None:
        self.next = threading.local()

    def generate_trace_id(self) -> int:
        command_id: uuid.UUID | None = getattr(self.next, "command_id", None)
        return (command_id or uuid.uuid4()).int

    def generate_span_id(self) -> int:
        command_id: uuid.UUID | None = getattr(self.next, "command_id", None)
        return _span_id(command_id) if command_id else super().generate_span_id()

    @contextmanager
    def of(self, command_id: uuid.UUID) -> Iterator[None]:
        self.next.command_id = command_id
        try:
            yield
        finally:
            self.next.command_id = None


class _Event(msgspec.Struct):
    """What a span tells of an event."""

    type: str = ""
    event: str | None = None
    session_id: Any = None


class Spans:
    """What makes the spans of this process, and sends them, in a thread of its own, to where OTEL_… says."""

    def __init__(self) -> None:
        self.ids = _Ids()
        self.provider = TracerProvider(resource=_resource(), id_generator=self.ids)
        self.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self.tracer = self.provider.get_tracer("evcharge")

    def stop(self) -> None:
        self.provider.shutdown()

    # --- an app's action ---

    async def action(self, action: str, work: Awaitable[Answer]) -> Answer:
        """The root of a trace, whatever else is traced around it: the trace's number has to be of our making."""
        root = self.tracer.start_as_current_span(f"app {action[:40]}", Context(), SpanKind.SERVER, **_PLAIN)
        with root as span:
            context = span.get_span_context()
            tokens = _unused_id.set([uuid.UUID(int=context.trace_id)]), bus.traceparent.set(_written(span))
            logs.also(trace_id=f"{context.trace_id:032x}")
            outcome = "internal_error"
            try:
                answer = await work
                outcome = "ok"
                for name, key in (("charger_id", "charger.identity"), ("session_id", "session.id")):
                    _tell(span, key, getattr(answer, name, None))
                return answer
            except DomainError as error:
                outcome = error.code
                raise
            finally:
                _tell(span, "action", action[:40])
                _conclude(span, outcome, failed=outcome == "internal_error")
                _unused_id.reset(tokens[0])
                bus.traceparent.reset(tokens[1])

    def command_id(self) -> uuid.UUID:
        """An id for a new command: that of the trace, for the first in it."""
        unused = _unused_id.get()
        return unused.pop() if unused else uuid.uuid4()

    # --- a command, in the process that has the charger ---

    async def command(self, command: Command, asking: Coroutine[Any, Any, Ended], traceparent: str) -> Ended:
        """From the wish to the charger's answer: how long it waited for its turn, and how long the charger took."""
        span = self._command_span(command, traceparent)
        within = trace.set_span_in_context(span, Context())
        queued = self.tracer.start_span("queued", within, start_time=_ns(command.created_at))
        queued.end(_ns(command.sent_at or command.created_at))
        try:
            with self.tracer.start_as_current_span(
                f"charger {command.action}", within, SpanKind.CLIENT, **_PLAIN
            ) as call:
                status, answer, error = await asking
                _conclude(call, status, failed=_has_failed(status))
            _conclude(span, status, failed=_has_failed(status))
            return status, answer, error
        finally:
            span.end()

    def _command_span(self, command: Command, traceparent: str) -> Span:
        """A child of the action that it has its id from; the root of its own trace without one."""
        parent = _read(traceparent)
        asker = trace.get_current_span(parent).get_span_context()
        is_child = asker.trace_id == command.pk.int
        with self.ids.of(command.pk):
            span = self.tracer.start_span(
                f"command {command.action}",
                parent if is_child else Context(),
                links=[] if is_child or not asker.is_valid else [Link(asker)],
                start_time=_ns(command.created_at),
            )
        _tell(span, "action", command.action)
        _tell(span, "command.id", str(command.pk))
        _tell(span, "charger.id", command.charger_id)
        _tell(span, "charger.identity", command.charger.identity)
        return span

    # --- what came of it ---

    @contextmanager
    def effect(self, name: str) -> Iterator[Belongs]:
        """A charger's report that may be what a command led to: whose it is, it tells as soon as it knows.

        All in one transaction, so that events about it, sent on commit, belong to its span.
        """
        begun, spans = time.time_ns(), list[Span]()

        def belongs(command_id: uuid.UUID | None, session: ChargingSession) -> None:
            if command_id is None:
                return
            span = self.tracer.start_span(name, self._after(command_id), SpanKind.SERVER, start_time=begun)
            _tell(span, "charger.id", session.charger_id)
            _tell(span, "session.id", session.pk)
            bus.traceparent.set(
                _written(span)
            )  # for the rest of this call to the database, which has its own context
            spans.append(span)

        try:
            with transaction.atomic():
                yield belongs
        finally:
            for span in spans:
                span.end()

    def _after(self, command_id: uuid.UUID) -> Context:
        """In the trace of a command, under its span. The sampler decides by the number, as it did before."""
        decision = self.provider.sampler.should_sample(None, command_id.int, "command").decision
        flags = TraceFlags(TraceFlags.SAMPLED if decision.is_sampled() else TraceFlags.DEFAULT)
        parent = SpanContext(command_id.int, _span_id(command_id), is_remote=True, trace_flags=flags)
        return trace.set_span_in_context(NonRecordingSpan(parent), Context())

    async def event(self, message: dict[str, Any], sending: Awaitable[None]) -> None:
        """An event on its way to one app's socket."""
        told = msgspec.json.decode(message["body"], type=_Event)
        name = f"event {told.event or told.type}"
        within = _read(message["traceparent"])
        with self.tracer.start_as_current_span(name, within, SpanKind.PRODUCER, **_PLAIN) as span:
            _tell(span, "session.id", told.session_id)
            await sending


def _resource() -> Resource:
    resource = Resource.create({SERVICE_INSTANCE_ID: f"{socket.gethostname()}:{os.getpid()}"})
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "evcharge"}))
    return resource


def _span_id(command_id: uuid.UUID) -> int:
    return command_id.int & _SPAN_ID


def _written(span: Span) -> str:
    carrier: dict[str, str] = {}
    _w3c.inject(carrier, trace.set_span_in_context(span, Context()))
    return carrier.get("traceparent", "")


def _read(traceparent: str) -> Context:
    return _w3c.extract({"traceparent": traceparent}, Context())


def _tell(span: Span, name: str, value: Any) -> None:
    if value is not None:
        span.set_attribute(f"evcharge.{name}", value)


def _conclude(span: Span, outcome: str, *, failed: bool) -> None:
    _tell(span, "outcome", outcome)
    if failed:
        span.set_status(StatusCode.ERROR, outcome)


def _has_failed(status: str) -> bool:
    return status not in (Command.Status.ACCEPTED, Command.Status.REJECTED)


def _ns(at: datetime) -> int:
    return round(at.timestamp() * 1e9)
