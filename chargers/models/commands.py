"""What we asked of chargers."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from chargers.models.stations import Charger

# The words we can say, each with a permission of its own; chargers.commands names them.
WORDS = (
    "remote_start",
    "remote_stop",
    "unlock_connector",
    "reset",
    "change_availability",
    "get_configuration",
    "change_configuration",
    "clear_cache",
    "trigger_message",
    "data_transfer",
    "update_firmware",
    "get_diagnostics",
    "get_local_list_version",
    "send_local_list",
    "reserve_now",
    "cancel_reservation",
    "set_charging_profile",
    "clear_charging_profile",
    "get_composite_schedule",
    "extended_trigger_message",
    "get_log",
    "certificate_signed",
    "install_certificate",
    "delete_certificate",
    "get_installed_certificate_ids",
    "signed_update_firmware",
)

# These belong to the story of a session, and stay as long as it does: for ever.
OF_SESSIONS = ("remote_start", "remote_stop")


class Command(models.Model):
    """Something asked of a charger. Its id is the message id of the OCPP CALL and the app's `message_id`."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        SENT = "sent"
        ACCEPTED = "accepted"
        REJECTED = "rejected"
        FAILED = "failed"
        TIMED_OUT = "timed_out"
        UNKNOWN = "unknown"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    charger = models.ForeignKey(Charger, models.CASCADE, related_name="commands", db_index=False)
    action = models.CharField(max_length=40)
    params = models.JSONField(default=dict, blank=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    answer = models.JSONField(null=True, blank=True, help_text="The charger's answer, as it came")
    error = models.CharField(max_length=255, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    wish_digest = models.CharField(
        max_length=64,
        blank=True,
        editable=False,
        help_text="Of what was asked for, so that the same id is the same command; the wish itself may hold a secret",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    charger_id: int
    requested_by_id: int | None

    class Meta:
        ordering = ("-created_at",)
        permissions = [
            ("send_command", "Can send every command to chargers"),
            *((f"send_{word}", f"Can send {word.replace('_', ' ')}") for word in WORDS),
        ]
        # docs/data.md has each index with the queries that need it.
        indexes = [
            models.Index(fields=["charger", "-created_at"], name="command_by_charger"),
            models.Index(fields=["-created_at"], name="command_by_time"),
            # What the sweep looks for, every few seconds: only the open ones are in this index.
            models.Index(fields=["created_at"], name="command_open", condition=Q(finished_at=None)),
            # Those that are deleted when they are old: not what began and ended sessions.
            models.Index(
                fields=["finished_at"],
                name="command_to_forget",
                condition=Q(finished_at__isnull=False) & ~Q(action__in=OF_SESSIONS),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(sent_at=None) | Q(finished_at=None) | Q(finished_at__gte=F("sent_at")),
                name="command_finished_after_sent",
            )
        ]

    def __str__(self) -> str:
        return f"{self.action} → {self.charger.identity}"

    @property
    def is_finished(self) -> bool:
        return self.finished_at is not None
