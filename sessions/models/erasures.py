"""Whose accounts were deleted. What they charged stays in the ledger, under a number instead of a name."""

from django.conf import settings
from django.db import models

from chargers.events import utcnow


class ErasedAccount(models.Model):
    """That an account was deleted, when, and by whom: its owner, or an operator. Never changed."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.PROTECT, related_name="erasure")
    erased_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    erased_at = models.DateTimeField(default=utcnow)

    user_id: int

    class Meta:
        app_label = "charging"
        ordering = ("-erased_at", "-pk")
        permissions = [("erase_account", "Can delete accounts of drivers")]

    def __str__(self) -> str:
        return f"deleted-{self.user_id}"
