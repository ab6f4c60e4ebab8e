"""`manage.py demo`: database, data, server and simulated chargers in one process. Behind `make demo`."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import orjson
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from gateway.auth import tokens_for
from gateway.ocpp.simulator import SimulatedCharger, dial
from gateway.server import Server, config, listening_socket
from sessions.management.commands.seed_demo import CHARGERS, ID_TAG, connectors_of

# Said too often to be worth a line each.
_QUIET = {"Heartbeat", "MeterValues"}


class Command(BaseCommand):
    help = "Run the demo: migrate, seed, serve, and let simulated chargers dial in."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=settings.PORT)
        parser.add_argument(
            "--chargers",
            type=int,
            default=os.environ.get("CHARGERS") or len(CHARGERS),
            help="how many are simulated; 0 leaves them out",
        )

    def handle(self, *args: Any, port: int, chargers: int, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("This is for the demo: run `make demo`, or set DEMO=1.")
        folder = Path(settings.DATABASES["default"]["NAME"]).parent
        with _alone(folder / "running"):
            listener = listening_socket(settings.HOST, port)
            call_command("migrate", verbosity=0)
            call_command("seed_demo", chargers=chargers)
            token = tokens_for(get_user_model().objects.get(username="driver"))[0]
            simulated = list(connectors_of(chargers).items())
            with (folder / "simulator.log").open("a", buffering=1) as log, suppress(KeyboardInterrupt):
                asyncio.run(self._serve(listener, port, token, simulated, log))

    async def _serve(
        self, listener: Any, port: int, token: str, simulated: list[tuple[str, int]], log: IO[str]
    ) -> None:
        dialling: list[asyncio.Task[None]] = []

        def started() -> None:
            self.stdout.write(_welcome(port, token, len(simulated)))
            self.stdout.flush()
            for seed, (identity, connectors) in enumerate(simulated):
                charger = SimulatedCharger(
                    identity,
                    connectors=connectors,
                    meter_interval_s=2,
                    speed=20,  # a minute shows what takes twenty
                    seed=seed,
                    auto_plug_s=1,
                    auto_unplug_s=2,
                    on_frame=lambda *frame: self._show(log, *frame),
                )
                dialling.append(asyncio.create_task(dial(charger, f"ws://127.0.0.1:{port}")))

        server = Server(config(host=settings.HOST, port=port), started)
        try:
            await server.serve(sockets=[listener])
        finally:
            for task in dialling:
                task.cancel()
            await asyncio.gather(*dialling, return_exceptions=True)

    def _show(self, log: IO[str], identity: str, direction: str, text: str) -> None:
        """The simulated chargers' conversation: all of it into the log, what is worth seeing on the screen."""
        arrow = "<-" if direction == "in" else "->"
        log.write(f"{datetime.now():%H:%M:%S.%f} {identity} {arrow} {text}\n")
        frame = orjson.loads(text)
        if frame[0] == 2 and frame[2] not in _QUIET:
            payload = orjson.dumps(frame[3]).decode()
            self.stdout.write(f"{datetime.now():%H:%M:%S} {identity} {arrow} {frame[2]} {payload[:140]}")
            self.stdout.flush()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One demo at a time: two on one database would not hear each other's events."""
    import fcntl  # not on Windows, where `make` is not either

    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise CommandError(
                f"The demo is running already (process {lock.read().strip() or 'unknown'}). End it with Ctrl-C first."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _welcome(port: int, token: str, count: int) -> str:
    base, socket = f"http://localhost:{port}", f"ws://localhost:{port}"
    manage = f"{os.path.relpath(sys.executable)} manage.py"
    chargers = {
        0: f"No simulated chargers. Let yours dial {socket}/ocpp/CP001 (or CP002), subprotocol ocpp1.6, no password.",
        1: "CP001 (two connectors) is simulated and connected.",
        2: "CP001 (two connectors) and CP002 (one) are simulated and connected.",
    }.get(
        count, f"CP001 (two connectors), CP002 (one) and {count - 2} more up to CP{count:03} are simulated."
    )
    return f"""
evcharge is running. {chargers}

  Start page     {base}/
  Test console   {base}/console/
  Admin          {base}/admin/        operator / operator
  API documents  {base}/docs/
  Drivers        driver / driver, driver2 / driver2; id tag {ID_TAG}

A fresh token of `driver`:

{token}

Charge with it (paste the line, then the JSON):

npx wscat -c "{socket}?token={token}"
{{"action":"start_charging","data":{{"charger_id":"CP001","connector_id":1}}}}
{{"action":"stop_charging","data":{{"charger_id":"CP001"}}}}

Or let the whole flow run in another terminal:

{manage} charging_flow $({manage} generate_token driver) CP001 {socket}

Ctrl-C ends everything. `make clean-demo` forgets the demo's data.
"""
