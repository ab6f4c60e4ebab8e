import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import chargers.events


class Migration(migrations.Migration):

    dependencies = [
        ('chargers', '0005_command_wish_digest'),
        ('charging', '0010_watches_and_reminders'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ClientRef',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('ref', models.CharField(max_length=64)),
                ('wish_digest', models.CharField(max_length=64)),
                ('created_at', models.DateTimeField(default=chargers.events.utcnow)),
                ('command', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='chargers.command')),
                ('session', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='charging.chargingsession')),
                ('user', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='client_refs', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(fields=['created_at'], name='client_ref_by_age'), models.Index(fields=['session'], name='client_ref_by_session'), models.Index(fields=['command'], name='client_ref_by_command')],
                'constraints': [models.UniqueConstraint(fields=('user', 'ref'), name='client_ref_once')],
            },
        ),
    ]
