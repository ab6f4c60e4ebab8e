"""What tests of the operators' pages share: staff with few rights, the buttons, and a walk through a list."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.db.models import Model
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.factories import make_operator, make_user


def staff(*permissions: str) -> Client:
    """A member of staff who may do this and no more: `staff("chargers.view_charger")`."""
    user = make_user(is_staff=True)
    user.user_permissions.set(permission(name) for name in permissions)
    return signed_in(user)


def permission(name: str) -> Permission:
    """`permission("chargers.send_reset")`"""
    app_label, codename = name.split(".")
    return Permission.objects.get(content_type__app_label=app_label, codename=codename)


def operator() -> Client:
    return signed_in(make_operator())


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def list_of(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def page_of(row: Model, view: str = "change") -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{view}", args=[row.pk])


def act(client: Client, action: str, *rows: Model, follow: bool = True, **data: Any) -> Any:
    """Choose rows in their list and an action, as the list does, or as the page in between if `confirmed` is given."""
    form = {"action": action, "_selected_action": [str(row.pk) for row in rows], **data}
    return client.post(list_of(type(rows[0])), form, follow=follow)


def confirm(client: Client, action: str, *rows: Model, **data: Any) -> Any:
    return act(client, action, *rows, confirmed="yes", **data)


def text_of(response: Any) -> str:
    return response.content.decode()


def messages_of(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def walk_through(client: Client, model: type[Model]) -> None:
    """Open the list sorted by each column and narrowed by each choice of each filter; none may fail or be ignored."""
    page = admin.site.get_model_admin(model)
    request = RequestFactory().get("/")
    request.user = make_operator()
    url = list_of(model)
    queries = {"q=nothing+like+it", "q=1f9d4bd1-62a8-4b4e-9ce7-1d9e2c7b2f3d", "q=7"}
    queries |= {f"o={sign}{i}" for i in range(1, len(page.list_display) + 1) for sign in ("", "-")}
    changes = page.get_changelist_instance(request)
    for spec in changes.filter_specs:
        queries |= {choice["query_string"].lstrip("?") for choice in spec.choices(changes)}
    for query in queries:
        response = client.get(f"{url}?{query}")
        assert response.status_code == 200, f"{url}?{query}"


def queries_of(client: Client, url: str) -> int:
    client.get(url)  # content types and the like are kept from now on
    with CaptureQueriesContext(connection) as queries:
        response = client.get(url)
    assert response.status_code == 200
    return len(queries)


def assert_no_query_per_row(
    client: Client, model: type[Model], make: Callable[[], object], query: str
) -> None:
    """The list takes as many queries with 20 rows as with 2."""
    url = f"{list_of(model)}?{query}"
    for _ in range(2):
        make()
    few = queries_of(client, url)
    for _ in range(18):
        make()
    assert queries_of(client, url) == few
    assert text_of(client.get(url)).count('name="_selected_action"') in (0, 20)
