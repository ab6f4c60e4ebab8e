"""Wishes to be told when a connector is free."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from chargers.models import Charger, Connector, Station


class Watch(models.Model):
    """A driver's wish to be told, once, of a free connector: this one, one of a charger's, or one of a station's."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="watches", db_index=False)
    charger = models.ForeignKey(
        Charger, models.CASCADE, null=True, blank=True, related_name="watches", db_index=False
    )
    connector = models.ForeignKey(
        Connector, models.CASCADE, null=True, blank=True, related_name="watches", db_index=False
    )
    station = models.ForeignKey(
        Station, models.CASCADE, null=True, blank=True, related_name="watches", db_index=False
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    user_id: int
    charger_id: int | None
    connector_id: int | None
    station_id: int | None

    class Meta:
        app_label = "charging"
        ordering = ("-created_at", "-pk")
        verbose_name_plural = "watches"
        # Only those that are open are in these: what each free connector, and the sweep, look for.
        indexes = [
            models.Index(fields=["charger"], name="watch_open_of_charger", condition=Q(ended_at=None)),
            models.Index(fields=["station"], name="watch_open_of_station", condition=Q(ended_at=None)),
            models.Index(fields=["ended_at"], name="watch_to_forget", condition=Q(ended_at__isnull=False)),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "connector"],
                condition=Q(ended_at=None, connector__isnull=False),
                name="one_open_watch_of_connector",
            ),
            models.UniqueConstraint(
                fields=["user", "charger"],
                condition=Q(ended_at=None, connector=None, charger__isnull=False),
                name="one_open_watch_of_charger",
            ),
            models.UniqueConstraint(
                fields=["user", "station"],
                condition=Q(ended_at=None, station__isnull=False),
                name="one_open_watch_of_station",
            ),
            models.CheckConstraint(
                condition=Q(charger__isnull=False, station=None)
                | Q(charger=None, connector=None, station__isnull=False),
                name="watch_of_charger_or_station",
            ),
        ]

    def __str__(self) -> str:
        return f"Watch {self.pk}"
