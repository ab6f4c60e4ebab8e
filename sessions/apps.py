"""App configuration: label `charging`, since django.contrib.sessions owns the label `sessions`."""

from django.apps import AppConfig


class SessionsConfig(AppConfig):
    name = "sessions"
    label = "charging"
    verbose_name = "Charging"
    default_auto_field = "django.db.models.BigAutoField"
