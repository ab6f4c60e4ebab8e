"""The rows these views show, with what a line of a list needs beside its own columns."""

from django.db.models import QuerySet

from chargers.models import Command


def commands() -> QuerySet[Command]:
    return Command.objects.select_related("charger", "requested_by")
