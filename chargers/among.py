"""`IN` for hundreds of values at once, as one parameter: Django and psycopg handle each further one in turn, which
costs more than the query."""

import json
from collections.abc import Collection
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Lookup
from django.db.models.sql.compiler import SQLCompiler


class Among(Lookup):
    """A condition: the field's value is one of these. `filter(Among("user_id", ids))`."""

    lookup_name = "among"

    def __init__(self, field: str | Any, values: Collection[Any]) -> None:
        super().__init__(F(field) if isinstance(field, str) else field, list(values))

    def get_prep_lookup(self) -> list[Any]:
        return list(self.rhs)

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
        column, params = self.process_lhs(compiler, connection)
        values = json.dumps(self._values(connection))
        condition = f"{column} IN (SELECT value FROM json_each(%s))"  # noqa: S608  # a column of a model
        return condition, [*params, values]

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
        column, params = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s)", [*params, self._values(connection)]

    def _values(self, connection: BaseDatabaseWrapper) -> list[Any]:
        field = self.lhs.output_field
        return [field.get_db_prep_value(value, connection) for value in self.rhs]
