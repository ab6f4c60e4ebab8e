"""Wrong passwords: who gives several has to wait, at the API and at the admin, whoever they name."""

from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from chargers.events import utcnow
from gateway import lockout
from gateway.models import FailedLogIns
from tests.factories import make_operator, make_user, unique
from tests.gateway.test_api import Answer, assert_failure

pytestmark = pytest.mark.django_db

PASSWORD = "s3cret-enough"
HERE, THERE = "203.0.113.7", "203.0.113.8"


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = utcnow()

    def __call__(self) -> datetime:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture(autouse=True)
def clock(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Clock:
    settings.LOGIN_FAILURES, settings.LOGIN_FAILURES_PER_ADDRESS = 2, 5
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.MD5PasswordHasher"
    ]  # the slow one is not the matter
    cache.clear()
    clock = Clock()
    monkeypatch.setattr(lockout, "utcnow", clock)
    return clock


def with_password(user: User) -> User:
    user.set_password(PASSWORD)
    user.save()
    return user


@pytest.fixture
def user() -> User:
    return with_password(make_user())


def log_in(name: str, password: str = PASSWORD, address: str = HERE) -> Answer:
    response = Client(REMOTE_ADDR=address).post("/api/token/", {"username": name, "password": password})
    return Answer(response.status_code, response.json(), response.headers)


def at_admin(name: str, password: str = PASSWORD, address: str = HERE) -> int:
    form = {"username": name, "password": password}
    return Client(REMOTE_ADDR=address).post("/admin/login/", form).status_code


def test_each_wrong_password_makes_the_wait_longer_and_a_right_one_ends_it(user: User, clock: Clock) -> None:
    assert [log_in(user.username, "wrong").status for _ in range(2)] == [401, 401]
    answer = log_in(user.username)  # right, and does not count yet
    assert_failure(answer, "rate_limited", 429)
    assert answer.body["retry_after"] == 10
    assert answer.headers["Retry-After"] == "10"
    assert log_in(user.username, address=THERE).status == 200
    clock.passes(10)
    assert log_in(user.username, "wrong").status == 401
    assert log_in(user.username).body["retry_after"] == 20
    clock.passes(20)
    assert log_in(user.username).status == 200
    assert not FailedLogIns.objects.filter(username=user.username).exists()
    assert log_in(user.username, "wrong").status == log_in(user.username, "wrong").status == 401


def test_the_wait_has_an_end() -> None:
    assert [lockout._wait_s(beyond) for beyond in (0, 1, 2, 7, 10_000)] == [10, 20, 40, 900, 900]


def test_names_that_do_not_exist_are_answered_alike(user: User) -> None:
    for name in (user.username, unique("nobody")):
        answers = [log_in(name, "wrong", THERE if name == user.username else HERE) for _ in range(3)]
        assert [answer.status for answer in answers] == [401, 401, 429]
        assert answers[2].body["error"] == "Too many attempts to log in"


def test_an_address_that_tries_many_names_has_to_wait_for_all_and_a_log_in_of_its_own_does_not_help(
    user: User,
) -> None:
    for number in range(5):
        assert log_in(unique("somebody"), "wrong").status == 401
        if number == 2:
            assert log_in(user.username).status == 200
    assert log_in(user.username).status == 429
    assert log_in(user.username, address=THERE).status == 200


def test_the_admins_log_in_is_slowed_down_alike_and_an_operator_lifts_it() -> None:
    operator, other = make_operator(), with_password(make_user(is_staff=True))
    assert [at_admin(other.username, "wrong") for _ in range(3)] == [200, 200, 429]
    assert log_in(other.username).status == 429
    client = Client()
    client.force_login(operator)
    page = client.get("/admin/gateway/failedlogins/")
    assert other.username in page.content.decode()
    row = FailedLogIns.objects.get(username=other.username)
    lift = {"action": "lift", "_selected_action": [row.pk]}
    client.post("/admin/gateway/failedlogins/", lift)
    assert at_admin(other.username) == 302
    other.user_permissions.add(Permission.objects.get(codename="view_failedlogins"))
    client.force_login(other)
    log_in(unique("x"), "wrong")
    client.post("/admin/gateway/failedlogins/", {**lift, "_selected_action": FailedLogIns.objects.last().pk})  # type: ignore[union-attr]
    assert FailedLogIns.objects.exists()


def test_a_streak_ends_when_it_has_been_quiet(user: User, clock: Clock) -> None:
    for _ in range(2):
        log_in(user.username, "wrong")
    clock.passes(lockout.WINDOW.total_seconds())
    log_in(user.username, "wrong")
    assert FailedLogIns.objects.get(username=user.username).failures == 1
    FailedLogIns.objects.create(username="old", address=HERE, last_at=clock() - 2 * lockout.WINDOW)
    assert lockout.forget_old() == 1
    assert lockout.forget_old() == 0
