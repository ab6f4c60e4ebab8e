from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('chargers', '0004_quirk_profiles'),
    ]

    operations = [
        migrations.AddField(
            model_name='command',
            name='wish_digest',
            field=models.CharField(blank=True, editable=False, help_text='Of what was asked for, so that the same id is the same command; the wish itself may hold a secret', max_length=64),
        ),
    ]
