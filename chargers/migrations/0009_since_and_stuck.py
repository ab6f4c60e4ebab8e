"""Since when a connector is as it is, and whether it is stuck so; stations by their place on the map."""

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import F, Q


def fill(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """As far as it is known: the last time it was told."""
    apps.get_model("chargers", "Connector").objects.update(status_since=F("status_at"))


class Migration(migrations.Migration):
    dependencies = [("chargers", "0008_wire_log_in_parts")]

    operations = [
        migrations.AlterField(
            "connector",
            "status_at",
            models.DateTimeField(null=True, blank=True, help_text="When it was last told"),
        ),
        migrations.AddField(
            "connector",
            "status_since",
            models.DateTimeField(null=True, blank=True, help_text="When it became so"),
        ),
        migrations.AddField(
            "connector",
            "stuck_at",
            models.DateTimeField(
                null=True,
                blank=True,
                editable=False,
                help_text="When it was found to be stuck in that status",
            ),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.AddIndex(
            "connector",
            models.Index(
                fields=["status_since"],
                name="connector_may_be_stuck",
                condition=Q(status__in=("Preparing", "Finishing"), stuck_at=None),
            ),
        ),
        migrations.AddIndex(
            "station", models.Index(fields=["latitude", "longitude"], name="station_by_place")
        ),
    ]
