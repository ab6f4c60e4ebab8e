"""`manage.py sweep`: end what nobody will answer. The server does this itself; here it is for cron and for hand."""

from typing import Any

from django.core.management.base import BaseCommand

from sessions.sweeping import sweep


class Command(BaseCommand):
    help = "End commands, starts and presences that nobody will answer any more."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(", ".join(f"{what}: {count}" for what, count in sweep().items()))
