"""`manage.py simulate`: simulated chargers dial a server and show their conversation. Needs no database."""

import argparse
import asyncio
import logging
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand, CommandError, DjangoHelpFormatter
from rich.console import Console
from rich.text import Text

from gateway.ocpp.simulated_books import Books
from gateway.ocpp.simulated_faults import HAPPENINGS, MESSAGE_FAULTS, QUIRKS, Faults, rate, script
from gateway.ocpp.simulated_line import Direction, decoded
from gateway.ocpp.simulator import SimulatedCharger, dial, unwatched

PAUSE_S = 5.0
"""Between two visits of the driver that `--tag` sends."""

ARROWS: dict[Direction, tuple[str, str]] = {"out": ("→", "cyan"), "in": ("←", "magenta")}
OPPOSITE: dict[Direction, Direction] = {"out": "in", "in": "out"}


def listed(title: str, kinds: Mapping[str, str]) -> str:
    return f"{title}\n" + "".join(f"  {name:<20}{meaning}\n" for name, meaning in kinds.items())


FAULTS_HELP = f"""\
{listed("faults that spoil messages; the rate is their share:", MESSAGE_FAULTS)}
{listed("happenings; the rate is the chance in each second of each charger:", HAPPENINGS)}
{listed("quirks; the rate is the share of the chargers that have it:", QUIRKS)}
a script has a line for each event: SECONDS CHARGER FAULT [ARGUMENT]
  5   CP001  offline 10                    ten seconds without a connection
  20  *      power_loss                    all chargers
  30  CP00*  lost_answer StartTransaction  the next answer that fits; without ARGUMENT, of any action
  60  CP001  clock_jump -7200              seconds; of register_jump it is Wh
CHARGER is an identity or a pattern, ARGUMENT seconds for a happening or an action for a message fault, and what
follows # is a comment. The same seed gives the same chance again.
"""


class Formatter(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Django's, with the epilog as it stands."""


def fault(text: str) -> tuple[str, float]:
    try:
        return rate(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


class Command(BaseCommand):
    help = "Simulated OCPP 1.6J chargers that dial a server. Ctrl-C ends them."
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add = parser.add_argument
        add("--url", default="ws://localhost:8080", help="the server; /ocpp/<identity> is appended")
        add("--count", type=int, default=1, help="how many chargers")
        add("--prefix", default="CP", help="identities are <prefix>001, <prefix>002, …")
        add("--first", type=int, default=1, help="the number of the first charger")
        add("--identity", action="append", metavar="X", help="this identity instead; may be repeated")
        add("--password", help="for HTTP Basic authentication, the same for all")
        add("--connectors", type=int, default=2, help="connectors of each charger")
        add("--power-kw", type=float, default=7.4, help="what a car takes at most; above 7.4 on three phases")
        add("--battery-kwh", type=float, default=60, help="size of each car's battery")
        add("--soc", type=float, default=30, help="state of charge of an arriving car, in percent")
        add("--meter-interval", type=float, default=10, help="seconds between meter values")
        add("--speed", type=float, default=1, help="how many times faster than in life energy flows")
        add("--seed", type=int, default=1, help="other numbers give other cars and meters")
        add("--auto-plug", type=float, default=1.5, help="seconds from a remote start to the cable")
        add("--auto-unplug", type=float, default=5, help="seconds from the end to the pulled cable")
        add("--tag", help="let a driver with this tag come to connector 1 of every charger, again and again")
        add(
            "--charge-minutes",
            type=float,
            default=10,
            help="how long that driver charges (divided by --speed)",
        )
        add(
            "--fault",
            action="append",
            type=fault,
            metavar="NAME=RATE",
            help="something that goes wrong, from 0 to 1; may be repeated. Below is what there is",
        )
        add("--script", type=Path, help="what goes wrong and when, a line each; the form is below")
        add(
            "--books",
            type=Path,
            help="append every transaction that truly happened to this file, as JSON lines",
        )
        parser.formatter_class = Formatter
        parser.epilog = FAULTS_HELP
        add("--quiet", action="store_true", help="do not show the conversation")

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(
            file=cast(TextIO, self.stdout),
            highlight=False,
            soft_wrap=True,
            no_color=options["no_color"],
            force_terminal=options["force_color"] or None,
        )
        log = logging.getLogger("gateway.ocpp")
        notices = Notices(console)
        log.addHandler(notices)
        log.setLevel(logging.INFO)
        log.propagate = False  # once on the screen is enough
        try:
            asyncio.run(simulate(console, options))
        except KeyboardInterrupt:
            console.print("ended")
        except (OSError, ValueError) as error:  # the script is not there, or not readable
            raise CommandError(str(error)) from error
        finally:
            log.removeHandler(notices)


async def simulate(console: Console, options: dict[str, Any]) -> None:
    """Run all chargers, and their drivers if there are any, until cancelled."""
    on_frame = unwatched if options["quiet"] else Display(console).show
    events = script(options["script"].read_text()) if options["script"] else []
    rates, seed, books = dict(options["fault"] or ()), options["seed"], Books(options["books"])
    chargers = [
        SimulatedCharger(
            identity,
            connectors=options["connectors"],
            meter_interval_s=options["meter_interval"],
            speed=options["speed"],
            seed=options["seed"],
            max_power_w=options["power_kw"] * 1000,
            battery_wh=options["battery_kwh"] * 1000,
            soc_percent=options["soc"],
            auto_plug_s=options["auto_plug"],
            auto_unplug_s=options["auto_unplug"],
            password=options["password"],
            faults=Faults(identity, rates=rates, events=events, seed=seed),
            books=books,
            on_frame=on_frame,
        )
        for identity in identities(options)
    ]
    async with asyncio.TaskGroup() as group:
        for charger in chargers:
            group.create_task(dial(charger, options["url"]))
            if options["tag"]:
                charge_s = options["charge_minutes"] * 60 / options["speed"]
                group.create_task(visit_again_and_again(charger, options["tag"], charge_s))


def identities(options: dict[str, Any]) -> Iterator[str]:
    if options["identity"]:
        yield from options["identity"]
    else:
        for number in range(options["first"], options["first"] + options["count"]):
            yield f"{options['prefix']}{number:03}"


async def visit_again_and_again(charger: SimulatedCharger, id_tag: str, charge_s: float) -> None:
    """A driver who plugs in, charges, pulls the cable and comes back; a refused tag only costs a pause."""
    while True:
        await charger.until(
            lambda it: it.registration == "Accepted" and it.connectors[1].free, timeout_s=None
        )
        await charger.plug_in(1)
        if await charger.present_tag(1, id_tag):
            await asyncio.sleep(charge_s)
        await charger.unplug(1)
        await asyncio.sleep(PAUSE_S)


class Notices(logging.Handler):
    """Shows what the chargers log, such as a server that cannot be reached."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(Text(f"{datetime.now():%H:%M:%S} {record.getMessage()}", style="yellow"))


class Display:
    """One line per message; answers without content are left out."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._actions: dict[tuple[str, Direction, str], str] = {}

    def show(self, identity: str, direction: Direction, text: str) -> None:
        match decoded(text):
            case [2, str(message_id), str(action), payload]:
                self._actions[identity, direction, message_id] = action
                self._line(identity, direction, action, summary(payload), style="bold")
            case [3, str(message_id), payload]:
                action = self._answered(identity, direction, message_id)
                if payload:
                    self._line(identity, direction, action, summary(payload), style="dim")
            case [4, str(message_id), code, description, *_]:
                action = self._answered(identity, direction, message_id)
                self._line(identity, direction, action, f"{code} {description}", style="red")
            case _:
                self._line(identity, direction, "?", text[:200], style="red")

    def _answered(self, identity: str, direction: Direction, message_id: str) -> str:
        """The action of the CALL that went the other way."""
        return self._actions.pop((identity, OPPOSITE[direction], message_id), "?")

    def _line(self, identity: str, direction: Direction, action: str, content: str, *, style: str) -> None:
        arrow, colour = ARROWS[direction]
        parts = [(f"{datetime.now():%H:%M:%S} ", "dim"), (f"{identity} ", colour), (f"{arrow} ", colour)]
        self._console.print(Text.assemble(*parts, (action, style), f" {content}"))


def summary(payload: Any) -> str:
    """A payload in one line: fields without their ceremony, meter values as numbers with units."""
    if not isinstance(payload, dict):
        return str(payload)[:200]
    return " ".join(f"{name}={value}" for name, value in fields(payload))


def fields(payload: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in payload.items():
        if name == "meterValue":
            yield "values", readings(value)
        elif isinstance(value, dict):
            yield from fields(value)
        elif isinstance(value, list):
            yield name, f"[{len(value)}]"
        elif name not in ("timestamp", "currentTime"):
            yield name, str(value)


def readings(meter_values: list[dict[str, Any]]) -> str:
    """Only chargers send meter values, and these are ours: they are well-formed."""
    values = [each for meter_value in meter_values for each in meter_value["sampledValue"]]
    return ", ".join(f"{each['value']} {each.get('unit', 'Wh')}" for each in values)
