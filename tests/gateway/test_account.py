"""A driver's history over REST: charts, receipts, all data, the end of the account. Others' are not found (E48)."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.core.cache import cache
from rest_framework.test import APIClient

from gateway import account
from sessions import personal_data
from sessions.models import ErasedAccount
from tests.factories import make_id_tag, make_operator, make_session, make_user
from tests.gateway.test_resources import as_user, get, make_reading, status_of
from tests.sessions.test_receipts import ended

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_throttles() -> None:
    cache.clear()


def test_chart_and_receipt_are_the_drivers_own() -> None:
    """E48"""
    session = ended()
    make_reading(session, 0, power_w=7000.0, energy_wh=1500)
    assert session.user is not None
    mine, other, operator = as_user(session.user), as_user(make_user()), as_user(make_operator())
    path = f"/api/sessions/{session.pk}"
    assert get(mine, f"{path}/chart/") == {
        "session_id": session.pk,
        "points": [{"at": "2025-01-29T12:00:00Z", "energy_kwh": 0.5, "power_kw": 7.0, "soc": None}],
    }
    receipt = get(mine, f"{path}/receipt/")
    assert (receipt["gross"], receipt["tax"], receipt["currency"]) == (7.55, 1.21, "EUR")
    assert get(operator, f"{path}/receipt/") == receipt
    for part in ("chart/", "receipt/", "receipt.pdf"):
        assert status_of(other, f"{path}/{part}") == (404, "not_found")
    for points in ("9", "1001", "x", "-1"):
        assert status_of(mine, f"{path}/chart/", points=points) == (400, "validation_error")
    assert status_of(operator, f"/api/sessions/{make_session().pk}/receipt/") == (409, "session_not_ended")
    failed = make_session(status="failed")
    assert status_of(operator, f"/api/sessions/{failed.pk}/receipt.pdf") == (409, "no_receipt")


@pytest.mark.embedded_only
@pytest.mark.parametrize("lang", ["de", "ar"])
def test_receipt_is_a_pdf_whatever_is_accepted(lang: str) -> None:
    session = ended()
    assert session.user is not None
    session.user.first_name = "عمر"
    session.user.save()
    response = as_user(session.user).get(
        f"/api/sessions/{session.pk}/receipt.pdf", {"lang": lang}, HTTP_ACCEPT="application/pdf"
    )
    assert (response.status_code, response["Content-Type"]) == (200, "application/pdf")
    assert response.content.startswith(b"%PDF-")
    assert response.content.count(b"/FontFile2") == 2  # embedded


def test_export_is_all_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal_data, "BATCH", 2)
    session = ended()
    user = session.user
    assert user is not None
    tags = sorted(make_id_tag(user=user).value for _ in range(5))
    for second in (0, 0, 10, 20, 20, 30, 40):
        make_reading(session, second, power_w=float(second))
    make_session(user=user, status="failed")
    make_reading(ended(), 0)
    document = json.loads(b"".join(personal_data.document(user.pk)))
    assert document["account"]["email"] == "ada@example.org"
    assert [tag["value"] for tag in document["id_tags"]] == tags
    first, second = document["sessions"]
    assert (first["session_id"], first["receipt"]["gross"]) == (session.pk, 7.55)
    assert [reading["power_w"] for reading in first["readings"]] == [0, 0, 10, 20, 20, 30, 40]
    assert (second["receipt"], second["readings"]) == (None, [])


async def test_export_is_streamed_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    async def here(call: Any, *args: Any) -> Any:
        return call(*args)

    monkeypatch.setattr(account, "in_db", here)
    pieces = account._streamed(iter([b"a", b"b"]))
    assert isinstance(pieces, AsyncIterator)
    assert [piece async for piece in pieces] == [b"a", b"b"]


def test_account_is_deleted_with_its_password_alone() -> None:
    user = make_user(password="right-enough-1")
    client = as_user(user)

    def delete(body: Any) -> tuple[int, str]:
        response = client.delete("/api/account/", body, format="json")
        return response.status_code, response.json()["code"] if response.content else ""

    assert delete({}) == (400, "validation_error")
    assert delete({"password": "wrong"}) == (403, "wrong_password")
    running = make_session(user=user)
    assert delete({"password": "right-enough-1"}) == (409, "active_session_exists")
    running.status = "completed"
    running.save()
    assert delete({"password": "right-enough-1"}) == (204, "")
    assert ErasedAccount.objects.get().user == user
    assert APIClient().delete("/api/account/").status_code == 401


def test_operator_deletes_after_confirming_and_only_with_the_permission(client: Any) -> None:
    user, path = make_user(), "/admin/auth/user/"
    wish = {"action": "erase_accounts", "_selected_action": user.pk}
    client.force_login(make_operator())
    assert b"cannot be undone" in client.post(path, wish).content
    assert not ErasedAccount.objects.exists()
    client.post(path, {**wish, "confirmed": "yes"})
    assert ErasedAccount.objects.get().user == user
    assert f"deleted-{user.pk}".encode() in client.get("/admin/charging/erasedaccount/").content

    other = make_user()
    client.force_login(make_user(is_staff=True))
    client.post(path, {**wish, "_selected_action": other.pk, "confirmed": "yes"})
    assert ErasedAccount.objects.count() == 1
