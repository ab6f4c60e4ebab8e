"""OpenTelemetry traces, off unless an OTEL_… variable names a place for them: then `live` is what makes the spans.

Who has something to trace asks `if tracing.live`, and nothing else happens without it. The packages are an extra of
pyproject.toml; gateway.spans imports them.
"""

from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Optional

from django.conf import settings

if TYPE_CHECKING:
    from gateway.spans import Belongs, Spans

PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")

live: Optional["Spans"] = None


def is_installed() -> bool:
    try:
        return all(find_spec(name) for name in PACKAGES)
    except ModuleNotFoundError:  # of a parent
        return False


def start() -> None:
    """Before this process serves. Without the packages nothing is traced: a system check has said so."""
    global live
    if live is None and settings.TRACING and is_installed():
        live = import_module("gateway.spans").Spans()


def effect(name: str) -> "AbstractContextManager[Belongs]":
    """Around the storing of what a charger reports; see Spans.effect."""
    return live.effect(name) if live else nullcontext(_nobody_asks)


def _nobody_asks(*whose: Any) -> None:
    pass


def stop() -> None:
    """Send what is not sent yet. It takes as long as the collector lets it, at most some seconds."""
    global live
    if live is not None:
        spans, live = live, None
        spans.stop()
