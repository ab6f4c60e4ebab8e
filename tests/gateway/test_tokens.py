"""Tokens over REST: whom they are given to, and when they no longer count."""

import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from gateway.tokens import LoginThrottle
from tests.factories import make_user
from tests.gateway.test_api import Answer, assert_failure

pytestmark = pytest.mark.django_db

PASSWORD = "s3cret-enough"


@pytest.fixture(autouse=True)
def _no_history() -> None:
    cache.clear()


@pytest.fixture
def user() -> User:
    return make_user(password=PASSWORD)


def post(path: str, body: Any = None, **headers: str) -> Answer:
    response = APIClient().post(path, body, format="json", headers=headers)
    return Answer(response.status_code, response.json(), response.headers)


def log_in(user: User, password: str = PASSWORD) -> Answer:
    return post("/api/token/", {"username": user.username, "password": password})


def test_credentials_give_both_tokens(user: User) -> None:
    answer = log_in(user)
    assert answer.status == 200
    assert answer.body.keys() == {"access", "refresh"}
    assert AccessToken(answer.body["access"])["user_id"] == str(user.pk)


def test_form_is_as_good_as_json(user: User) -> None:
    response = APIClient().post("/api/token", {"username": user.username, "password": PASSWORD})
    assert response.status_code == 200


@pytest.mark.parametrize("password", ["wrong", "s3cret-enough "])
def test_wrong_password_is_401_in_the_stable_shape(user: User, password: str) -> None:
    assert_failure(log_in(user, password), "authentication_failed", 401)


def test_unknown_and_disabled_users_get_the_same_answer(user: User) -> None:
    user.is_active = False
    user.save()
    disabled = log_in(user)
    unknown = post("/api/token/", {"username": "nobody-here", "password": PASSWORD})
    assert_failure(disabled, "authentication_failed", 401)
    assert disabled.body == unknown.body


def test_blanks_at_the_ends_belong_to_a_password() -> None:
    assert log_in(make_user(password=" two blanks "), " two blanks ").status == 200


@pytest.mark.parametrize("body", [{}, {"username": "x"}, [], {"username": "\x00", "password": "x"}])
def test_missing_or_impossible_fields_are_a_validation_error(body: Any) -> None:
    assert_failure(post("/api/token/", body), "validation_error", 400)


def test_malformed_json_is_invalid_message() -> None:
    response = APIClient().post("/api/token/", "{", content_type="application/json")
    assert_failure(Answer(response.status_code, response.json(), {}), "invalid_message", 400)


# --- too many attempts ---


def test_too_many_attempts_are_429_with_the_seconds_to_wait(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LoginThrottle, "rate", "3/min", raising=False)
    monkeypatch.setattr(LoginThrottle, "get_rate", lambda self: "3/min")
    for _ in range(3):
        assert log_in(user, "wrong").status == 401
    answer = log_in(user)
    assert_failure(answer, "rate_limited", 429)
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    monkeypatch.setattr(LoginThrottle, "timer", staticmethod(lambda: time.time() + 61))
    assert log_in(user).status == 200


def test_what_a_client_says_of_its_address_does_not_count(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a proxy of ours says does: tests/gateway/test_proxies.py."""
    monkeypatch.setattr(LoginThrottle, "get_rate", lambda self: "1/min")
    body = {"username": user.username, "password": "wrong"}
    statuses = [
        post("/api/token/", body, **{"X-Forwarded-For": f"6.6.6.{i}, 10.0.0.{i}"}).status for i in (1, 2)
    ]
    assert statuses == [401, 429]


# --- refresh and verify ---


def refresh(token: Any) -> Answer:
    return post("/api/token/refresh/", {"refresh": str(token)})


def verify(token: Any) -> Answer:
    return post("/api/token/verify/", {"token": str(token)})


def test_refresh_gives_an_access_token_that_opens(user: User) -> None:
    answer = refresh(log_in(user).body["refresh"])
    assert answer.status == 200
    assert answer.body.keys() == {"access", "refresh"}
    client = APIClient(headers={"Authorization": f"Bearer {answer.body['access']}"})
    assert client.get("/api/stations/").status_code == 200


def test_verify_takes_tokens_of_both_kinds(user: User) -> None:
    tokens = log_in(user).body
    for token in tokens.values():
        answer = verify(token)
        assert (answer.status, answer.body) == (200, {})


@pytest.mark.parametrize("what", ["deleted", "disabled", "new password"])
def test_tokens_of_a_user_who_lost_access_are_401_everywhere(user: User, what: str) -> None:
    tokens = log_in(user).body
    if what == "deleted":
        user.delete()
    elif what == "disabled":
        User.objects.filter(pk=user.pk).update(is_active=False)
    else:
        user.set_password("another-s3cret")
        user.save()
    assert_failure(refresh(tokens["refresh"]), "authentication_failed", 401)
    assert_failure(verify(tokens["refresh"]), "authentication_failed", 401)
    assert_failure(verify(tokens["access"]), "authentication_failed", 401)
    assert_failure(post("/api/auth/validate-token", tokens), "authentication_failed", 401)
    assert_failure(
        post("/api/auth/validate-token", {"token": tokens["access"]}), "authentication_failed", 401
    )


def test_broken_expired_and_misused_tokens_are_401(user: User) -> None:
    access, old = AccessToken.for_user(user), RefreshToken.for_user(user)
    old.set_exp(from_time=old.current_time, lifetime=-old.lifetime)
    for token in ("x.y.z", "", access, old):
        answer = refresh(token)
        if token == "":
            assert_failure(answer, "validation_error", 400)
        else:
            assert_failure(answer, "authentication_failed", 401)
    assert_failure(verify(old), "authentication_failed", 401)


# --- validate ---


def test_validate_says_whose_token_it_is_and_until_when(user: User) -> None:
    access = log_in(user).body["access"]
    for answer in (
        post("/api/auth/validate-token", {"token": access}),
        post("/api/auth/validate-token/", Authorization=f"Bearer {access}"),
    ):
        assert answer.status == 200
        assert answer.body["success"] is True
        assert (answer.data["user_id"], answer.data["username"]) == (user.pk, user.username)
        assert answer.data["expires_at"].endswith("Z")


def test_validate_without_a_token_or_with_another_kind_is_401(user: User) -> None:
    for body in ({}, {"token": "x"}, {"token": log_in(user).body["refresh"]}):
        answer = post("/api/auth/validate-token", body)
        assert_failure(answer, "authentication_failed", 401)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert_failure(post("/api/auth/validate-token", {"token": 7}), "validation_error", 400)
