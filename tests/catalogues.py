"""The catalogues in gateway/locale: what they must hold, read from the code, and how they are brought up to date.

python -m tests.catalogues     adds what is missing, without a translation, and compiles
"""

import ast
import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import django
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
LOCALE = ROOT / "gateway" / "locale"
PACKAGES = ("chargers", "sessions", "gateway")
SAYING = ("Words", "gettext")
HEADER = "# What drivers are told. `python -m tests.catalogues` adds what is new and compiles."


def used() -> dict[str, list[str]]:
    """Every sentence that may be told to a driver, with the files it stands in: what is given to `Words` or `gettext`,
    and what the domain's errors say."""
    found: dict[str, list[str]] = {}
    for template, where in sorted({*_in_code(), *_of_errors()}, key=lambda each: (each[1], each[0])):
        found.setdefault(template, []).append(where)
    return found


def _in_code() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            text = file.read_text()
            if not any(f"{name}(" in text for name in SAYING):
                continue
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in SAYING and node.args:
                    template = node.args[0]
                    if isinstance(template, ast.Constant) and isinstance(template.value, str):
                        yield template.value, str(file.relative_to(ROOT))


def _of_errors() -> Iterator[tuple[str, str]]:
    from chargers.errors import DomainError
    from gateway import routing, urls  # noqa: F401  (every door, and so every error)

    kinds: list[type[DomainError]] = [DomainError]
    for kind in kinds:  # it grows meanwhile
        kinds += kind.__subclasses__()
        if kind.__module__.partition(".")[0] in PACKAGES:
            yield kind.sentence, kind.__module__.replace(".", "/") + ".py"


def languages() -> list[str]:
    return sorted(each.name for each in LOCALE.iterdir() if each.is_dir())


def source_of(language: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / "django.po"


def read(language: str) -> Catalog:
    with source_of(language).open("rb") as file:
        return read_po(file, locale=language, domain="django")


def compiled(catalogue: Catalog) -> bytes:
    file = BytesIO()
    write_mo(file, catalogue)
    return file.getvalue()


def written(catalogue: Catalog) -> bytes:
    file = BytesIO()
    write_po(file, catalogue, width=110, sort_by_file=True, include_lineno=False, omit_header=False)
    return file.getvalue()


def update(language: str) -> int:
    """How many sentences lack a translation."""
    source = source_of(language)
    before = read(language) if source.exists() else Catalog(locale=language)
    after = Catalog(
        locale=language,
        domain="django",
        header_comment=HEADER,
        project="evcharge",
        version="1",
        last_translator="evcharge",
        language_team="evcharge",
        msgid_bugs_address="evcharge",
        fuzzy=False,
    )
    for template, files in used().items():
        known = before.get(template)
        after.add(
            template,
            known.string if known else "",
            locations=[(file, 0) for file in files],
            flags=["python-format"] if "%(" in template else [],
        )
    after.creation_date = after.revision_date = before.creation_date
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_bytes(written(after))
    source.with_suffix(".mo").write_bytes(compiled(after))
    return sum(1 for message in after if message.id and not message.string)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evcharge.settings")
    django.setup()
    for name in languages():
        print(f"{name}: {update(name)} to translate")
