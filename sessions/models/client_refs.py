"""What apps call their wishes, so that the same wish sent twice is done once."""

from django.conf import settings
from django.db import models

from chargers.events import utcnow
from chargers.models import Command
from sessions.models.charging import ChargingSession


class ClientRef(models.Model):
    """A user's name for one wish, what was wished for, and what came of it. The constraint decides who was first."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="client_refs", db_index=False
    )
    ref = models.CharField(max_length=64)
    wish_digest = models.CharField(max_length=64)
    session = models.ForeignKey(ChargingSession, models.CASCADE, null=True, related_name="+", db_index=False)
    command = models.ForeignKey(Command, models.CASCADE, null=True, related_name="+", db_index=False)
    created_at = models.DateTimeField(default=utcnow)

    class Meta:
        app_label = "charging"
        constraints = [models.UniqueConstraint(fields=["user", "ref"], name="client_ref_once")]
        # Sessions and commands are deleted with their charger, or when nobody asks for them: both look here.
        indexes = [
            models.Index(fields=["created_at"], name="client_ref_by_age"),
            models.Index(fields=["session"], name="client_ref_by_session"),
            models.Index(fields=["command"], name="client_ref_by_command"),
        ]

    def __str__(self) -> str:
        return self.ref
