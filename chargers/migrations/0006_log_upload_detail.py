from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('chargers', '0005_command_wish_digest'),
    ]

    operations = [
        migrations.AddField(
            model_name='logupload',
            name='detail',
            field=models.CharField(blank=True, help_text='In words: what became of it', max_length=255),
        ),
    ]
