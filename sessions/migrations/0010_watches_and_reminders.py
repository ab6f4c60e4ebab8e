"""Wishes to hear of a free connector; when holders of reservations are told how long they last."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q

CASCADE = django.db.models.deletion.CASCADE


class Migration(migrations.Migration):
    dependencies = [
        ("charging", "0009_tax_and_erased_accounts"),
        ("chargers", "0009_since_and_stuck"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            "Watch",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        settings.AUTH_USER_MODEL, CASCADE, related_name="watches", db_index=False
                    ),
                ),
                (
                    "charger",
                    models.ForeignKey(
                        "chargers.Charger",
                        CASCADE,
                        null=True,
                        blank=True,
                        related_name="watches",
                        db_index=False,
                    ),
                ),
                (
                    "connector",
                    models.ForeignKey(
                        "chargers.Connector",
                        CASCADE,
                        null=True,
                        blank=True,
                        related_name="watches",
                        db_index=False,
                    ),
                ),
                (
                    "station",
                    models.ForeignKey(
                        "chargers.Station",
                        CASCADE,
                        null=True,
                        blank=True,
                        related_name="watches",
                        db_index=False,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("expires_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True, blank=True)),
            ],
            options={
                "ordering": ("-created_at", "-pk"),
                "verbose_name_plural": "watches",
                "indexes": [
                    models.Index(
                        fields=["charger"], name="watch_open_of_charger", condition=Q(ended_at=None)
                    ),
                    models.Index(
                        fields=["station"], name="watch_open_of_station", condition=Q(ended_at=None)
                    ),
                    models.Index(
                        fields=["ended_at"], name="watch_to_forget", condition=Q(ended_at__isnull=False)
                    ),
                ],
                "constraints": [
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
                ],
            },
        ),
        migrations.AddField(
            "reservation",
            "remind_at",
            models.DateTimeField(
                null=True,
                blank=True,
                editable=False,
                help_text="When its holder is next told how long it lasts",
            ),
        ),
        migrations.AddIndex(
            "reservation",
            models.Index(
                fields=["remind_at"],
                name="reservation_to_remind",
                condition=Q(state="active", remind_at__isnull=False),
            ),
        ),
    ]
