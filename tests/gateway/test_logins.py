"""Log-ins: refresh tokens are exchanged, old ones end them, and so does logging out."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from chargers.events import utcnow
from gateway import logins
from gateway.auth import tokens_for
from gateway.models import LogIn
from tests.factories import make_operator, make_user
from tests.gateway.test_api import Answer, assert_failure
from tests.gateway.test_tokens import post, refresh, verify

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    return make_user()


def opens(access: str) -> bool:
    client = APIClient(headers={"Authorization": f"Bearer {access}"})
    return client.get("/api/stations/").status_code == 200


def log_out(**body: Any) -> Answer:
    return post("/api/auth/logout/", body)


def test_each_refresh_token_is_exchanged_for_the_next_of_the_same_log_in(user: User) -> None:
    _, first = tokens_for(user)
    second = refresh(first).body
    third = refresh(second["refresh"]).body
    assert opens(second["access"])
    assert opens(third["access"])
    login = LogIn.objects.get(user=user)
    for token in (AccessToken(third["access"]), RefreshToken(third["refresh"])):
        assert token["sid"] == str(login.pk)
    assert login.refresh_id == RefreshToken(third["refresh"])["jti"]


def test_the_same_exchange_again_is_a_lost_answer_and_later_a_copy_that_ends_the_log_in(
    user: User, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    _, first = tokens_for(user)
    lost, found = refresh(first).body, refresh(first).body
    assert RefreshToken(lost["refresh"])["jti"] == RefreshToken(found["refresh"])["jti"]
    settings.REFRESH_GRACE_S = 0
    assert_failure(verify(first), "authentication_failed", 401)
    assert verify(found["refresh"]).status == 200
    assert_failure(refresh(first), "authentication_failed", 401)  # somebody has copied it
    assert LogIn.objects.get(user=user).end == LogIn.End.REUSED
    for tokens in (lost, found):
        assert_failure(refresh(tokens["refresh"]), "authentication_failed", 401)
        assert_failure(verify(tokens["access"]), "authentication_failed", 401)
        assert not opens(tokens["access"])
    assert first not in caplog.text
    assert "came again" in caplog.text


def test_one_before_the_last_has_no_grace(user: User) -> None:
    _, first = tokens_for(user)
    refresh(refresh(first).body["refresh"])
    assert_failure(refresh(first), "authentication_failed", 401)
    assert LogIn.objects.get(user=user).ended_at


@pytest.mark.parametrize("how", ["refresh", "bearer", "old refresh"])
def test_logging_out_ends_the_log_in_and_no_other(user: User, how: str) -> None:
    (access, first), other = tokens_for(user), tokens_for(user)
    if how == "bearer":
        answer = post("/api/auth/logout", {}, Authorization=f"Bearer {access}")
    elif how == "refresh":
        answer = log_out(refresh=first)
    else:
        refresh(first)
        answer = log_out(refresh=first)
    assert (answer.status, answer.body) == (200, {"success": True, "data": {"ended": 1}})
    assert log_out(refresh=first).body["data"] == {"ended": 0}
    assert not opens(access)
    assert_failure(refresh(first), "authentication_failed", 401)
    assert_failure(post("/api/auth/validate-token", {"token": access}), "authentication_failed", 401)
    assert opens(other[0])
    assert refresh(other[1]).status == 200


def test_logging_out_everywhere_ends_all_of_the_user(user: User) -> None:
    pairs, stranger = [tokens_for(user) for _ in range(3)], tokens_for(make_user())
    answer = log_out(refresh=pairs[0][1], everywhere=True)
    assert answer.body["data"] == {"ended": 3}
    assert [opens(access) for access, _ in [*pairs, stranger]] == [False, False, False, True]


def test_what_is_no_token_logs_nobody_out(user: User) -> None:
    access, _ = tokens_for(user)
    for body in ({"refresh": "x.y.z"}, {"refresh": access}, {}):
        assert_failure(log_out(**body), "authentication_failed", 401)
    assert_failure(log_out(refresh=["x"]), "validation_error", 400)
    assert opens(access)


def test_tokens_made_before_there_were_log_ins_go_on(user: User, settings: Settings) -> None:
    old = RefreshToken.for_user(user)
    assert opens(str(old.access_token))
    assert verify(old).status == 200
    renewed = refresh(old).body
    assert opens(renewed["access"])
    settings.REFRESH_GRACE_S = 0
    assert refresh(old).status == 401
    assert not opens(renewed["access"])
    assert log_out(refresh=str(RefreshToken.for_user(user))).body["data"] == {"ended": 1}


def test_an_operator_ends_log_ins(user: User) -> None:
    access, _ = tokens_for(user)
    client = Client()
    client.force_login(make_operator())
    assert user.username in client.get("/admin/gateway/login/?open=yes").content.decode()
    chosen = [str(LogIn.objects.get(user=user).pk)]
    client.post("/admin/gateway/login/", {"action": "end_them", "_selected_action": chosen})
    assert LogIn.objects.get(user=user).end == LogIn.End.OPERATOR
    assert not opens(access)


def test_log_ins_are_forgotten_when_none_of_their_tokens_can_count(user: User, settings: Settings) -> None:
    for _ in range(2):
        tokens_for(user)
    row = LogIn.objects.first()
    assert row
    life = timedelta(minutes=60)
    LogIn.objects.filter(pk=row.pk).update(expires_at=utcnow() - life + timedelta(minutes=1))
    assert logins.forget_expired() == 0
    LogIn.objects.filter(pk=row.pk).update(expires_at=utcnow() - life - timedelta(minutes=1))
    assert logins.forget_expired() == 1
    assert LogIn.objects.count() == 1
