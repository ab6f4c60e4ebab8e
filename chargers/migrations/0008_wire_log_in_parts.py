from django.db import migrations

from chargers.partitioning import into_parts
from chargers.partitions import Partitioned

CALLS = Partitioned("chargers_ocppcall", "at", by="day", ahead=3)


def forwards(apps, editor):
    into_parts(editor, CALLS)


class Migration(migrations.Migration):
    atomic = False  # no lock is held for longer than a moment

    dependencies = [
        ("chargers", "0007_indexes_by_use"),
    ]

    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
