"""What users were told, for as long as their phones may come back and ask."""

from django.conf import settings
from django.db import models

from chargers.events import utcnow


class UserFeed(models.Model):
    """The number of the user's newest message, taken under its lock: numbers are committed in order, none is lost."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="feed"
    )
    seq = models.BigIntegerField()

    class Meta:
        app_label = "charging"

    def __str__(self) -> str:
        return f"{self.user_id}: {self.seq}"


class FeedEntry(models.Model):
    """One message as it was sent, and the hints for the socket that go with it."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="feed_entries", db_index=False
    )
    seq = models.BigIntegerField()
    body = models.TextField()
    hints = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=utcnow)

    class Meta:
        app_label = "charging"
        constraints = [models.UniqueConstraint(fields=["user", "seq"], name="feed_seq_once")]
        indexes = [models.Index(fields=["created_at"], name="feed_by_age")]
        verbose_name_plural = "feed entries"

    def __str__(self) -> str:
        return f"{self.user_id} #{self.seq}"
