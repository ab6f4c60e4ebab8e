"""The Dockerfile and what gets into the image. No container engine is needed, so its steps are followed by hand."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.deploy.proxies import program
from tests.server_process import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
COPIED = [
    line.split()[1] for line in DOCKERFILE.splitlines() if re.match(r"COPY (?!--from|requirements)", line)
]


def test_hadolint_finds_nothing() -> None:
    linted = subprocess.run([program("hadolint"), ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (linted.returncode, linted.stdout) == (0, "")


def test_nobody_is_root_and_nothing_is_built() -> None:
    final = DOCKERFILE.split("FROM ")[-1]
    assert "USER 10001:10001" in final
    assert "STOPSIGNAL SIGTERM" in final
    assert "/health/live" in final
    assert "--only-binary :all: --require-hashes" in DOCKERFILE
    assert "apt-get" not in DOCKERFILE


def test_what_runs_is_in_the_image_and_nothing_else() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split("*\n", 1)[1]
    assert set(re.findall(r"^!(.+)$", ignored, re.MULTILINE)) == {*COPIED, "requirements.lock"}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages | {"manage.py", "templates"} == set(COPIED)


def test_what_is_copied_is_enough(tmp_path: Path) -> None:
    """To load every setting, path and command, away from the checkout, and without writing a file."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "SECRET_KEY": "x" * 50,
        "DATABASE_URL": "sqlite://:memory:",
    }
    checked = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert checked.returncode == 0, checked.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_every_package_has_its_hash() -> None:
    text = (ROOT / "requirements.lock").read_text()
    pinned = re.findall(r"^[a-z0-9][^\s=]*==\S+[^\n]*\\\n    --hash=sha256:", text, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE))
