"""Firmware updates, campaigns and uploads: what is asked, what chargers say of it, what the rows say then."""

from datetime import timedelta
from typing import Any

import pytest

from chargers import campaigns, firmware, log_uploads, services
from chargers.clock import as_text
from chargers.errors import ChargerOffline, DomainError, UpdateUnderWay
from chargers.events import utcnow
from chargers.models import Charger, Command, FirmwareCampaign, FirmwareUpdate, LogUpload
from sessions import operations
from sessions.services import charger_disconnected, finish_command
from sessions.sweeping import sweep
from tests.factories import make_charger, make_online_charger, make_user, unique

pytestmark = pytest.mark.django_db

LOCATION = "https://firmware.example/2.0.bin"
SIGNED = {
    "request_id": 1,  # as a caller gives it; ours replaces it
    "firmware": {
        "location": LOCATION,
        "retrieveDateTime": "2026-03-01T12:00:00.000Z",
        "signingCertificate": "-----BEGIN CERTIFICATE-----",
        "signature": "c2ln",
    },
}


def ask(charger: Charger, **params: Any) -> FirmwareUpdate:
    command = operations.perform(
        charger=charger, action="update_firmware", params={"location": LOCATION, **params}
    )
    return FirmwareUpdate.objects.get(command=command)


def ask_signed(charger: Charger) -> FirmwareUpdate:
    command = operations.perform(charger=charger, action="signed_update_firmware", params=SIGNED)
    return FirmwareUpdate.objects.get(command=command)


def ended(row: FirmwareUpdate | LogUpload, status: str, *, sent: bool = True, **end: Any) -> None:
    """The row's command ends like this."""
    assert row.command is not None
    if sent:
        Command.objects.filter(pk=row.command.pk).update(status="sent", sent_at=row.command.created_at)
    finish_command(row.command.pk, status=status, **end)
    row.refresh_from_db()


def say(row: FirmwareUpdate, *words: str, named: bool = False) -> FirmwareUpdate:
    """The charger says these words, one after the other, with its request id if `named`."""
    for word in words:
        firmware.record_status(charger_id=row.charger_id, status=word, request_id=row.pk if named else None)
    row.refresh_from_db()
    return row


def boot(charger: Charger, version: str) -> None:
    services.boot(charger_id=charger.pk, details={"firmware_version": version})


def make_update(**fields: Any) -> FirmwareUpdate:
    """An update that its charger has been asked for and has agreed to."""
    update = ask(make_online_charger(firmware_version="1.0", **fields))
    ended(update, "accepted", answer={})
    return update


# --- one update ---


def test_update_goes_forward_by_what_the_charger_says() -> None:
    update = make_update()
    assert (update.state, update.previous_version, update.location) == ("requested", "1.0", LOCATION)
    assert update.command and update.command.params["retrieve_at"].endswith("Z")
    for word in ("Downloading", "Downloaded", "Installing"):
        say(update, word)
        assert (update.state, update.status, update.finished_at) == ("running", word, None)
    say(update, "Installed")
    assert (update.state, update.status, update.detail) == ("installed", "Installed", "")
    assert update.finished_at and update.reported_at
    update.charger.refresh_from_db()
    assert update.charger.firmware_status == "Installed"


@pytest.mark.parametrize(
    "word", ["DownloadFailed", "InstallationFailed", "InvalidSignature", "InstallVerificationFailed"]
)
def test_failure_is_told_in_words(word: str) -> None:
    update = say(make_update(), "Downloading", word)
    assert (update.state, update.status) == ("failed", word)
    assert "firmware" in update.detail
    assert update.finished_at


def test_repeats_and_late_words_change_nothing() -> None:
    update = say(make_update(), "Downloading", "Downloaded", "Downloading", "Downloaded", "Installing")
    say(update, "Downloaded")
    assert (update.state, update.status) == ("running", "Installing")
    finished_at = say(update, "Installed").finished_at
    say(update, "Installed", "Downloaded", "Installing", "InstallationFailed", "Idle", "Perhaps")
    assert (update.state, update.status, update.finished_at) == ("installed", "Installed", finished_at)


def test_installed_after_a_failure_counts_but_what_comes_before_an_end_does_not() -> None:
    """Retries that the charger makes by itself (§5.19) may follow a failure it has told of."""
    update = say(make_update(), "DownloadFailed", "Downloading", "Downloaded")
    assert (update.state, update.status) == ("failed", "DownloadFailed")
    say(update, "Installed")
    assert (update.state, update.detail) == ("installed", "")


def test_unknown_words_are_kept_in_words_and_idle_ends_nothing() -> None:
    update = say(make_update(), "Downloaded", "Défragmenting" * 20)
    assert (update.state, update.status) == ("running", "Downloaded")
    assert "Défragmenting" in update.detail
    say(update, "Idle")
    assert (update.state, update.status) == ("running", "Downloaded")
    assert "not updating" in update.detail
    say(update, "Installing")
    assert (update.status, update.detail) == ("Installing", "")


@pytest.mark.parametrize("word", ["Idle", "Installed", "Downloading", "DownloadFailed", "What?", ""])
@pytest.mark.parametrize("request_id", [None, 0, -1, 10**15])
def test_words_about_no_update_of_ours_are_only_kept(word: str, request_id: int | None) -> None:
    charger = make_online_charger()
    other = say(make_update(), "Downloading")
    firmware.record_status(charger_id=charger.pk, status=word, request_id=request_id)
    charger.refresh_from_db()
    assert charger.firmware_status == word
    assert not charger.firmware_updates.exists()
    other.refresh_from_db()
    assert other.status == "Downloading"


def test_words_long_after_an_update_are_not_about_it(settings: Any) -> None:
    update = say(make_update(), "DownloadFailed")
    long_ago = utcnow() - timedelta(seconds=settings.SILENT_AFTER_S + 60)
    FirmwareUpdate.objects.filter(pk=update.pk).update(finished_at=long_ago)
    say(update, "Installed")
    assert update.state == "failed"


def test_words_of_a_charger_that_refused_are_not_about_what_it_refused() -> None:
    update = ask(make_online_charger())
    ended(update, "rejected", answer={"errorCode": "NotSupported"}, error="NotSupported: no")
    assert update.detail == "The charger answered with an error: NotSupported: no"
    assert say(update, "Downloading", "Installed").state == "failed"


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ({"status": "failed", "error": "charger_offline"}, "connection was lost"),
        ({"status": "timed_out", "error": "charger_timeout"}, "did not answer"),
        ({"status": "rejected", "answer": {"status": "Rejected"}}, "refused: Rejected"),
        ({"status": "rejected", "answer": {"status": "InvalidCertificate"}}, "does not trust the signing"),
        ({"status": "rejected", "answer": {"status": "RevokedCertificate"}}, "is revoked"),
        ({"status": "rejected", "answer": [1], "error": "The answer is not an object"}, "not an object"),
        ({"status": "rejected", "answer": {"status": {}}}, "The charger refused"),
    ],
)
def test_command_without_acceptance_fails_the_update_in_words(end: dict[str, Any], words: str) -> None:
    for update in (ask(make_online_charger()), ask_signed(make_online_charger())):
        ended(update, **end)
        assert (update.state, update.status) == ("failed", "")
        assert words in update.detail
        assert update.finished_at


def test_offline_charger_gets_no_row() -> None:
    charger = make_charger()
    with pytest.raises(ChargerOffline):
        ask(charger)
    assert not FirmwareUpdate.objects.filter(charger=charger).exists()


def test_second_update_is_refused_while_one_is_under_way() -> None:
    update = make_update()
    for _ in range(2):
        with pytest.raises(UpdateUnderWay) as refusal:
            ask(update.charger)
        assert isinstance(refusal.value, DomainError)
        say(update, "Downloading")
    say(update, "DownloadFailed")
    assert ask(update.charger).state == "requested"


def test_charger_that_was_faster_than_its_answer_is_not_set_back() -> None:
    update = say(ask(make_online_charger()), "Downloading")
    ended(update, "accepted", answer={})
    assert (update.state, update.status) == ("running", "Downloading")
    update = say(ask(make_online_charger()), "Downloading")
    ended(update, "timed_out", error="charger_timeout")
    assert update.state == "running"


def test_late_answer_and_late_news_bring_an_update_back() -> None:
    """E13"""
    answered, heard = ask(make_online_charger()), ask(make_online_charger())
    for update in (answered, heard):
        ended(update, "timed_out", error="charger_timeout")
        assert update.state == "failed"
    finish_command(answered.command_id, status="accepted", answer={})  # type: ignore[arg-type]
    answered.refresh_from_db()
    assert (answered.state, answered.detail, answered.finished_at) == ("requested", "", None)
    say(heard, "Downloading")
    assert (heard.state, heard.detail, heard.finished_at) == ("running", "", None)


# --- signed updates ---


def test_request_id_of_a_signed_update_is_its_key() -> None:
    """L01.FR.10, L01.FR.21"""
    update = ask_signed(make_online_charger())
    assert update.is_signed
    assert update.command and update.command.params == {**SIGNED, "request_id": update.pk}
    ended(update, "accepted", answer={"status": "Accepted"})
    words = ("DownloadScheduled", "Downloading", "Downloaded", "SignatureVerified", "InstallRebooting")
    assert say(update, *words, named=True).state == "running"
    firmware.record_status(charger_id=make_charger().pk, status="Installed", request_id=update.pk)
    update.refresh_from_db()
    assert update.state == "running"  # another charger's word
    assert say(update, "Installing", "Installed", named=True).state == "installed"


def test_signed_update_takes_the_place_of_another_when_the_charger_says_so() -> None:
    """L01.FR.26"""
    older = say(make_update(), "Downloading")
    newer = ask_signed(older.charger)
    assert newer.state == "waiting"
    older.refresh_from_db()
    assert older.state == "running"
    ended(newer, "accepted", answer={"status": "AcceptedCanceled"})
    older.refresh_from_db()
    assert (older.state, newer.state) == ("cancelled", "requested")
    assert str(newer.pk) in older.detail
    say(older, "Downloaded", "Installed", named=True)
    assert older.state == "cancelled"
    assert say(newer, "Installed", named=True).state == "installed"


def test_signed_update_that_is_refused_leaves_the_other_running() -> None:
    """L01.FR.27"""
    older = say(make_update(), "Installing")
    newer = ask_signed(older.charger)
    ended(newer, "rejected", answer={"status": "Rejected"})
    older.refresh_from_db()
    assert (older.state, newer.state) == ("running", "failed")


@pytest.mark.parametrize("word", ["Downloading", "DownloadFailed"])
def test_first_word_before_the_answer_takes_the_place_too(word: str) -> None:
    older = say(make_update(), "Downloading")
    newer = ask_signed(older.charger)
    say(newer, word, named=True)
    ended(newer, "accepted", answer={"status": "AcceptedCanceled"})
    older.refresh_from_db()
    assert older.state == "cancelled"
    assert newer.status == word


# --- boots ---


def test_boot_with_another_version_completes_an_update() -> None:
    for words in ([], ["Downloading"], ["Downloading", "Downloaded", "Installing"]):
        update = say(make_update(), *words)
        boot(update.charger, "2.0")
        update.refresh_from_db()
        assert (update.state, update.installed_version) == ("installed", "2.0")
        boot(update.charger, "3.0")
        say(update, "Installed", "Installing")
        assert (update.state, update.installed_version) == ("installed", "2.0")


def test_reboot_in_the_middle_goes_on() -> None:
    """L01.FR.15: the charger may reboot before it installs."""
    update = say(make_update(), "Downloaded", "InstallRebooting")
    boot(update.charger, "1.0")
    update.refresh_from_db()
    assert (update.state, update.installed_version) == ("running", "")
    assert "booted with 1.0" in update.detail
    say(update, "Idle", "Installing", "Installed")
    assert (update.state, update.installed_version) == ("installed", "")
    boot(update.charger, "2.0")
    update.refresh_from_db()
    assert (update.installed_version, update.detail) == ("2.0", "")


def test_boot_without_a_version_says_nothing() -> None:
    update = say(make_update(), "Installing")
    services.boot(charger_id=update.charger_id, details={"vendor": "V"})
    update.refresh_from_db()
    assert update.state == "running"


def test_first_version_ever_heard_is_not_another_one() -> None:
    update = ask(make_online_charger())
    ended(update, "accepted", answer={})
    boot(update.charger, "2.0")
    update.refresh_from_db()
    assert update.state == "requested"


# --- silence, giving up ---


def test_silent_update_is_marked_and_not_failed(settings: Any) -> None:
    update = say(make_update(), "Downloading")
    later = say(make_update(), "Downloading")
    scheduled = make_update()
    long_ago = utcnow() - timedelta(seconds=settings.SILENT_AFTER_S + 60)
    FirmwareUpdate.objects.filter(pk=update.pk).update(reported_at=long_ago)
    Command.objects.update(params={"location": LOCATION, "retrieve_at": as_text(long_ago)})
    assert scheduled.command is not None
    soon = as_text(utcnow() + timedelta(hours=5))
    Command.objects.filter(pk=scheduled.command.pk).update(
        created_at=long_ago, sent_at=long_ago, params={"location": LOCATION, "retrieve_at": soon}
    )
    assert (firmware.note_silent(), firmware.note_silent()) == (1, 0)
    for row in (update, later, scheduled):
        row.refresh_from_db()
    assert (update.state, update.detail) == ("running", firmware.SILENT)
    assert (later.detail, scheduled.detail) == ("", "")
    assert say(update, "Installing").detail == ""


def test_operator_gives_up_an_update_once() -> None:
    update, by = say(make_update(), "Downloading"), make_user(username=unique("op"))
    assert firmware.give_up(update, by=by)
    assert not firmware.give_up(update, by=by)
    assert say(update, "Downloaded", "Installed").state == "cancelled"
    assert by.username in update.detail
    assert ask(update.charger).state == "requested"


# --- campaigns ---


def make_campaign(*chargers: Charger, **fields: Any) -> FirmwareCampaign:
    campaign = FirmwareCampaign.objects.create(**{"name": unique("To "), "location": LOCATION, **fields})
    campaigns.choose(campaign, chargers)
    return campaign


def fleet(count: int, **fields: Any) -> list[Charger]:
    return [make_online_charger(firmware_version="1.0", **fields) for _ in range(count)]


def updates_of(campaign: FirmwareCampaign, state: str) -> list[FirmwareUpdate]:
    return list(campaign.updates.filter(state=state).order_by("pk"))


def test_campaign_asks_a_few_at_a_time_and_the_next_as_one_ends() -> None:
    campaign = make_campaign(*fleet(4), at_once=2)
    sweep()
    sweep()
    first, second = updates_of(campaign, "requested")
    assert first.command and first.command.params["location"] == LOCATION
    assert len(updates_of(campaign, "waiting")) == 2
    ended(first, "accepted", answer={})
    say(first, "Downloading", "DownloadFailed")
    say(second, "Installing")
    campaigns.sweep()
    assert campaigns.progress(campaign) == {
        **{"waiting": 1, "requested": 1, "running": 1},
        **{"installed": 0, "failed": 1, "cancelled": 0},
    }


def test_campaign_waits_for_chargers_that_are_away_charging_or_installing() -> None:
    away, charging, installing, free = make_charger(), *fleet(3)
    charging.connectors.filter(number=1).update(status="SuspendedEV")
    one_off = ask(installing)
    campaign = make_campaign(away, charging, installing, free)
    campaigns.sweep()
    assert [update.charger for update in updates_of(campaign, "requested")] == [free]
    Charger.objects.filter(pk=away.pk).update(channel_name="here")
    charging.connectors.update(status="Available")
    say(one_off, "Installed")
    campaigns.sweep()
    assert len(updates_of(campaign, "requested")) == 4


def test_two_campaigns_share_a_charger_one_after_the_other() -> None:
    shared, only = fleet(2)
    one, two = make_campaign(shared), make_campaign(shared, only)
    campaigns.sweep()
    campaigns.sweep()
    [first] = updates_of(one, "requested")
    assert [update.charger for update in updates_of(two, "requested")] == [only]
    say(first, "Installed")
    campaigns.sweep()
    assert len(updates_of(two, "requested")) == 2
    assert first.charger.firmware_updates.filter(state__in=firmware.UNDER_WAY).count() == 1


def test_stopped_campaign_asks_nobody_and_goes_on_when_started() -> None:
    campaign = make_campaign(*fleet(3), at_once=1)
    campaigns.sweep()
    assert campaigns.stop(campaign)
    assert not campaigns.stop(campaign)
    [running] = updates_of(campaign, "requested")
    say(running, "Installed")
    campaigns.sweep()
    assert updates_of(campaign, "requested") == []
    assert campaigns.start(campaign)
    campaigns.sweep()
    assert len(updates_of(campaign, "requested")) == 1


def test_failed_chargers_are_tried_again_with_rows_of_their_own() -> None:
    campaign, by = make_campaign(*fleet(2), signing_certificate="PEM", signature="c2ln"), make_user()
    campaigns.sweep()
    failed, other = updates_of(campaign, "requested")
    assert failed.is_signed and failed.command and failed.command.params["request_id"] == failed.pk
    ended(failed, "rejected", answer={"status": "InvalidCertificate"})
    assert campaigns.retry_failed(campaign, by=by) == 1
    campaigns.sweep()
    again = campaign.updates.get(charger=failed.charger)
    assert (again.state, again.pk != failed.pk) == ("requested", True)
    say(failed, "InvalidSignature", named=True)  # of the first attempt, late
    again.refresh_from_db()
    assert again.state == "requested"
    failed.refresh_from_db()
    assert (failed.campaign, failed.state) == (None, "failed")
    assert campaigns.retry_failed(campaign, by=by) == 0
    other.refresh_from_db()
    assert other.state == "requested"


def test_version_that_the_campaign_wants_completes_it() -> None:
    has_it, gets_it, fails, *_ = chargers = fleet(3)
    Charger.objects.filter(pk=has_it.pk).update(firmware_version="2.0")
    campaign = make_campaign(*chargers, version="2.0")
    campaigns.sweep()
    assert [update.charger for update in updates_of(campaign, "installed")] == [has_it]
    say(campaign.updates.get(charger=fails), "InstallationFailed")
    boot(gets_it, "2.0")
    boot(fails, "2.0")
    assert {update.installed_version for update in updates_of(campaign, "installed")} == {"2.0"}
    assert campaigns.progress(campaign)["installed"] == 3


def test_another_version_than_the_wanted_one_is_told() -> None:
    campaign = make_campaign(*fleet(1), version="2.0")
    campaigns.sweep()
    boot(campaign.updates.get().charger, "1.5")
    update = campaign.updates.get()
    assert (update.state, update.installed_version) == ("installed", "1.5")
    assert "2.0 was wanted" in update.detail


def test_charger_that_left_before_it_was_asked_waits_again() -> None:
    [charger] = fleet(1)
    campaign = make_campaign(charger)
    campaigns.sweep()
    charger_disconnected(charger_id=charger.pk, channel_name=charger.channel_name)
    update = campaign.updates.get()
    assert (update.state, update.command) == ("waiting", None)
    campaigns.sweep()
    assert campaign.updates.get().state == "waiting"


def test_campaign_sends_the_times_and_retries_it_was_given() -> None:
    at = utcnow()
    plain = make_campaign(*fleet(1), retrieve_at=at, retries=3, retry_interval_s=60)
    signed = make_campaign(
        *fleet(1), retrieve_at=at, install_at=at, signing_certificate="PEM", signature="c2ln"
    )
    campaigns.sweep()
    text = as_text(at)
    command = plain.updates.get().command
    assert command and command.params == {
        "location": LOCATION,
        "retrieve_at": text,
        "retries": 3,
        "retry_interval_s": 60,
    }
    command = signed.updates.get().command
    assert command and command.params["firmware"] == {
        "location": LOCATION,
        "retrieveDateTime": text,
        "installDateTime": text,
        "signingCertificate": "PEM",
        "signature": "c2ln",
    }


def test_progress_is_one_query(django_assert_num_queries: Any) -> None:
    campaign = make_campaign(*fleet(3))
    with django_assert_num_queries(1):
        assert campaigns.progress(campaign)["waiting"] == 3
    with django_assert_num_queries(1):
        row: Any = campaigns.with_progress(FirmwareCampaign.objects.filter(pk=campaign.pk)).get()
    assert (row.total_count, row.waiting_count, row.failed_count) == (3, 3, 0)


# --- uploads ---


def ask_diagnostics(charger: Charger) -> LogUpload:
    params = {
        "location": "ftp://logs.example/",
        "oldest_at": "2026-03-01T12:00:00.000Z",
        "latest_at": "never",
    }
    command = operations.perform(charger=charger, action="get_diagnostics", params=params)
    return LogUpload.objects.get(command=command)


def ask_log(charger: Charger, kind: str = "SecurityLog") -> LogUpload:
    params = {"log_type": kind, "request_id": 1, "log": {"remoteLocation": "ftp://logs.example/"}}
    command = operations.perform(charger=charger, action="get_log", params=params)
    return LogUpload.objects.get(command=command)


def tell(upload: LogUpload, *words: str, named: bool = True) -> LogUpload:
    for word in words:
        if upload.kind == "Diagnostics":
            log_uploads.record_diagnostics_status(charger_id=upload.charger_id, status=word)
        else:
            request_id = upload.pk if named else None
            log_uploads.record_log_status(charger_id=upload.charger_id, status=word, request_id=request_id)
    upload.refresh_from_db()
    return upload


def test_diagnostics_are_followed_to_their_end() -> None:
    upload = ask_diagnostics(make_online_charger())
    assert upload.oldest_at and upload.latest_at is None
    ended(upload, "accepted", answer={"fileName": "d" * 300})
    assert (upload.file_name, upload.finished_at) == ("d" * 255, None)
    assert tell(upload, "Uploading", "Idle", "Uploading").status == "Uploading"
    finished_at = tell(upload, "Uploaded").finished_at
    assert finished_at
    tell(upload, "Uploading", "UploadFailed", "Uploaded", "What?")
    assert (upload.status, upload.finished_at) == ("Uploaded", finished_at)
    upload.charger.refresh_from_db()
    assert upload.charger.diagnostics_status == "What?"


def test_log_is_named_by_its_key() -> None:
    charger = make_online_charger()
    one, two = ask_log(charger), ask_log(charger, "DiagnosticsLog")
    assert two.command and two.command.params["request_id"] == two.pk
    for upload in (one, two):
        ended(upload, "accepted", answer={"status": "Accepted", "filename": "log.txt"})
    tell(one, "Uploading", "PermissionDenied")
    two.refresh_from_db()
    assert (one.status, one.detail, two.status) == (
        "PermissionDenied",
        "The charger was not allowed to upload it",
        "",
    )
    assert tell(two, "Uploaded", named=False).finished_at
    assert tell(one, "Uploading").status == "PermissionDenied"
    assert tell(one, "Uploaded").detail == ""


def test_log_that_cancels_another_ends_it() -> None:
    charger = make_online_charger()
    older, newer = ask_log(charger), ask_log(charger)
    ended(older, "accepted", answer={"status": "Accepted", "filename": "a"})
    ended(newer, "accepted", answer={"status": "AcceptedCanceled", "filename": "b"})
    older.refresh_from_db()
    assert older.finished_at and str(newer.pk) in older.detail
    assert newer.finished_at is None


def test_newer_diagnostics_end_the_older_and_a_repeat_does_not_touch_them() -> None:
    charger = make_online_charger()
    older, newer = ask_diagnostics(charger), ask_diagnostics(charger)
    for upload in (older, newer):
        ended(upload, "accepted", answer={"fileName": "d"})
    tell(newer, "Uploading", "Uploaded", "Uploaded")
    older.refresh_from_db()
    assert (newer.status, older.status) == ("Uploaded", "")
    assert older.finished_at and str(newer.pk) in older.detail


def test_answer_without_a_file_ends_the_upload_unless_it_comes_all_the_same() -> None:
    """§5.9: no file name, nothing to upload; some chargers only forget to name it."""
    for upload, answer in (
        (ask_diagnostics(make_online_charger()), {}),
        (ask_log(make_online_charger()), {"status": "Accepted"}),
    ):
        ended(upload, "accepted", answer=answer)
        assert upload.finished_at
        assert upload.detail == log_uploads.NO_FILE
        tell(upload, "Uploading")
        assert (upload.status, upload.detail) == ("Uploading", "")
        assert not upload.finished_at


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ({"status": "failed", "error": "charger_offline"}, "connection was lost"),
        ({"status": "timed_out", "error": "charger_timeout"}, "did not answer"),
        ({"status": "rejected", "answer": {"status": "Rejected"}}, "refused: Rejected"),
        ({"status": "rejected", "error": "NotSupported: no"}, "NotSupported"),
    ],
)
def test_command_without_acceptance_ends_the_upload_in_words(end: dict[str, Any], words: str) -> None:
    for upload in (ask_diagnostics(make_online_charger()), ask_log(make_online_charger())):
        ended(upload, **end)
        assert upload.finished_at
        assert words in upload.detail


@pytest.mark.parametrize("word", ["Uploading", "Uploaded", "Idle", "", "What?"])
def test_uploads_nobody_asked_for_are_only_kept(word: str) -> None:
    charger = make_online_charger()
    log_uploads.record_diagnostics_status(charger_id=charger.pk, status=word)
    for request_id in (None, 0, -1, 10**15):
        log_uploads.record_log_status(charger_id=charger.pk, status=word, request_id=request_id)
    charger.refresh_from_db()
    assert charger.diagnostics_status == word
    assert not charger.log_uploads.exists()


def test_silent_upload_is_marked(settings: Any) -> None:
    upload = ask_log(make_online_charger())
    long_ago = utcnow() - timedelta(seconds=settings.SILENT_AFTER_S + 60)
    LogUpload.objects.filter(pk=upload.pk).update(created_at=long_ago)
    sweep()
    upload.refresh_from_db()
    assert (upload.detail, upload.finished_at) == (firmware.SILENT, None)
