"""Columns of a kind that Django has not."""

from typing import Any

from django.db import models


class JSONAsSent(models.JSONField):
    """JSON that is kept to be shown, not to be asked: PostgreSQL's `json`, which keeps the text.

    Its `jsonb` takes each value apart and puts it together anew: more work than the rest of a row.
    """

    def db_type(self, connection: Any) -> str | None:
        return "json" if connection.vendor == "postgresql" else super().db_type(connection)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        if not isinstance(value, str):  # psycopg has read it, as it does with this type
            return value
        return super().from_db_value(value, expression, connection)
