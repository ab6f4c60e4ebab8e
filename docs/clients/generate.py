#!/usr/bin/env python3
"""Writes the clients' types from docs/asyncapi.json and docs/openapi.yaml, and compiles the browser's copy.

    python docs/clients/generate.py            write what is not up to date
    python docs/clients/generate.py --check    write nothing; exit status 1 if something is not

Needs PyYAML and Ruff of the test environment, and TypeScript of node_modules.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from generator import python, typescript
from generator.model import Protocol, Rest

CLIENTS = Path(__file__).resolve().parent
ROOT = CLIENTS.parent.parent
SERVED = ROOT / "gateway" / "static" / "gateway" / "client"
TYPESCRIPT = CLIENTS / "typescript"
PYTHON = CLIENTS / "python" / "evcharge_client"


def types() -> dict[Path, str]:
    """The generated sources, by path."""
    protocol = Protocol(json.loads((ROOT / "docs" / "asyncapi.json").read_text(encoding="utf-8")))
    rest = Rest(yaml.load((ROOT / "docs" / "openapi.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader))
    return {
        TYPESCRIPT / "src" / "protocol.ts": typescript.protocol_module(protocol),
        TYPESCRIPT / "src" / "rest.ts": typescript.rest_module(rest),
        PYTHON / "protocol.py": formatted(python.protocol_module(protocol)),
        PYTHON / "rest.py": formatted(python.rest_module(rest)),
    }


def formatted(source: str) -> str:
    ruff = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(PYTHON / "protocol.py"), "-"]
    done = subprocess.run(ruff, input=source, capture_output=True, text=True, cwd=ROOT, check=True)  # noqa: S603
    return done.stdout


def compiled() -> dict[Path, str]:
    """What the compiler makes of the TypeScript client, by path in the server's static files."""
    with tempfile.TemporaryDirectory() as folder:
        tsc = [str(ROOT / "node_modules" / ".bin" / "tsc"), "--project", str(TYPESCRIPT), "--outDir", folder]
        done = subprocess.run(tsc, capture_output=True, text=True)  # noqa: S603
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        return {SERVED / file.name: file.read_text(encoding="utf-8") for file in Path(folder).iterdir()}


def stale(texts: dict[Path, str]) -> list[Path]:
    return [
        path for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def bring_up_to_date(texts: dict[Path, str]) -> list[Path]:
    changed = stale(texts)
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[path], encoding="utf-8")
    return changed


def main(arguments: list[str]) -> None:
    found = stale if "--check" in arguments else bring_up_to_date
    changed = found(types())
    changed += found(compiled())
    names = ", ".join(str(path.relative_to(ROOT)) for path in changed)
    if "--check" in arguments and changed:
        sys.exit(f"Not up to date: {names}. Run `make clients`.")
    print(f"Written: {names}" if changed else "The clients are up to date")


if __name__ == "__main__":
    main(sys.argv[1:])
