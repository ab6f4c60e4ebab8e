"""The findings for people: on the terminal as they come, and as docs/benchmarks.md."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.table import Table

from tests.benchmarks.targets import TARGETS, Finding, Outcome

_HEAD = """\
# Benchmarks

What `make bench` measured; it writes this file. evcharge against what one would build on instead, in the same minutes
on the same machine, as ratios. A figure of one machine at one moment says little, and drifts by half; a ratio holds.

"""

_REPEAT = """\
## Repeat it

```sh
make bench                everything, in under 15 minutes; writes this file
make bench T=3            one target; T=1,3,8 some; T=sockets the 10,000 sockets. Writes nothing
make bench ARGS=--quick   a smoke run: a tenth of everything, one round. Its figures mean nothing
```

Needs Linux, a C compiler and two processors that do nothing else. What else it needs it installs in the checkout.

## How it is measured

- **Sides in turn.** Yardstick and product are up at the same time with their sockets open, and take turns; the order
  turns round in every round. Figures are medians of the rounds. A p99 is each round's own, and of those the median.
- **Processors.** The server under test has one to itself. Load generator, PostgreSQL, Valkey and publisher share the
  rest.
- **The product** is `manage.py serve` with its defaults, on PostgreSQL that flushes to disk and on Valkey, with real
  tokens and the wire log on, and drivers who are charging. Where a setting is changed the table says so.
- **Load** is one C program with epoll: `closed` loops send again when answered, `open` loops send at a rate, and
  latency counts from when a message was due. An answer that says no, or none at all, ends the run.
- **Nothing is lost unseen**: meter values acknowledged are counted in the database; pushes are counted at both ends.
- **µs CPU** is user and system time of the server's process, from the kernel's own books, for each message.
- **Memory** is the growth of the proportional set size; buffers in the kernel are not in it, on either side.

## What to bear in mind

- Yardsticks do less: `ws` has no tokens, no groups and no database; `ocpp-rpc` knows no sessions. That is why a ratio
  below 1 can be good.
- All runs on one machine over loopback: no network, no TLS, no proxy.
- PostgreSQL and the load share processors; with more of them what is committed per second rises, and what it costs in
  CPU does not change.
- A p99 under light load is a few messages: the ratios T6, T9 and T10 are the most restless here. T6 is measured
  with the database at rest; while it writes or vacuums what a flood has left, one commit in a hundred takes 25–65 ms.
- 2,000 sockets of one client program are not 2,000 phones: they answer pings at once and never go under a bridge.

What a path costs in instructions is no matter of the moment: tests/test_instructions.py holds that.
"""


def table(finding: Finding) -> Table:
    """For the terminal."""
    result = Table(title=finding.title, title_justify="left", box=box.SIMPLE_HEAD)
    for number, column in enumerate(finding.columns):
        result.add_column(column, justify="right" if number and len(finding.columns) > 2 else "left")
    for row in finding.rows:
        result.add_row(*row)
    return result


def verdict(outcome: Outcome) -> str:
    """One line for the terminal."""
    target = TARGETS[outcome.target]
    colour = "green" if outcome.is_met else "red"
    words = outcome.verdict.replace("**", "")
    marks = f"must {target.mark(target.must)}, stretch {target.mark(target.stretch)}"
    return f"  {outcome.target:<3} {outcome.shown:>9}  [{colour}]{words}[/]  ({marks})"


def markdown(facts: dict[str, str], findings: Sequence[Finding], how: str) -> str:
    """The whole of docs/benchmarks.md."""
    outcomes = [outcome for finding in findings for outcome in finding.outcomes]
    parts = [
        _HEAD,
        _table(("", ""), [(f"**{name}**", value) for name, value in {**facts, "Run": how}.items()]),
        "\n## Targets\n\n",
        _table(("", "measure", "yardstick", "here", "must", "stretch", "verdict"), map(_target, outcomes)),
        "\n## Figures\n",
        *map(_section, findings),
        "\n",
        _REPEAT,
    ]
    return "".join(parts)


def _target(outcome: Outcome) -> tuple[str, ...]:
    target = TARGETS[outcome.target]
    marks = target.mark(target.must), target.mark(target.stretch)
    return outcome.target, target.measure, target.yardstick, outcome.shown, *marks, outcome.verdict


def _section(finding: Finding) -> str:
    note = f"\n{finding.note}\n" if finding.note else ""
    return f"\n### {finding.title}\n\n{_table(finding.columns, finding.rows)}{note}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"
