"""What the views of one charger's things have in common: its identity in the path, operators only, pages, filters."""

from functools import cached_property
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.generics import ListAPIView
from rest_framework.permissions import IsAdminUser

from chargers.errors import NotFound
from chargers.models import Charger
from gateway import openapi
from gateway.api import identity_in
from gateway.resources import Pages, filters


class OfCharger(ListAPIView[Any]):
    """A list of what belongs to the charger in the path."""

    permission_classes = [IsAdminUser]
    pagination_class = Pages
    filter_backends = filters.BACKENDS
    behind = 1  # parts of the path behind the charger's identity

    @cached_property
    def identity(self) -> str:
        return identity_in(self.request, after="/chargers/", behind=self.behind)

    @cached_property
    def charger(self) -> Charger:
        charger = Charger.objects.filter(identity=self.identity).first()
        if charger is None:
            raise NotFound(f"There is no charger {self.identity}")
        return charger

    def get_queryset(self) -> Any:
        rows = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):  # drf-spectacular looks at the model only
            return rows
        return rows.filter(charger=self.charger)


def listed(name: str, kind: Any) -> Any:
    """The schema of a charger's list."""
    return extend_schema_view(
        get=extend_schema(
            operation_id=f"charger_{name}_list",
            tags=["operators"],
            responses={200: kind(many=True), **openapi.failures(400, 403, 404)},
        )
    )
