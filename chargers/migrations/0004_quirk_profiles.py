"""Profiles for chargers whose quirks are on public record. An operator may change or delete them."""

from django.db import migrations, models

KNOWN = [
    {
        "name": "Free2move eProWallbox",
        "model_pattern": "F2ME.EPROSE01*",
        "start_answer_delay_ms": 1000,
        "note": "Cuts its connection when the answer to StartTransaction comes at once, not when it comes a second "
        "later; seen with firmware 2.9.3. https://github.com/lbbrhzn/ocpp/issues/2080",
    },
    {
        "name": "OpenEVSE 4.2, energy in kWh",
        "vendor_pattern": "OpenEVSE",
        "is_enabled": False,
        "energy_factor": 1000,
        "note": "Firmware 4.2.2 says Wh and means kWh; it does not tell its version at boot, so enable this only "
        "where all of yours do so. https://github.com/OpenEVSE/openevse_esp32_firmware/issues/703",
    },
    {
        "name": "EN+ AC7000, no pings",
        "vendor_pattern": "EN+*",
        "is_enabled": False,
        "no_pings": True,
        "note": "An AC7000-AE-25 of 2021 answered no WebSocket pings. Enable it where connections end "
        "for want of a pong. https://github.com/lbbrhzn/ocpp/issues/211",
    },
]


def add_known(apps, schema_editor):
    profiles = apps.get_model("chargers", "QuirkProfile")
    profiles.objects.bulk_create([profiles(**fields) for fields in KNOWN])


class Migration(migrations.Migration):
    dependencies = [("chargers", "0003_slowed_refusals_and_asked_certificates")]

    operations = [
        migrations.AddField(
            "quirkprofile",
            "identity_pattern",
            models.CharField(
                default="*",
                help_text="For a single charger, or one that never gets as far as to say what it is",
                max_length=255,
            ),
        ),
        migrations.RunPython(add_known, migrations.RunPython.noop),
    ]
