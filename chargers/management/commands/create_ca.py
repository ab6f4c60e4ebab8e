"""`manage.py create_ca`: make the authority that signs chargers' certificates."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from chargers import authority


class Command(BaseCommand):
    help = (
        "Make our own authority for chargers' certificates, in the files that CA_CERTIFICATE and CA_KEY name."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", default=settings.CPO_NAME or "evcharge", help="its organisation")

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        if not (settings.CA_CERTIFICATE and settings.CA_KEY):
            raise CommandError("Set CA_CERTIFICATE and CA_KEY to the files it is to be kept in.")
        try:
            made = authority.create(
                certificate_file=settings.CA_CERTIFICATE, key_file=settings.CA_KEY, name=name
            )
        except FileExistsError as error:
            raise CommandError(f"{error.filename} is there already; an authority is not replaced.") from error
        except OSError as error:
            raise CommandError(f"{error.filename} cannot be written: {error.strerror}") from error
        self.stdout.write(f"{settings.CA_CERTIFICATE}: {authority.subject_of(made)}")
        self.stdout.write(f"SHA-256 {authority.fingerprint_of(made)}")
        self.stdout.write(f"{settings.CA_KEY}: its key, for this user only. Keep a copy where it is safe.")
