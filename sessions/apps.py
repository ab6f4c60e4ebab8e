"""App configuration: label `charging`, since django.contrib.sessions owns the label `sessions`."""

from django.apps import AppConfig


class SessionsConfig(AppConfig):
    name = "sessions"
    label = "charging"
    verbose_name = "Charging"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from chargers import commands
        from sessions import operations

        commands.asks_through(operations.perform)
