"""The README's tree knows every module: if the line cannot be written, the file is not ready."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_every_module_stands_in_the_tree() -> None:
    readme = (ROOT / "README.md").read_text()
    modules = [
        path
        for package in ("evcharge", "chargers", "sessions", "gateway")
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py" and "migrations" not in path.parts
    ]
    assert [str(path.relative_to(ROOT)) for path in modules if path.name not in readme] == []


def test_every_setting_the_readme_names_exists() -> None:
    import re

    from evcharge.env import VARIABLES

    readme = (ROOT / "README.md").read_text()
    named = set(re.findall(r"`([A-Z][A-Z_]{4,})(?:=[^`]*)?`", readme))
    assert named <= {variable.name for variable in VARIABLES} | {"CHARGERS"}
