"""Reckons ended sessions anew from their stored facts, and shows where the stored totals differ."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand

from sessions.ledger import recompute
from sessions.models import ChargingSession


class Command(BaseCommand):
    help = "Reckon ended sessions anew from their facts; show the differences, change nothing unless told to."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "sessions", nargs="*", type=int, help="their numbers; all ended ones if none is given"
        )
        parser.add_argument("--write", action="store_true", help="store what was reckoned")

    def handle(self, *args: Any, **options: Any) -> None:
        ended = ChargingSession.objects.filter(status=ChargingSession.Status.COMPLETED).order_by("pk")
        if options["sessions"]:
            ended = ended.filter(pk__in=options["sessions"])
        count = differing = 0
        for session in ended.iterator():
            count += 1
            found = recompute(session, write=options["write"])
            differing += bool(found)
            for name, (stored, reckoned) in found.items():
                self.stdout.write(f"{session}: {name} is {stored}, its facts give {reckoned}")
        done = "stored" if options["write"] else "changed nothing"
        self.stdout.write(f"{count} sessions reckoned, {differing} differ; {done}.")
