from django.db import migrations

from chargers.partitioning import into_parts
from chargers.partitions import Partitioned

READINGS = Partitioned("charging_meterreading", "measured_at", by="month", ahead=2)


def forwards(apps, editor):
    columns = ("charger_id", "measured_at", "connector_number", "digest")
    into_parts(editor, READINGS, reordered={"reading_once": columns})


class Migration(migrations.Migration):
    atomic = False  # no lock is held for longer than a moment

    dependencies = [
        ("charging", "0006_readings_kept"),
    ]

    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
