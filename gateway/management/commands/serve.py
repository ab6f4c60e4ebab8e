"""`manage.py serve`: one server process, for apps, chargers, API and admin on one port."""

from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from gateway.server import Server, config, listening_socket


class Command(BaseCommand):
    help = "Serve everything on one port. Run one process per core behind a proxy; see README, Scale it."
    requires_system_checks = ()  # `handle` runs them, and says so

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.HOST)
        parser.add_argument("--port", type=int, default=settings.PORT)

    def handle(self, *args: Any, host: str, port: int, **options: Any) -> None:
        self.check(display_num_errors=True)
        listener = listening_socket(host, port)
        port = listener.getsockname()[1]

        def say() -> None:
            self.stdout.write(f"evcharge listens on http://{host}:{port}/ (Ctrl-C ends it)")
            self.stdout.flush()

        with suppress(KeyboardInterrupt):
            Server(config(host=host, port=port), say).run(sockets=[listener])
