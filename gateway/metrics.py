"""/metrics: what Prometheus reads of this process. Totals only: no ids, no names, no label that grows without limit."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from chargers import bus, commands
from chargers.models import WORDS, Command
from chargers.queries import counts as charger_counts
from gateway import actions, app_socket, background, counters, db, draining, health, lag, layers, logs
from gateway.counters import Histogram, Timed
from gateway.ocpp import tally, wire_log, writer
from sessions.queries import counts as session_counts

logger = logging.getLogger(__name__)

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


# --- commands: their ends are written in several places and processes, so the domain tells of each ---

_COMMAND_ENDS = frozenset(Command.Status.values)
_commands = Timed(frozenset(WORDS), _COMMAND_ENDS)


def count_command(command: Command, **signal: Any) -> None:
    """From the wish to its end, however it was brought about. A late answer is one more end."""
    _commands.add(_seconds_between(command.created_at, command.finished_at), command.action, command.status)


def _seconds_between(begun_at: datetime, ended_at: datetime | None) -> float | None:
    return None if ended_at is None else max(0.0, (ended_at - begun_at).total_seconds())


commands.ended.connect(count_command, dispatch_uid="metrics")


# --- shapes ---


def _counts(name: str, meaning: str, labels: Iterable[str], rows: Mapping[Any, float]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, meaning, labels=list(labels))
    for key, value in list(rows.items()):
        family.add_metric([key] if isinstance(key, str) else list(key), value)
    return family


def _gauges(name: str, meaning: str, label: str, rows: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=[label])
    for key, value in rows.items():
        family.add_metric([key], value)
    return family


def _histograms(
    name: str, meaning: str, labels: Iterable[str], rows: Mapping[tuple[str, ...], Histogram]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, meaning, labels=list(labels))
    for key, histogram in list(rows.items()):
        total, buckets = 0, []
        for bound, count in zip([*histogram.bounds, "+Inf"], list(histogram.counts), strict=True):
            total += count
            buckets.append((str(bound), total))
        family.add_metric(list(key), buckets, sum_value=histogram.total)
    return family


def _timed(
    names: tuple[str, str], meanings: tuple[str, str], labels: list[str], timed: Timed
) -> Iterator[Family]:
    """A counter by all labels, and a histogram by all but the last."""
    counted = {key: row.count for key, row in list(timed.tallies.items())}
    yield _counts(names[0], meanings[0], labels, counted)
    yield _histograms(names[1], meanings[1], labels[:-1], timed.durations)


# --- what is shown ---


def _sockets() -> Iterator[Family]:
    open_ones = health.connections()
    yield _gauges(
        "evcharge_ws_connections",
        "Open sockets of this process",
        "role",
        {"apps": open_ones.apps, "chargers": open_ones.chargers},
    )
    yield _counts("evcharge_ws_accepted", "Sockets let in", ["role"], counters.accepted)
    yield _counts("evcharge_ws_refused", "Sockets refused, by reason", ["role", "reason"], counters.refused)
    yield _counts(
        "evcharge_ws_closed", "Sockets that ended, by close code", ["role", "code"], counters.closed
    )


def _messages() -> Iterator[Family]:
    yield from _timed(
        ("evcharge_app_actions", "evcharge_app_action_duration_seconds"),
        (
            "Actions of apps, by socket and REST, and how they were answered",
            "From an app's action to its answer",
        ),
        ["action", "outcome"],
        actions.tally,
    )
    yield _counts(
        "evcharge_app_events",
        "Events sent to app sockets: ticks (meter values) and all others",
        ["kind"],
        app_socket.events_sent,
    )
    yield from _timed(
        ("evcharge_ocpp_calls", "evcharge_ocpp_call_duration_seconds"),
        (
            "OCPP calls and what became of them: `in` from chargers, `out` to them",
            "From an OCPP call to its answer: `in` is our time, `out` the charger's",
        ),
        ["direction", "action", "verdict"],
        tally.calls,
    )
    yield from _timed(
        ("evcharge_commands", "evcharge_command_duration_seconds"),
        (
            "Commands to chargers that ended, by how; of those that ended in this process",
            "From the wish to the end of a command",
        ),
        ["command", "end"],
        _commands,
    )


def _queues() -> Iterator[Family]:
    sent, buffer = bus.backlog(), wire_log.backlog()
    waiting, dropped = (
        {
            "bus": sent.waiting,
            "db_pool": db.waiting(),
            "sockets": layers.figures()["waiting"],
            "wire_log": buffer.waiting,
            "writer": writer.waiting(),
        },
        {"bus": sent.left_out, "wire_log": buffer.left_out},
    )
    yield _gauges("evcharge_queue_length", "What waits, by queue", "queue", waiting)
    fill = {
        "bus": sent.fill,
        "db_pool": waiting["db_pool"] / db.MAX_WAITING,
        "wire_log": buffer.fill,
        "writer": waiting["writer"] / writer.MAX_WAITING,
    }
    yield _gauges("evcharge_queue_fill_ratio", "How full bounded queues are, 0 to 1", "queue", fill)
    yield _counts("evcharge_queue_dropped", "What a full queue left out", ["queue"], dropped)


def _writing() -> Iterator[Family]:
    yield _histograms(
        "evcharge_writer_batch_messages",
        "Messages committed together by the group-commit writer; the count is that of commits",
        [],
        {(): writer.batches},
    )
    yield _histograms(
        "evcharge_writer_commit_duration_seconds", "Time of a group commit", [], {(): writer.commit_durations}
    )


_LAYER = {
    "published": ("evcharge_layer_published", "Messages published on the bus"),
    "delivered": ("evcharge_layer_delivered", "Messages handed to sockets of this process"),
    "overflowed": ("evcharge_layer_overflows", "Sockets' queues that were full and forgot what waited"),
    "undelivered": ("evcharge_layer_undelivered", "Messages the bus did not take"),
    "reconnects": ("evcharge_layer_reconnects", "Times a Redis was away and came back"),
}


def _layer() -> Iterator[Family]:
    figures = layers.figures()
    for key, (name, meaning) in _LAYER.items():
        yield CounterMetricFamily(name, meaning, value=figures[key])
    yield GaugeMetricFamily(
        "evcharge_layer_groups", "Groups that sockets of this process are in", figures["groups"]
    )


def _process() -> Iterator[Family]:
    yield _histograms(
        "evcharge_event_loop_lag_seconds",
        "By how much the event loop was late, sampled four times a second",
        [],
        {(): lag.histogram},
    )
    yield _counts(
        "evcharge_log_messages", "Messages in the log of this process, by level", ["level"], logs.written
    )
    yield GaugeMetricFamily(
        "evcharge_draining", "1 while this process is about to leave", draining.is_draining()
    )
    yield GaugeMetricFamily(
        "evcharge_sweep_last_success_timestamp_seconds",
        "When this process last swept without a fault, 0 if never; one process sweeps for all",
        background.swept_at,
    )


def _installation() -> Iterator[Family]:
    """Of what all processes share. Where the database is away, its figures are left out."""
    parts = health.parts()
    for name, meaning in (
        ("database", "1 if the database answered just now"),
        ("bus", "1 if every Redis of the bus answered just now; without Redis always"),
    ):
        yield GaugeMetricFamily(f"evcharge_{name}_up", meaning, parts[name] == health.OK)
    yield GaugeMetricFamily("evcharge_ready", "1 if /health answers 200", health.is_ready(parts))
    if parts["database"] != health.OK:
        return
    try:
        yield _gauges("evcharge_chargers", "Chargers of the installation", "state", charger_counts())
        yield _gauges(
            "evcharge_sessions", "Open charging sessions of the installation", "status", session_counts()
        )
    except (DatabaseError, InterfaceError) as error:
        logger.warning("metrics without the database's: %s", error)


class _Collector:
    """Everything of ours, read when Prometheus asks."""

    def collect(self) -> Iterator[Family]:
        begun = time.perf_counter()
        for part in (_sockets, _messages, _queues, _writing, _layer, _process, _installation):
            yield from part()
        took = time.perf_counter() - begun
        yield GaugeMetricFamily("evcharge_scrape_duration_seconds", "Time it took to gather all this", took)

    def describe(self) -> list[Family]:
        return []  # nothing is asked when it is registered


registry = CollectorRegistry()
for _collector in (ProcessCollector, PlatformCollector, GCCollector):
    _collector(registry=registry)
registry.register(_Collector())


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For the scraper of each process. Open to all who reach the port, so totals only: no names, no ids."""
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
