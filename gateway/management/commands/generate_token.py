"""`manage.py generate_token USERNAME`: an access token, alone on a line."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from gateway.auth import tokens_for


class Command(BaseCommand):
    help = "Print a fresh access token of a user, alone on a line."
    requires_system_checks = ()  # they load every page of the site: twice the time

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, username: str, **options: Any) -> None:
        try:
            user = get_user_model().objects.filter(username=username).first()
        except DatabaseError as error:
            raise CommandError(
                f"The database is not ready ({error}); run `manage.py migrate` first"
            ) from error
        if user is None:
            raise CommandError(f"There is no user {username}")
        if not user.is_active:
            raise CommandError(f"The user {username} is disabled; a token would open nothing")
        self.stdout.write(tokens_for(user)[0])
