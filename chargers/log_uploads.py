"""Diagnostics and logs that chargers are asked to upload, and what became of each.

A notification of GetLog names its request, which is the row's key; one of GetDiagnostics names nothing and is about
the newest that is open. The files themselves go to where the operator said: we never see them.
"""

import uuid
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce

from chargers.commands import GET_DIAGNOSTICS, GET_LOG, send_command
from chargers.events import utcnow
from chargers.firmware import IDLE, SILENT, refusal, silence_begins, time_from, word_of
from chargers.models import Charger, Command, LogUpload

UPLOADED = "Uploaded"
_FAILURES = {
    "UploadFailed": "The charger could not upload it",
    "UploadFailure": "The charger could not upload it",
    "BadMessage": "The place to upload to did not understand the charger",
    "NotSupportedOperation": "The place to upload to does not take uploads",
    "PermissionDenied": "The charger was not allowed to upload it",
}
NO_FILE = "The charger named no file: it has nothing to upload"


# --- asking ---


@transaction.atomic
def request_diagnostics(
    *,
    charger: Charger,
    params: dict[str, Any],
    requested_by: AbstractBaseUser | None = None,
    command_id: uuid.UUID | None = None,
) -> Command:
    """Ask for diagnostics, with the parameters of `get_diagnostics`. Raises ChargerOffline."""
    upload = LogUpload(
        charger=charger,
        kind=LogUpload.Kind.DIAGNOSTICS,
        location=params["location"][:512],
        oldest_at=time_from(params.get("oldest_at")),
        latest_at=time_from(params.get("latest_at")),
    )
    return _ask(upload, GET_DIAGNOSTICS, params, requested_by=requested_by, command_id=command_id)


@transaction.atomic
def request_log(
    *,
    charger: Charger,
    params: dict[str, Any],
    requested_by: AbstractBaseUser | None = None,
    command_id: uuid.UUID | None = None,
) -> Command:
    """Ask for a log, with the parameters of `get_log`; the request id is ours. Raises ChargerOffline."""
    log = params["log"]
    upload = LogUpload(
        charger=charger,
        kind=params["log_type"],
        location=log["remoteLocation"][:512],
        oldest_at=time_from(log.get("oldestTimestamp")),
        latest_at=time_from(log.get("latestTimestamp")),
    )
    return _ask(upload, GET_LOG, params, requested_by=requested_by, command_id=command_id)


def _ask(
    upload: LogUpload,
    action: str,
    params: dict[str, Any],
    *,
    requested_by: AbstractBaseUser | None,
    command_id: uuid.UUID | None,
) -> Command:
    upload.save()
    if action == GET_LOG:
        params = {**params, "request_id": upload.pk}
    upload.command = send_command(
        charger=upload.charger,
        action=action,
        params=params,
        requested_by=requested_by,
        command_id=command_id,
    )
    upload.save(update_fields=["command"])
    return upload.command


# --- the end of the command ---


@transaction.atomic
def settle(command: Command) -> None:
    """What the answer to an upload's command, or the lack of one, means for the upload."""
    upload = _locked(LogUpload.objects.filter(command=command)).first()
    if upload is None:
        return
    if command.status == Command.Status.ACCEPTED:
        _accepted(upload, command)
    elif not upload.status:
        _end(upload, refusal(command))


def _accepted(upload: LogUpload, command: Command) -> None:
    answer = command.answer if isinstance(command.answer, dict) else {}
    is_diagnostics = upload.kind == LogUpload.Kind.DIAGNOSTICS
    name = answer.get("fileName" if is_diagnostics else "filename")
    name = name[:255] if isinstance(name, str) else ""
    if is_diagnostics or word_of(answer) == "AcceptedCanceled":
        _take_the_place(upload)
    if upload.status:  # the charger was faster with its first notification
        _write(upload, file_name=name)
    elif name:
        _write(upload, file_name=name, detail="", finished_at=None)
    else:
        _end(upload, NO_FILE)


def _take_the_place(upload: LogUpload) -> None:
    """A charger that took this one has cancelled the one before (GetLog), or will not tell them apart (diagnostics)."""
    older = LogUpload.objects.filter(charger_id=upload.charger_id, finished_at=None, pk__lt=upload.pk)
    if upload.kind == LogUpload.Kind.DIAGNOSTICS:
        older = older.filter(kind=upload.kind)
    for each in _locked(older):
        _end(each, f"The charger took upload {upload.pk} instead")


# --- what the charger says ---


@transaction.atomic
def record_diagnostics_status(*, charger_id: int, status: str) -> None:
    """Store a DiagnosticsStatusNotification (OCPP 1.6 §4.4), whatever the word; it may be about none of ours."""
    Charger.objects.filter(pk=charger_id).update(diagnostics_status=status[:30])
    _record(_of(charger_id).filter(kind=LogUpload.Kind.DIAGNOSTICS), status)


@transaction.atomic
def record_log_status(*, charger_id: int, status: str, request_id: int | None = None) -> None:
    """Store a LogStatusNotification; without a request id it is about the newest log that is open."""
    logs = _of(charger_id).exclude(kind=LogUpload.Kind.DIAGNOSTICS)
    _record(logs if request_id is None else logs.filter(pk=request_id), status)


def _of(charger_id: int) -> QuerySet[LogUpload]:
    return LogUpload.objects.filter(charger_id=charger_id, command__isnull=False)


def _record(uploads: QuerySet[LogUpload], word: str) -> None:
    """The newest of these that is open, or that ended lately, and not by being refused."""
    if word in ("", IDLE):
        return
    lately = Q(finished_at__gte=silence_begins()) & ~Q(command__status=Command.Status.REJECTED)
    upload = _locked(uploads.filter(finished_at=None)).first() or _locked(uploads.filter(lately)).first()
    if upload is not None:
        _hear(upload, word[:30])


def _hear(upload: LogUpload, word: str) -> None:
    """What ended stays so, but for an upload that works in the end, and one of which this is the first we hear."""
    if upload.status == UPLOADED or (upload.finished_at and upload.status and word != UPLOADED):
        return
    news = {"status": word, "reported_at": utcnow()}
    if word == UPLOADED or word in _FAILURES:
        _end(upload, _FAILURES.get(word, ""), **news)
    else:
        _write(upload, detail="", finished_at=None, **news)


# --- what the sweep finds ---


def note_silent() -> int:
    """Mark the uploads of which nothing was heard for SILENT_AFTER_S."""
    quiet = (
        LogUpload.objects.filter(finished_at=None)
        .annotate(heard_at=Coalesce("reported_at", "created_at"))
        .filter(heard_at__lt=silence_begins())
        .exclude(detail=SILENT)
    )
    silent = list(quiet.values_list("pk", flat=True))
    if not silent:
        return 0
    return LogUpload.objects.filter(pk__in=silent, finished_at=None).update(detail=SILENT)


# --- writing ---


def _locked(uploads: QuerySet[LogUpload]) -> QuerySet[LogUpload]:
    return uploads.select_for_update(of=("self",), no_key=True)


def _end(upload: LogUpload, detail: str, **changes: Any) -> None:
    _write(upload, detail=detail[:255], finished_at=utcnow(), **changes)


def _write(upload: LogUpload, **changes: Any) -> None:
    for name, value in changes.items():
        setattr(upload, name, value)
    upload.save(update_fields=list(changes))
