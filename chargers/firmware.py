"""Firmware updates: what a charger is asked to install, and how far it has come by what it says and boots with.

Which update a notification is about: the one it names (the row's key is the request id of a signed one), else the
open one. An update only goes forward: what comes twice, late or out of order changes nothing.
"""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils.dateparse import parse_datetime

from chargers.clock import as_text
from chargers.commands import SIGNED_UPDATE_FIRMWARE, UPDATE_FIRMWARE, send_command
from chargers.errors import UpdateUnderWay
from chargers.events import utcnow
from chargers.models import Charger, Command, FirmwareUpdate

State = FirmwareUpdate.State

# What the charger works at; a charger has one such update at a time.
UNDER_WAY = (State.REQUESTED, State.RUNNING)
ENDED = (State.INSTALLED, State.FAILED, State.CANCELLED)

IDLE = "Idle"
INSTALLED = "Installed"
# The further on, the higher. A reboot may come before or after `Installing` (whitepaper, figure 13).
_PROGRESS = {
    "DownloadScheduled": 1,
    "Downloading": 2,
    "DownloadPaused": 2,
    "Downloaded": 3,
    "SignatureVerified": 4,
    "InstallScheduled": 5,
    "Installing": 6,
    "InstallRebooting": 6,
}
_FAILURES = {
    "DownloadFailed": "The charger could not download the firmware",
    "InstallationFailed": "The charger could not install the firmware",
    "InstallVerificationFailed": "The charger found the installed firmware to be wrong",
    "InvalidSignature": "The signature does not fit the firmware",
    "InvalidCertificate": "The charger does not trust the signing certificate",
    "RevokedCertificate": "The signing certificate is revoked",
}
_CODES = {
    "charger_offline": "The charger's connection was lost before it answered",
    "charger_timeout": "The charger did not answer",
    "cancelled": "Called off before it was sent",
}
SILENT = "Nothing was heard of it for a long time; the charger may have forgotten it"


# --- asking ---


@transaction.atomic
def request_update(
    *,
    charger: Charger,
    params: dict[str, Any],
    requested_by: AbstractBaseUser | None = None,
    command_id: uuid.UUID | None = None,
) -> Command:
    """Ask for an unsigned update, with the parameters of `update_firmware`. Raises UpdateUnderWay, ChargerOffline."""
    if charger.firmware_updates.filter(state__in=UNDER_WAY).exists():
        raise UpdateUnderWay
    update = FirmwareUpdate(charger=charger, location=params["location"][:512])
    params = {"retrieve_at": as_text(utcnow()), **params}
    return _ask(update, UPDATE_FIRMWARE, params, requested_by=requested_by, command_id=command_id)


@transaction.atomic
def request_signed_update(
    *,
    charger: Charger,
    params: dict[str, Any],
    requested_by: AbstractBaseUser | None = None,
    command_id: uuid.UUID | None = None,
) -> Command:
    """Ask for a signed update. While another is under way it waits for what the charger answers: it may cancel
    that one (L01.FR.26). The request id is ours, whatever the parameters say."""
    location = params["firmware"]["location"]
    update = FirmwareUpdate(charger=charger, location=location[:512], is_signed=True)
    return _ask(update, SIGNED_UPDATE_FIRMWARE, params, requested_by=requested_by, command_id=command_id)


def _ask(
    update: FirmwareUpdate,
    action: str,
    params: dict[str, Any],
    *,
    requested_by: AbstractBaseUser | None,
    command_id: uuid.UUID | None = None,
) -> Command:
    """Write the update, new or of a campaign, and its command. Raises UpdateUnderWay, ChargerOffline."""
    charger = update.charger
    is_second = update.is_signed and charger.firmware_updates.filter(state__in=UNDER_WAY).exists()
    update.state = State.WAITING if is_second else State.REQUESTED
    update.detail = "The charger is asked to do this instead of another update" if is_second else ""
    update.previous_version = charger.firmware_version
    try:
        with transaction.atomic():
            update.save()
    except IntegrityError as error:  # another process was faster
        raise UpdateUnderWay from error
    if update.is_signed:
        params = {**params, "request_id": update.pk}
    update.command = send_command(
        charger=charger, action=action, params=params, requested_by=requested_by, command_id=command_id
    )
    update.save(update_fields=["command"])
    return update.command


def ask_for_campaign(update: FirmwareUpdate) -> None:
    """Ask the charger of a waiting row for what its campaign wants. Raises UpdateUnderWay, ChargerOffline."""
    campaign = update.campaign
    assert campaign is not None  # only a campaign's rows wait to be asked
    retrieve_at = as_text(campaign.retrieve_at or utcnow())
    params: dict[str, Any] = {
        "retries": campaign.retries,
        "retry_interval_s": campaign.retry_interval_s,
    }
    update.is_signed = bool(campaign.signing_certificate)
    update.location = campaign.location
    if update.is_signed:
        params["firmware"] = {
            "location": campaign.location,
            "retrieveDateTime": retrieve_at,
            "signingCertificate": campaign.signing_certificate,
            "signature": campaign.signature,
        }
        if campaign.install_at:
            params["firmware"]["installDateTime"] = as_text(campaign.install_at)
        action = SIGNED_UPDATE_FIRMWARE
    else:
        params |= {"location": campaign.location, "retrieve_at": retrieve_at}
        action = UPDATE_FIRMWARE
    given = {name: value for name, value in params.items() if value is not None}
    _ask(update, action, given, requested_by=campaign.requested_by)


# --- the end of the command ---


@transaction.atomic
def settle(command: Command) -> None:
    """What the answer to an update's command, or the lack of one, means for the update."""
    update = _locked(FirmwareUpdate.objects.filter(command=command)).first()
    if update is None or update.state == State.CANCELLED:
        return
    if command.status == Command.Status.ACCEPTED:
        _accepted(update, has_cancelled=word_of(command.answer) == "AcceptedCanceled")
    elif update.status or update.state not in (State.WAITING, State.REQUESTED, State.FAILED):
        return  # what the charger does counts for more
    elif update.campaign_id and command.sent_at is None:
        _write(update, state=State.WAITING, command=None, detail="")  # it heard nothing: it is asked anew
    else:
        _end(update, State.FAILED, refusal(command))


def _accepted(update: FirmwareUpdate, *, has_cancelled: bool) -> None:
    """Also late, after we gave the answer up (E13): then it is under way after all, unless another one is."""
    is_late = update.state == State.FAILED and not update.status
    if is_late and not has_cancelled and _others_under_way(update).exists():
        return
    if has_cancelled or update.state == State.WAITING:
        _take_the_place(update)
    if is_late or update.state == State.WAITING:
        _write(update, state=State.REQUESTED, detail="", finished_at=None)


def _take_the_place(update: FirmwareUpdate) -> None:
    """A charger has one update at a time: that it took this one ends the one before."""
    for older in _locked(_others_under_way(update)):
        _end(older, State.CANCELLED, f"The charger took update {update.pk} instead")


def _others_under_way(update: FirmwareUpdate) -> QuerySet[FirmwareUpdate]:
    return FirmwareUpdate.objects.filter(charger_id=update.charger_id, state__in=UNDER_WAY).exclude(
        pk=update.pk
    )


def refusal(command: Command) -> str:
    """Why a command led to nothing, in words."""
    if command.error:
        return _CODES.get(command.error, f"The charger answered with an error: {command.error}")
    word = word_of(command.answer)
    return _FAILURES.get(word, f"The charger refused: {word}" if word else "The charger refused")


def word_of(answer: Any) -> str:
    """The status of a charger's answer; empty where it has none."""
    word = answer.get("status") if isinstance(answer, dict) else None
    return word if isinstance(word, str) else ""


# --- what the charger says ---


@transaction.atomic
def record_status(*, charger_id: int, status: str, request_id: int | None = None) -> None:
    """Store what a charger says of its update, whatever the word; it may be about none of ours (OCPP 1.6 §4.5)."""
    Charger.objects.filter(pk=charger_id).update(firmware_status=status[:30])
    update = _meant(charger_id, request_id)
    if update is not None and status:
        _hear(update, status[:40])


def _meant(charger_id: int, request_id: int | None) -> FirmwareUpdate | None:
    updates = _locked(FirmwareUpdate.objects.filter(charger_id=charger_id, command__isnull=False))
    if request_id is not None:
        return updates.filter(pk=request_id, is_signed=True).first()
    if under_way := updates.filter(state__in=UNDER_WAY).first():
        return under_way
    heard = updates.exclude(command__status=Command.Status.REJECTED)
    return heard.filter(finished_at__gte=silence_begins()).first()


def _hear(update: FirmwareUpdate, word: str) -> None:
    if word == IDLE:
        if update.state == State.RUNNING:
            _write(update, detail="The charger says that it is not updating")
    elif word == INSTALLED:
        if update.state != State.CANCELLED:
            _installed(update, status=word)
    elif update.state in ENDED and (update.status or update.state != State.FAILED):
        return  # late, or again; but of one that was given up for lost it is the first that we hear
    elif word in _FAILURES:
        _end(update, State.FAILED, _FAILURES[word], status=word, reported_at=utcnow())
    else:
        _runs(update, word)


def _runs(update: FirmwareUpdate, word: str) -> None:
    """It is under way, even if its command was given up for lost."""
    if update.state == State.FAILED and _others_under_way(update).exists():
        return
    _take_the_place(update)
    step, reached = _PROGRESS.get(word), _PROGRESS.get(update.status, 0)
    news: dict[str, Any] = {"detail": ""}
    if step is None:
        news = {"detail": f"The charger says “{word}”, which is no word of OCPP's"}
    elif step >= reached:
        news["status"] = word
    _write(update, state=State.RUNNING, finished_at=None, reported_at=utcnow(), **news)


def _installed(update: FirmwareUpdate, **changes: Any) -> None:
    if update.state == State.INSTALLED:
        if any(getattr(update, name) != value for name, value in changes.items()):
            _write(update, **changes)
        return
    _end(update, State.INSTALLED, "", reported_at=utcnow(), **changes)


# --- boots ---


@transaction.atomic
def booted(charger: Charger) -> None:
    """A charger has booted, and said with which firmware: another one than before ends the update well, whether it
    ever says `Installed` or not, and so does the one that a campaign wants."""
    version = charger.firmware_version
    if not version:
        return
    wanted = Q(campaign__version=version, state=State.FAILED)
    reported = Q(state=State.INSTALLED, installed_version="", finished_at__gte=silence_begins())
    updates = FirmwareUpdate.objects.filter(charger=charger).select_related("campaign")
    for update in _locked(updates.filter(Q(state__in=UNDER_WAY) | wanted | reported)):
        _boots_with(update, version)


def _boots_with(update: FirmwareUpdate, version: str) -> None:
    wanted = update.campaign.version if update.campaign else ""
    is_another = bool(update.previous_version) and version != update.previous_version
    if version != wanted and not is_another:
        if update.status:  # it had begun
            _write(update, detail=f"The charger booted with {version}")
        return
    _installed(update, installed_version=version)
    if wanted and version != wanted:
        _write(update, detail=f"The charger booted with {version}; {wanted} was wanted")


# --- what operators decide; what the sweep finds ---


@transaction.atomic
def give_up(update: FirmwareUpdate, *, by: AbstractBaseUser) -> bool:
    """Count on it no longer: OCPP 1.6 has no word to call an update off, so the charger may install it yet.

    Whether it was open.
    """
    row = _locked(FirmwareUpdate.objects.filter(pk=update.pk, state__in=FirmwareUpdate.OPEN)).first()
    if row is None:
        return False
    _end(row, State.CANCELLED, f"Given up by {by.get_username()}")
    return True


def note_silent() -> int:
    """Mark the updates of which nothing was heard for SILENT_AFTER_S, counted from the time they were to begin."""
    quiet = (
        FirmwareUpdate.objects.filter(state__in=UNDER_WAY)
        .annotate(heard_at=Coalesce("reported_at", "command__created_at", "created_at"))
        .filter(heard_at__lt=silence_begins())
        .exclude(detail=SILENT)
    )
    silent = [update.pk for update in quiet.select_related("command") if not _is_due_later(update.command)]
    if not silent:
        return 0
    return FirmwareUpdate.objects.filter(pk__in=silent, state__in=UNDER_WAY).update(detail=SILENT)


def _is_due_later(command: Command | None) -> bool:
    """Whether the charger was told to begin, or to install, at a time that is not long past."""
    params = command.params if command else {}
    firmware = params.get("firmware") or {}
    texts = (params.get("retrieve_at"), firmware.get("retrieveDateTime"), firmware.get("installDateTime"))
    return any(at is not None and at > silence_begins() for at in map(time_from, texts))


def time_from(text: Any) -> datetime | None:
    """A time of a command's parameters; None from anything else."""
    try:
        at = parse_datetime(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return at.replace(tzinfo=at.tzinfo or UTC) if at else None


def silence_begins() -> datetime:
    """What was heard last before this is silent."""
    return utcnow() - timedelta(seconds=settings.SILENT_AFTER_S)


# --- writing ---


def _locked(updates: QuerySet[FirmwareUpdate]) -> QuerySet[FirmwareUpdate]:
    return updates.select_for_update(of=("self",), no_key=True)


def _end(update: FirmwareUpdate, state: State, detail: str, **changes: Any) -> None:
    _write(update, state=state, detail=detail, finished_at=utcnow(), **changes)


def _write(update: FirmwareUpdate, **changes: Any) -> None:
    if "detail" in changes:
        changes["detail"] = changes["detail"][:255]
    for name, value in changes.items():
        setattr(update, name, value)
    update.save(update_fields=list(changes))
