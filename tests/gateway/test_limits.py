"""How much one user, one address and one action may ask for."""

from types import SimpleNamespace
from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from gateway import limits
from gateway.fair_use import FairUse
from gateway.limits import Bucket, Place, RateLimited, neighbourhood
from tests.factories import make_operator, make_user, token_of
from tests.gateway.test_api import Answer, assert_failure


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    now = SimpleNamespace(s=1000.0)
    monkeypatch.setattr(limits, "monotonic", lambda: now.s)
    return now


def test_a_bucket_gives_its_burst_and_then_its_rate(clock: Any) -> None:
    bucket = Bucket(10, 5)
    assert [bucket.wait("a") for _ in range(5)] == [0.0] * 5
    assert bucket.wait("a") == pytest.approx(0.1)
    assert bucket.wait("b") == 0.0  # another's is its own
    clock.s += 0.1001
    assert bucket.wait("a") == 0.0
    assert bucket.wait("a") > 0
    clock.s += 60
    assert [bool(bucket.wait("a")) for _ in range(6)] == [False] * 5 + [True]
    assert [Bucket(0, 0).wait("a") for _ in range(1000)] == [0.0] * 1000


def test_a_bucket_forgets_whoever_has_all_of_theirs(clock: Any) -> None:
    bucket = Bucket(1, 10)
    for number in range(5000):
        clock.s += 0.1
        assert bucket.wait(number) == 0.0
    assert len(bucket.full_at) <= bucket.most <= 1000


def test_addresses_are_limited_as_those_who_have_them(settings: Settings) -> None:
    from ipaddress import ip_network

    settings.TRUSTED_PROXIES = [ip_network("10.0.0.0/8")]
    neighbourhood.cache_clear()
    assert neighbourhood("203.0.113.7") == neighbourhood("::ffff:203.0.113.7") == "203.0.113.7"
    assert neighbourhood("2001:db8::1") == neighbourhood("2001:db8::ffff") != neighbourhood("2001:db8:1::1")
    assert [neighbourhood(nobody) for nobody in ("127.0.0.1", "::1", "10.1.2.3", "", "x")] == [""] * 5
    neighbourhood.cache_clear()


def test_a_place_is_given_back(settings: Settings) -> None:
    settings.MAX_SOCKETS_PER_USER, settings.MAX_SOCKETS_PER_ADDRESS = 2, 3
    places = [limits.place_for(-1, "203.0.113.1"), limits.place_for(-1, "203.0.113.2")]
    assert all(places)
    assert limits.place_for(-1, "203.0.113.3") is None
    others = [limits.place_for(number, "203.0.113.1") for number in (-2, -3, -4)]
    assert [place is None for place in others] == [False, False, True]
    for place in [*places, *others]:
        if isinstance(place, Place):
            place.give_back()
    assert -1 not in limits._users.inside
    assert "203.0.113.1" not in limits._addresses.inside


@pytest.mark.django_db
def test_orders_and_looks_have_limits_of_their_own_and_staff_has_none(
    monkeypatch: pytest.MonkeyPatch, clock: Any
) -> None:
    monkeypatch.setattr(limits, "orders", Bucket(0.1, 2))
    monkeypatch.setattr(limits, "looks", Bucket(0.1, 1))
    monkeypatch.setattr(limits, "messages", Bucket(0.1, 3))
    driver, operator = make_user(), make_operator()

    def ask(user: Any, action: str) -> Answer:
        client = APIClient(headers={"Authorization": f"Bearer {token_of(user)}"})
        response = client.post("/api/websocket/message", {"action": action, "data": {}}, format="json")
        return Answer(response.status_code, response.json(), response.headers)

    for action in ("start_charging", "stop_charging", "list_chargers", "ping", "ping"):
        limits.check_action(driver, action)
    for action in ("start_charging", "list_chargers"):
        limits.check_action(operator, action)
        answer = ask(driver, action)
        told = answer.body["data"]
        assert list(told) == ["success", "error", "code", "message", "retry_after"]
        assert (told["code"], told["retry_after"]) == ("rate_limited", 10)
        assert answer.headers["Retry-After"] == "10"
    assert ask(driver, "ping").status == 200
    answer = ask(driver, "ping")  # the fourth message of any kind
    assert_failure(answer, "rate_limited", 429)
    assert answer.body["retry_after"] == 10
    assert {ask(operator, "ping").status for _ in range(5)} == {200}


@pytest.mark.django_db
def test_an_address_that_asks_too_much_is_429_at_every_page(
    monkeypatch: pytest.MonkeyPatch, clock: Any
) -> None:
    monkeypatch.setattr(limits, "addresses", Bucket(0.1, 2))
    paths = ["/api/stations/", "/admin/login/", "/health/live"]
    answers = [APIClient().get(path, REMOTE_ADDR="203.0.113.50") for path in paths]
    assert [answer.status_code for answer in answers] == [401, 200, 429]
    assert answers[2].headers["Retry-After"] == "10"
    assert answers[2].json()["code"] == "rate_limited"
    assert APIClient().get("/health/live", REMOTE_ADDR="203.0.113.51").status_code == 200
    assert APIClient().get("/health/live").status_code == 200


def test_what_has_to_wait_is_not_answered_for_other_faults() -> None:
    fair = FairUse(lambda request: None)
    assert fair.process_exception(SimpleNamespace(), ValueError()) is None  # type: ignore[arg-type]
    answer = fair.process_exception(SimpleNamespace(), RateLimited(3.21))  # type: ignore[arg-type]
    assert answer is not None
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "4")
