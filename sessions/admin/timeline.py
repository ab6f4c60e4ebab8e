"""All that is known of a session in one list by time: what was asked, said, measured, odd and decided."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import F, Q, Window
from django.db.models.functions import Mod, RowNumber
from django.template.loader import render_to_string

from chargers.admin import columns
from chargers.events import utcnow
from chargers.models import Command, OcppCall
from sessions import pricing
from sessions.admin import figures
from sessions.models import ChargingSession
from sessions.readings import energy_delivered_wh

# Around the session: its plug, its card, its connector before and after.
MARGIN = timedelta(minutes=1)
MAX_CALLS, MAX_READINGS, MAX_SUSPECT = 1000, 40, 20
# Readings are shown as readings; heartbeats tell nothing of a session.
ELSEWHERE = ("MeterValues", "Heartbeat")


class Entry(NamedTuple):
    """One line. `body` is shown on demand: a frame, a cause."""

    at: datetime
    kind: str
    text: Any
    body: str = ""
    tone: str = "quiet"


def timeline(session: ChargingSession) -> str:
    parts = (_course, _commands, _calls, _connector, _readings, _oddities, _decisions)
    entries = sorted((entry for part in parts for entry in part(session)), key=lambda entry: entry.at)
    rows = [(columns.moment(entry.at), entry) for entry in entries]
    return render_to_string("admin/charging/chargingsession/timeline.html", {"rows": rows})


def _window(session: ChargingSession) -> tuple[datetime, datetime]:
    begins = [at for at in (session.requested_at, session.started_at, session.created_at) if at]
    # A replay is told long after it happened: its messages came when the row was written.
    ends = (
        [at for at in (session.stopped_at, session.updated_at) if at] if not session.is_open else [utcnow()]
    )
    return min(begins) - MARGIN, max(ends) + MARGIN


def _course(session: ChargingSession) -> Iterator[Entry]:
    if session.requested_at:
        yield Entry(session.requested_at, "session", "Asked for from an app", tone="busy")
    if session.started_at:
        register = figures.energy(session.meter_start_wh)
        yield Entry(session.started_at, "session", columns.links("Began", register), tone="good")
    if session.stopped_at:
        totals = (figures.energy(session.energy_wh), figures.money(session.cost, session.currency))
        text = columns.links("Ended", session.stop_reason or "no reason told", *totals)
        yield Entry(session.stopped_at, "session", text, tone="good")


def _commands(session: ChargingSession) -> Iterator[Entry]:
    begin, end = _window(session)
    own = Q(pk__in=[session.start_command_id, session.stop_command_id])
    others = Q(charger=session.charger_id, created_at__range=(begin, end))
    commands = Command.objects.filter(own | others).select_related("requested_by")
    for command in commands.order_by("created_at")[:MAX_CALLS]:
        if not _concerns(session, command.params, "transaction_id", "connector_id", "id_tag"):
            continue
        who = f"by {command.requested_by}" if command.requested_by else "by the system"
        link = columns.to_page(command, columns.word_of(command.action))
        yield Entry(command.created_at, "command", columns.links(link, who), tone="busy")
        if command.finished_at:
            ended = (link, columns.command_status(command), columns.outcome(command))
            yield Entry(command.finished_at, "command", columns.links(*ended), tone="busy")


def _calls(session: ChargingSession) -> Iterator[Entry]:
    begin, end = _window(session)
    calls = OcppCall.objects.filter(charger=session.charger_id, at__range=(begin, end))
    for call in calls.exclude(action__in=ELSEWHERE).order_by("-at")[:MAX_CALLS]:
        payload = _payload(call.request)
        if not _concerns(session, payload, "transactionId", "connectorId", "idTag"):
            continue
        arrow = "→" if call.direction == OcppCall.Direction.IN else "←"
        said = payload.get("status", "") if isinstance(payload.get("status"), str) else ""
        verdict = "" if call.verdict == "ok" else columns.badge("", call.verdict, tone="bad")
        text = columns.joined(arrow, call.action or "a frame", said, verdict)
        yield Entry(call.at, "message", text, "\n".join(filter(None, (call.request, call.answer))))


def _payload(frame: str) -> dict[str, Any]:
    try:
        payload = json.loads(frame)[3]
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}
    return payload if isinstance(payload, dict) else {}


def _concerns(
    session: ChargingSession, said: dict[str, Any], transaction: str, connector: str, tag: str
) -> bool:
    """Whether it is about this session: by the first of these that it names; the whole charger's concerns it too."""
    number = session.connector.number if session.connector else None
    if isinstance(named := said.get(transaction), int):
        return named <= 0 or named == session.transaction_id
    if said.get(connector) is not None:
        return said[connector] == number
    if isinstance(named := said.get(tag), str):
        return named.upper().strip() == session.id_tag
    return True


def _connector(session: ChargingSession) -> Iterator[Entry]:
    """As it stands; how it came to that is in the messages."""
    connector = session.connector
    if connector is None or connector.status_at is None:
        return
    begin, end = _window(session)
    if begin <= connector.status_at <= end:
        text = columns.joined(columns.to_page(connector), columns.badge(connector.status))
        yield Entry(connector.status_at, "connector", text)


def _readings(session: ChargingSession) -> Iterator[Entry]:
    """Thinned, with the energy and the cost so far; the suspect ones all."""
    good = session.readings.filter(is_suspect=False)
    step = good.count() // MAX_READINGS + 1
    number = Window(RowNumber(), order_by=[F("measured_at"), F("pk")])
    thinned = good.annotate(place=number).annotate(rest=Mod("place", step)).filter(rest=1 % step)
    suspect = session.readings.filter(is_suspect=True).order_by("measured_at", "pk")
    for row in [*thinned.defer("sampled_values"), *suspect.defer("sampled_values")[:MAX_SUSPECT]]:
        if row.is_suspect:
            yield Entry(row.measured_at, "reading", figures.register(row))
            continue
        energy = energy_delivered_wh(meter_start_wh=session.meter_start_wh, register_wh=row.energy_wh)
        figures_of = [
            figures.energy(energy),
            figures.power(row.power_w),
            figures.quantity(row.soc_percent, "%"),
        ]
        if energy is not None and session.started_at:
            seconds = round((row.measured_at - session.started_at).total_seconds())
            cost = pricing.cost(session.price, energy_wh=energy, duration_s=max(0, seconds))
            figures_of.append(figures.money(cost, session.currency))
        known = [figure for figure in figures_of if figure != columns.NOTHING]
        yield Entry(row.measured_at, "reading", columns.links(*known) or row.context or "no figures")


def _oddities(session: ChargingSession) -> Iterator[Entry]:
    for each in session.oddities.all():
        text = columns.joined(columns.badge("", each.flag, tone="wait"), each.reason)
        yield Entry(each.created_at, "odd", text, each.frame, tone="wait")


def _decisions(session: ChargingSession) -> Iterator[Entry]:
    for each in session.decisions.select_related("decided_by"):
        text = columns.links(columns.badge(each.verdict), f"by {each.decided_by}", each.reason)
        yield Entry(each.decided_at, "decision", text, tone="good")
