"""How values look on the operators' pages: badges, moments, links, JSON. No queries in here."""

import json
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.timesince import timesince
from django.utils.timezone import localtime

from chargers import passwords
from chargers.events import utcnow
from chargers.models import Charger, Command, Connector

# Where there is nothing to say; on a phone such cells are left out.
NOTHING = mark_safe('<span class="ev-none">–</span>')
HIDDEN = "••••••"

# The colour of a word; the word itself is always there too.
_TONES = {
    "good": {"Available", "Accepted", "accepted", "completed", "online", "default"},
    "busy": {"Charging", "active"},
    "wait": {
        *("Preparing", "SuspendedEV", "SuspendedEVSE", "Finishing", "Reserved", "Pending"),
        *("queued", "sent", "unknown", "pending", "stopping", "ConcurrentTx", "maintenance"),
    },
    "bad": {"Faulted", "Rejected", "rejected", "failed", "timed_out", "Blocked", "Expired", "Invalid"},
}
_TONE_OF = {word: tone for tone, words in _TONES.items() for word in words}

# What the codes of commands mean to a person.
_ERRORS = {
    "charger_offline": "The charger's connection was lost",
    "charger_timeout": "The charger did not answer in time",
    "cancelled": "Called off before it was sent",
}


def badge(word: str, text: str = "", *, tone: str = "", refresh_s: int = 0) -> SafeString:
    """A status. With `refresh_s` the page looks again after so many seconds (static/chargers/live.js)."""
    return format_html(
        '<span class="ev-badge ev-{}"{}>{}</span>',
        tone or _TONE_OF.get(word, "quiet"),
        format_html(' data-refresh="{}"', refresh_s) if refresh_s else "",
        text or word.replace("_", " "),
    )


def moment(at: datetime | None, *, seconds: bool = True) -> str:
    """A time in the zone of these pages; without its seconds it has them on hovering."""
    if at is None:
        return NOTHING
    exact = f"{localtime(at):%Y-%m-%d %H:%M:%S %Z}"
    shown = exact[: 19 if seconds else 16]
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), exact, shown)


def ago(at: datetime | None) -> str:
    """How long ago, with the exact time on hovering."""
    return NOTHING if at is None else _passed(at, "{} ago")


def _passed(at: datetime, words: str) -> SafeString:
    is_new = (utcnow() - at).total_seconds() < 60
    text = "just now" if is_new else words.format(timesince(at, utcnow(), depth=1))
    exact = f"{localtime(at):%Y-%m-%d %H:%M:%S %Z}"
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), exact, text)


def online(charger: Charger, *, refresh_s: int = 0) -> SafeString:
    """A dot, a word, and for how long."""
    up = charger.is_connected
    since = charger.connected_at if up else charger.disconnected_at
    never = not up and charger.connected_at is None
    return format_html(
        '<span class="ev-online ev-{}"{}><span class="ev-dot" aria-hidden="true">{}</span> {}</span>{}',
        "up" if up else "down",
        format_html(' data-refresh="{}"', refresh_s) if refresh_s else "",
        "●" if up else "○",
        "online" if up else "never connected" if never else "offline",
        format_html(' <span class="ev-quiet">{}</span>', _passed(since, "for {}")) if since else "",
    )


def connectors(rows: list[Connector]) -> str:
    """How many connectors are in which status."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.status] = counts.get(row.status, 0) + 1
    if not counts:
        return NOTHING
    return format_html_join(
        " ", "{}", ((badge(word, f"{count} {word or 'not told'}"),) for word, count in counts.items())
    )


def trouble(connector: Connector) -> str:
    """What is wrong, in the charger's words and the vendor's."""
    words = (connector.error_code, connector.vendor_error_code, connector.info)
    return " – ".join(filter(None, words)) or NOTHING


def command_status(command: Command) -> SafeString:
    return badge(command.status, refresh_s=0 if command.is_finished else 1)


def word_of(action: str) -> str:
    """`remote_start` as `Remote start`."""
    return action.replace("_", " ").capitalize()


def error_of(command: Command) -> str:
    return _ERRORS.get(command.error, command.error)


def params_of(command: Command) -> dict[str, Any]:
    """What was asked, without secrets: a charger's password travels as a value of its configuration."""
    params = dict(command.params)
    if is_secret(str(params.get("key", ""))):
        params["value"] = HIDDEN
    return params


def is_secret(key: str) -> bool:
    return passwords.is_key(key)


def brief(params: dict[str, Any]) -> str:
    text = ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in params.items())
    return text if len(text) <= 80 else text[:79] + "…"


def outcome(command: Command) -> str:
    """The end of a command in a few words: the charger's status word where it gave one, else the cause."""
    if command.error:
        return error_of(command)
    answer = command.answer
    if isinstance(answer, dict) and isinstance(answer.get("status"), str):
        return answer["status"]
    if isinstance(answer, dict) and isinstance(answer.get("configurationKey"), list):
        return f"{len(answer['configurationKey'])} keys"
    if not answer:
        return NOTHING
    text = json.dumps(answer, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"


def took(command: Command) -> str:
    """Between the asking and the end."""
    if command.finished_at is None:
        return NOTHING
    return f"{max(0.0, (command.finished_at - command.created_at).total_seconds()):.2f} s"


def pretty(value: Any) -> str:
    """JSON for reading."""
    if value is None:
        return NOTHING
    return format_html('<pre class="ev-json">{}</pre>', json.dumps(value, indent=2, ensure_ascii=False))


def table(head: list[str], rows: list[list[Any]], *, empty: str = "None yet") -> SafeString:
    """A small read-only table inside a page."""
    if not rows:
        return format_html('<span class="ev-quiet">{}</span>', empty)
    return format_html(
        '<div class="ev-scroll"><table class="ev-table"><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>',
        format_html_join("", '<th scope="col">{}</th>', ((name,) for name in head)),
        format_html_join(
            "",
            "<tr>{}</tr>",
            ((format_html_join("", "<td>{}</td>", ((cell,) for cell in row)),) for row in rows),
        ),
    )


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


# --- links ---


def page_url(row: Model) -> str:
    meta = row._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])


def list_url(label: str, **query: Any) -> str:
    """A list narrowed down, by the model's `app.model`: so pages of chargers lead to sessions and import none."""
    url = reverse(f"admin:{label.replace('.', '_')}_changelist")
    return f"{url}?{urlencode(query)}" if query else url


def to_page(row: Model | None, text: str = "") -> str:
    if row is None:
        return NOTHING
    return format_html('<a href="{}">{}</a>', page_url(row), text or str(row))


def to_list(label: str, text: Any, **query: Any) -> SafeString:
    return format_html('<a href="{}">{}</a>', list_url(label, **query), text)


def joined(*parts: str, by: str = " ") -> SafeString:
    return format_html_join(by, "{}", ((part,) for part in parts))


def links(*parts: str) -> SafeString:
    return joined(*parts, by=" · ")
