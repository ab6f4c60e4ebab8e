"""`manage.py export_api_docs`: writes what is published of the code, or with `--check` says what of it is stale."""

import sys
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer
from drf_spectacular.validation import validate_schema

from gateway import asyncapi


class Command(BaseCommand):
    help = "Write docs/openapi.yaml, docs/asyncapi.json and .env.example from the code."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="write nothing; exit status 1 if one is stale"
        )

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        texts = published()
        stale = [name for name, text in texts.items() if _read(name) != text]
        if check and stale:
            self.stderr.write(f"Stale: {', '.join(stale)}. Run `make docs`.")
            sys.exit(1)
        for name in stale:
            path = settings.BASE_DIR / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(texts[name], encoding="utf-8")
        self.stdout.write(f"Written: {', '.join(stale)}" if stale else "All up to date")


def published() -> dict[str, str]:
    """Path from the top of the checkout → text. The same for the same code, whatever the settings are."""
    return {
        "docs/openapi.yaml": openapi_yaml(),
        "docs/asyncapi.json": asyncapi_json(),
        ".env.example": settings.ENV_EXAMPLE,
    }


def openapi_yaml() -> str:
    GENERATOR_STATS.reset()
    schema = SchemaGenerator().get_schema(request=None, public=True)
    if GENERATOR_STATS:
        GENERATOR_STATS.emit_summary()
        raise CommandError("drf-spectacular is not sure of the schema; see above.")
    validate_schema(schema)
    text = OpenApiYamlRenderer().render(schema, renderer_context={})
    return text.decode().rstrip() + "\n"


def asyncapi_json() -> str:
    return msgspec.json.format(msgspec.json.encode(asyncapi.document()), indent=2).decode() + "\n"


def _read(name: str) -> str:
    path: Path = settings.BASE_DIR / name
    return path.read_text(encoding="utf-8") if path.exists() else ""
