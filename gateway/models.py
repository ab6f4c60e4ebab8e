"""What the doors remember about people: where they are logged in, and who guesses passwords."""

import uuid

from django.conf import settings
from django.db import models


class LogIn(models.Model):
    """One log-in and all tokens that come of it: of the refresh tokens only the newest counts, and none is kept here.

    Its key is the claim `sid` of its tokens.
    """

    class End(models.TextChoices):
        LOGGED_OUT = "logged_out", "Logged out"
        EVERYWHERE = "everywhere", "Logged out everywhere"
        REUSED = "reused", "An old refresh token came again"
        OPERATOR = "operator", "Ended by an operator"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="log_ins")
    began_at = models.DateTimeField()
    renewed_at = models.DateTimeField(help_text="When its refresh token was last exchanged.")
    expires_at = models.DateTimeField(db_index=True, help_text="When its refresh token ends.")
    refresh_id = models.CharField(max_length=32, help_text="The refresh token that counts (jti).")
    previous_refresh_id = models.CharField(max_length=32, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    end = models.CharField(max_length=16, choices=End, blank=True)

    class Meta:
        verbose_name = "log-in"

    def __str__(self) -> str:
        return f"{self.user} since {self.began_at:%Y-%m-%d %H:%M}"


class FailedLogIns(models.Model):
    """How often in a row somebody at this address gave a wrong password: for one user name, or, blank, for any."""

    username = models.CharField(max_length=150, blank=True)
    address = models.CharField(max_length=45)
    failures = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField(db_index=True)
    locked_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "failed log-in"
        constraints = [
            models.UniqueConstraint(fields=["address", "username"], name="failed_logins_by_address_and_name")
        ]

    def __str__(self) -> str:
        return f"{self.username or 'all names'} at {self.address}"
