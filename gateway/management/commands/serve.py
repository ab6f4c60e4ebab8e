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
        parser.add_argument(
            "--tls-port", type=int, default=settings.TLS_PORT, help="with TLS_CERTIFICATE only"
        )

    def handle(self, *args: Any, host: str, port: int, tls_port: int, **options: Any) -> None:
        self.check(display_num_errors=True)
        listener = listening_socket(host, port)
        port = listener.getsockname()[1]
        with_tls = listening_socket(host, tls_port) if settings.TLS_CERTIFICATE else None
        beside = f" and https://{host}:{with_tls.getsockname()[1]}/" if with_tls else ""

        def say() -> None:
            self.stdout.write(f"evcharge listens on http://{host}:{port}/{beside} (Ctrl-C ends it)")
            self.stdout.flush()

        with suppress(KeyboardInterrupt):
            Server(config(host=host, port=port), say, tls_listener=with_tls).run(sockets=[listener])
