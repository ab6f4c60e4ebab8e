from django.db import migrations, models
from django.db.models import F


def keep_what_was_told(apps, schema_editor):
    """Until now the one time held both what the charger told and what was made of it."""
    sessions = apps.get_model("charging", "ChargingSession").objects
    sessions.exclude(stop_reported="").update(stop_told_at=F("stopped_at"))


class Migration(migrations.Migration):

    dependencies = [
        ('charging', '0003_local_lists_and_reservations'),
    ]

    operations = [
        migrations.CreateModel(
            name='WaitingSession',
            fields=[
            ],
            options={
                'verbose_name': 'session to review',
                'verbose_name_plural': 'sessions to review',
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('charging.chargingsession',),
        ),
        migrations.AddField(
            model_name='chargingsession',
            name='stop_told_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.RunPython(keep_what_was_told, migrations.RunPython.noop),
    ]
