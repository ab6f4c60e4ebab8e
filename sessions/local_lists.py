"""What chargers know of id tags by heart (OCPP 1.6 §3.5.2): asked for, sent, and brought in step with ours.

There is no plan of several messages. What the charger accepted is written down, and what differs then is sent
next; so a plan cannot be lost, and a tag that changes meanwhile needs no second look.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, NamedTuple

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q

from chargers.commands import GET_CONFIGURATION, GET_LOCAL_LIST_VERSION, SEND_LOCAL_LIST, send_command
from chargers.errors import DomainError
from chargers.events import utcnow
from chargers.models import Charger, Command
from sessions import id_tags
from sessions.errors import InvalidParameter
from sessions.models import IdTag, LocalList

State = LocalList.State
Entries = dict[str, dict[str, str]]

FULL, DIFFERENTIAL = "Full", "Differential"
# Words of GetLocalListVersion and SendLocalList for "I have no such thing".
UNSUPPORTED_VERSION, NOT_SUPPORTED, VERSION_MISMATCH = -1, "NotSupported", "VersionMismatch"
NOT_KNOWN = {"NotSupported", "NotImplemented"}  # CALLERRORs

PER_MESSAGE, ROOM = "SendLocalListMaxLength", "LocalAuthListMaxLength"
DEFAULT_PER_MESSAGE = 100  # for a charger that does not say
MAX_VERSION = 2**31 - 1
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=4)


class Tags(NamedTuple):
    """What every list should say now; the fingerprint tells quickly whether a list was in step with just this."""

    infos: Entries
    fingerprint: str


def tags_now() -> Tags:
    now = utcnow()
    rows = IdTag.objects.select_related("parent").order_by("value")
    infos = {tag.value: id_tags.info_of(tag, now=now) for tag in rows if id_tags.may_go_out(tag.value)}
    return Tags(infos, hashlib.sha256(json.dumps(infos).encode()).hexdigest())


# --- what is asked for ---


@transaction.atomic
def sync(
    charger: Charger, *, full: bool = False, requested_by: AbstractBaseUser | None = None
) -> Command | None:
    """Send what the charger's list lacks, or all of it. None where nothing does, or a message is under way already.

    One message at a time: the answer to it brings the next. Raises ChargerOffline.
    """
    LocalList.objects.get_or_create(charger=charger)
    local = _locked(charger.pk)
    return None if _is_under_way(local) else _send_next(local, full=full, requested_by=requested_by)


@transaction.atomic
def check(charger: Charger, *, requested_by: AbstractBaseUser | None = None) -> Command | None:
    """Ask the charger for its version; what differs is sent then. None while a message is under way.

    Raises ChargerOffline.
    """
    LocalList.objects.get_or_create(charger=charger)
    local = _locked(charger.pk)
    return None if _is_under_way(local) else _ask(local, requested_by=requested_by)


@transaction.atomic
def send(
    *,
    charger: Charger,
    params: dict[str, Any],
    requested_by: AbstractBaseUser | None = None,
    command_id: uuid.UUID | None = None,
) -> Command:
    """A message as somebody worded it. Accepted, its entries are what the charger knows; a list that is to be
    kept in step is mended after. Raises InvalidParameter, ChargerOffline.
    """
    LocalList.objects.get_or_create(charger=charger, defaults={"is_wanted": False})
    local = _locked(charger.pk)
    newest = _next_version(local) - 1
    if not newest < params["version"] <= MAX_VERSION:
        raise InvalidParameter(f"The list's version only grows: it must be above {newest}")
    entries = params.get("entries", [])
    tags = [_key(entry) for entry in entries]
    if len(set(tags)) < len(tags):
        raise InvalidParameter("An id tag is in the list more than once")
    if params["update_type"] == FULL and any("idTagInfo" not in entry for entry in entries):
        raise InvalidParameter("In a full list every id tag has its idTagInfo")
    return _send(local, params, requested_by=requested_by, command_id=command_id)


# --- what the charger answers ---


def settle(command: Command) -> None:
    """A version was told, or a message taken or refused."""
    LocalList.objects.get_or_create(charger=command.charger, defaults={"is_wanted": False})
    local = _locked(command.charger_id)
    if command.action == GET_LOCAL_LIST_VERSION:
        _settle_version(local, command)
    else:
        _settle_sent(local, command)


def _settle_version(local: LocalList, command: Command) -> None:
    version = _answered(command, "listVersion")
    if command.status != Command.Status.ACCEPTED or not isinstance(version, int):
        _not_done(local, command)
        return
    version = max(UNSUPPORTED_VERSION, min(version, MAX_VERSION))
    local.reported_version, local.asked_at = version, utcnow()
    if version == UNSUPPORTED_VERSION:
        _unsupported(local)
        return
    sent = local.command
    if sent and version == sent.params.get("version") != local.held_version:
        _apply(local, sent)  # we did not hear its answer
    elif version == 0:
        local.held_version, local.entries = 0, {}
    elif version != local.held_version:
        local.held_version, local.entries = None, {}
    local.save()
    _continue(local)


def _settle_sent(local: LocalList, command: Command) -> None:
    """Only the newest message decides what comes next; an older one's late answer may still say what was taken."""
    is_newest = local.command_id == command.pk
    word = _answered(command, "status")
    if command.status == Command.Status.ACCEPTED:
        _apply(local, command)
        local.failures, local.retry_at = 0, None
        local.save()
        if is_newest:
            _continue(local)
    elif not is_newest:
        return
    elif word == NOT_SUPPORTED:
        _unsupported(local)
    elif word == VERSION_MISMATCH and command.params["update_type"] == DIFFERENTIAL and local.is_wanted:
        _continue(local, full=True)  # E42, OCPP 1.6 §5.15
    else:
        if word is not None:  # it refused an update, so its list is not what we thought
            local.held_version = None
        _not_done(local, command)


def _apply(local: LocalList, command: Command) -> None:
    """The charger has taken this message, unless it is old news. Does not save."""
    version, held = command.params["version"], local.held_version
    if held is not None and version <= held:
        return
    local.reported_version = version
    entries = command.params.get("entries", [])
    if command.params["update_type"] == FULL:
        local.entries = {}
    elif held is None:
        return  # changes to what we do not know
    for entry in entries:
        if (info := entry.get("idTagInfo")) is not None:
            local.entries[_key(entry)] = info
        else:
            local.entries.pop(_key(entry), None)
    local.held_version = version


def _continue(local: LocalList, *, full: bool = False) -> None:
    """Send what is missing still, if it is ours to keep in step."""
    if _is_under_way(local):
        return
    if not local.is_wanted:
        _write(local, State.UNKNOWN, "Not kept in step")
        return
    try:
        _send_next(local, full=full)
    except DomainError:  # it went away meanwhile: it is asked when it is back
        local.asked_at = None
        _write(local, State.UNKNOWN, "The charger's connection was lost")


def _unsupported(local: LocalList) -> None:
    local.held_version, local.entries = None, {}
    local.firmware_version = local.charger.firmware_version
    local.failures, local.retry_at = 0, None
    _write(local, State.UNSUPPORTED, "The charger has no local lists")


def _not_done(local: LocalList, command: Command) -> None:
    """Try again later, beginning with the question for its version. A lost connection is nobody's failure."""
    local.asked_at = None
    if command.error == "charger_offline":
        _write(local, State.UNKNOWN, "The charger's connection was lost")
    elif _answered(command, "errorCode") in NOT_KNOWN:
        _unsupported(local)
    else:
        pause = min(FIRST_PAUSE * 2 ** min(local.failures, 10), LONGEST_PAUSE)
        local.failures += 1
        local.retry_at = utcnow() + pause
        word = _answered(command, "status")
        timed_out = command.error == "charger_timeout"
        reason = (
            "The charger did not answer" if timed_out else command.error or f"The charger answered {word}"
        )
        _write(local, State.FAILED, reason)


# --- the sweep ---


def sweep() -> int:
    """Bring every list that is to be kept in step a message nearer to it; returns how many were found wanting.

    A charger is asked for its version after each connect and boot: it may have lost its list, or have another's.
    """
    now = utcnow()
    lists = LocalList.objects.filter(
        is_wanted=True, charger__registration=Charger.Registration.ACCEPTED
    ).exclude(charger__channel_name="")
    if not lists.exists():
        return 0
    tags = tags_now()
    open_ones = _open_commands().filter(charger=OuterRef("charger"))
    due = (
        lists.filter(Q(retry_at=None) | Q(retry_at__lte=now))
        .exclude(state=State.UNSUPPORTED, firmware_version=F("charger__firmware_version"))
        .filter(_unasked() | ~Q(fingerprint=tags.fingerprint))
        .exclude(Exists(open_ones))
    )
    count = 0
    for charger_id in list(due.values_list("charger_id", flat=True)):
        count += _sweep_one(charger_id, tags)
    return count


def _unasked() -> Q:
    connected, booted = F("charger__connected_at"), F("charger__booted_at")
    return Q(asked_at=None) | Q(asked_at__lt=connected) | Q(asked_at__lt=booted)


@transaction.atomic
def _sweep_one(charger_id: int, tags: Tags) -> bool:
    local = _locked(charger_id)
    if _is_under_way(local):  # another process was faster
        return False
    try:
        if LocalList.objects.filter(_unasked(), pk=local.pk).exists():
            _ask(local)
        else:
            _send_next(local, tags=tags)
    except DomainError:
        return False
    return True


# --- messages ---


def _ask(local: LocalList, *, requested_by: AbstractBaseUser | None = None) -> Command:
    """Ask for its version, and first, where we do not know, for how much it takes."""
    charger = local.charger
    if PER_MESSAGE not in charger.configuration:
        send_command(charger=charger, action=GET_CONFIGURATION, params={"keys": [PER_MESSAGE, ROOM]})
    command = send_command(
        charger=charger, action=GET_LOCAL_LIST_VERSION, params={}, requested_by=requested_by
    )
    local.asked_at, local.retry_at = utcnow(), None
    _write(local, State.UNKNOWN, "Asked for its version")
    return command


def _send_next(
    local: LocalList,
    *,
    tags: Tags | None = None,
    full: bool = False,
    requested_by: AbstractBaseUser | None = None,
) -> Command | None:
    tags = tags or tags_now()
    wanted = _fitting(local.charger, tags.infos)
    changes = changes_between(local.entries, wanted)
    if local.held_version is not None and not changes and not full:
        local.fingerprint, local.failures, local.retry_at = tags.fingerprint, 0, None
        left = len(tags.infos) - len(wanted)
        _write(local, State.IN_STEP, f"The charger has no room for {left} of the id tags" if left else "")
        return None
    if full or not local.held_version or is_mostly_changed(local.entries, wanted):
        full, changes = True, changes_between({}, wanted)
    params = {
        "version": _next_version(local),
        "update_type": FULL if full else DIFFERENTIAL,
        "entries": changes[: _limit(local.charger, PER_MESSAGE) or DEFAULT_PER_MESSAGE],
    }
    return _send(local, params, requested_by=requested_by)


def _send(
    local: LocalList,
    params: dict[str, Any],
    *,
    requested_by: AbstractBaseUser | None = None,
    command_id: uuid.UUID | None = None,
) -> Command:
    local.command = send_command(
        charger=local.charger,
        action=SEND_LOCAL_LIST,
        params=params,
        requested_by=requested_by,
        command_id=command_id,
    )
    local.version, local.fingerprint = params["version"], ""
    _write(local, State.SENDING, "")
    return local.command


def changes_between(held: Entries, wanted: Entries) -> list[dict[str, Any]]:
    """OCPP's AuthorizationData (1.6 §7.1). Removals first: they make room for what is added."""
    removed: list[dict[str, Any]] = [{"idTag": tag} for tag in held if tag not in wanted]
    return removed + [
        {"idTag": tag, "idTagInfo": info} for tag, info in wanted.items() if held.get(tag) != info
    ]


def is_mostly_changed(held: Entries, wanted: Entries) -> bool:
    """Whether less than half of what the charger has still holds. What is only added does not count: a full
    list of several messages goes on as changes."""
    kept = sum(1 for tag, info in held.items() if wanted.get(tag) == info)
    return 2 * kept < len(held)


def _fitting(charger: Charger, infos: Entries) -> Entries:
    """As many as the charger has room for: first those that may charge."""
    room = _limit(charger, ROOM)
    if room is None or len(infos) <= room:
        return infos
    ranked: Iterable[str] = sorted(infos, key=lambda tag: infos[tag]["status"] != id_tags.ACCEPTED)
    return {tag: infos[tag] for tag in list(ranked)[:room]}


def _limit(charger: Charger, key: str) -> int | None:
    text = str(charger.configuration.get(key, "")).strip()
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _next_version(local: LocalList) -> int:
    """Above every one that was ever sent or told of, and never 0 or -1 (E42, errata 3.52)."""
    told = local.reported_version or 0
    return max(local.version, local.held_version or 0, told if told < MAX_VERSION else 0, 0) + 1


def _key(entry: dict[str, Any]) -> str:
    return id_tags.normalised(entry["idTag"])


def _answered(command: Command, name: str) -> Any:
    return command.answer.get(name) if isinstance(command.answer, dict) else None


def _locked(charger_id: int) -> LocalList:
    lists = LocalList.objects.select_for_update(of=("self",)).select_related("charger", "command")
    return lists.get(charger_id=charger_id)


def _open_commands() -> Any:
    return Command.objects.filter(action__in=(GET_LOCAL_LIST_VERSION, SEND_LOCAL_LIST), finished_at=None)


def _is_under_way(local: LocalList) -> bool:
    return _open_commands().filter(charger_id=local.charger_id).exists()


def _write(local: LocalList, state: str, detail: str) -> None:
    local.state, local.detail = state, detail[:255]
    local.save()
