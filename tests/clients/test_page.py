"""What docs/clients says and brings: its types are those of the published documents, its examples run."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.charge import at
from tests.clients.phones import NODE
from tests.conftest import Site
from tests.factories import make_charger, make_tariff, make_user
from tests.server_process import ROOT
from tests.wire import charger

CLIENTS = ROOT / "docs" / "clients"
SERVED = ROOT / "gateway" / "static" / "gateway" / "client" / "evcharge.js"
PASSWORD = "s3cret-enough"
Program = Callable[[str, Path], list[str]]
QUIET = {**os.environ, "NODE_NO_WARNINGS": "1"}  # that .js files are modules is said by no package.json

pytestmark = pytest.mark.embedded_only


def test_generated_types_and_the_served_copy_are_up_to_date() -> None:
    check = [sys.executable, str(CLIENTS / "generate.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def example(language: str, **words: str) -> str:
    """The page's example, with words of it replaced."""
    page = (CLIENTS / "README.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    for word, other in words.items():
        assert word in found
        found = found.replace(word, other)
    return found


def in_javascript(source: str, folder: Path) -> list[str]:
    file = folder / "example.mjs"
    file.write_text(source)
    return [str(NODE), "--import", str(Path(__file__).with_name("websocket.mjs")), str(file)]


def in_typescript(source: str, folder: Path) -> list[str]:
    """Checked as strictly as the client itself, then run."""
    (folder / "example.ts").write_text(source)
    options = json.loads((CLIENTS / "typescript" / "tsconfig.json").read_text())["compilerOptions"]
    paths = {"evcharge-client": [str(SERVED.with_suffix(".d.ts"))]}
    options |= {
        "module": "esnext",
        "moduleResolution": "bundler",
        "paths": paths,
        "rootDir": "/",
        "declaration": False,
    }
    options |= {"outDir": str(folder)}
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": ["example.ts"]}))
    tsc = [str(ROOT / "node_modules" / ".bin" / "tsc"), "--project", str(folder)]
    done = subprocess.run(tsc, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    (made,) = folder.rglob("example.js")
    return in_javascript(made.read_text().replace('"evcharge-client"', f'"{SERVED.as_uri()}"'), folder)


def in_python(source: str, folder: Path) -> list[str]:
    path = str(CLIENTS / "python")
    return [sys.executable, "-c", f"import sys; sys.path.insert(0, {path!r})\n{source}"]


@pytest.mark.parametrize(
    ("language", "program"), [("js", in_javascript), ("ts", in_typescript), ("python", in_python)]
)
async def test_an_example_of_the_page_charges(
    site: Site, tmp_path: Path, language: str, program: Program
) -> None:
    user, row = make_user(password=PASSWORD), make_charger(connectors=1)
    make_tariff(stations=[row.station])
    words = {
        "https://charge.example": site.http,
        "driver": user.username,
        "secret": PASSWORD,
        "CP001": row.identity,
    }
    command = program(example(language, **words), tmp_path)
    async with charger(site.charger_url, row.identity) as box:
        await box.ready(1)
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=QUIET)
        try:
            wish = await box.accepts("RemoteStartTransaction")
            transaction = await box.start(id_tag=wish["idTag"], at=at())
            await box.meter(transaction=transaction, energy=2500, at=at(1))
            await box.accepts("RemoteStopTransaction")
            await box.stop(transaction=transaction, meter=3000, at=at(2), reason="Remote")
            said, errors = await asyncio.wait_for(process.communicate(), 15)
        finally:
            if process.returncode is None:
                process.kill()
    assert (process.returncode, errors.decode()) == (0, "")
    assert re.search(r"^1\.5 kWh .*^cost: 1(\.0)? EUR$", said.decode(), re.DOTALL | re.MULTILINE)
