"""Who is asking."""

import base64
from datetime import timedelta

import pytest
from pytest_django import Settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from gateway import auth
from tests.factories import make_user, token_of


def header(value: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"x"), (b"authorization", value)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"Basic " + base64.b64encode(b"CP1:secret"), (b"CP1", b"secret")),
        (b"basic " + base64.b64encode(b"CP1:with:colons"), (b"CP1", b"with:colons")),
        (b"Basic " + base64.b64encode(b"CP1:" + bytes(range(236, 256))), (b"CP1", bytes(range(236, 256)))),
        (b"Basic " + base64.b64encode(b"no colon"), None),
        (b"Basic !!!", None),
        (b"Bearer abc", None),
        (b"", None),
    ],
)
def test_basic_credentials_are_bytes(value: bytes, expected: tuple[bytes, bytes] | None) -> None:
    """E8"""
    assert auth.basic(header(value)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"Bearer abc", "abc"), (b"bearer  abc ", "abc"), (b"Basic abc", None), (b"Bearer", None)],
)
def test_a_bearer_token_is_read_from_its_header(value: bytes, expected: str | None) -> None:
    assert auth.bearer(header(value)) == expected


@pytest.mark.django_db
def test_a_token_says_whose_it_is_and_until_when() -> None:
    user = make_user()
    claims = auth.claims_of(token_of(user))
    assert claims.user_id == user.pk
    assert auth.user_for(claims) == user


@pytest.mark.django_db
def test_a_token_that_was_verified_still_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    token = token_of(make_user(), life_s=100)
    claims = auth.claims_of(token)
    monkeypatch.setattr(auth, "AccessToken", pytest.fail)
    assert auth.claims_of(token) == claims
    monkeypatch.setattr("time.time", lambda: claims.expires + 1)
    with pytest.raises(auth.Refused, match=auth.TOKEN_EXPIRED):
        auth.claims_of(token)


def test_only_so_many_verified_tokens_are_remembered() -> None:
    assert auth._verified.cache_info().maxsize == 20_000


@pytest.mark.django_db
def test_what_is_not_a_good_access_token_opens_nothing() -> None:
    user = make_user()
    expired = AccessToken.for_user(user)
    expired.set_exp(lifetime=-timedelta(seconds=1))
    cases = [
        (None, auth.AUTHENTICATION_REQUIRED),
        ("", auth.AUTHENTICATION_REQUIRED),
        ("nonsense", auth.INVALID_TOKEN),
        (str(RefreshToken.for_user(user)), auth.INVALID_TOKEN),
        (str(expired), auth.TOKEN_EXPIRED),
        (token_of(user)[:-4] + "AAAA", auth.INVALID_TOKEN),
    ]
    for token, reason in cases:
        with pytest.raises(auth.Refused, match=f"^{reason}$"):
            auth.claims_of(token)


@pytest.mark.django_db
@pytest.mark.parametrize("end", ["disabled", "deleted", "new password"])
def test_a_token_ends_with_what_it_was_issued_for(end: str) -> None:
    user, other = make_user(), make_user()
    claims = [auth.claims_of(token_of(user)), auth.claims_of(token_of(other))]
    assert auth.revoked_among(claims) == set()
    if end == "deleted":
        user.delete()
    elif end == "disabled":
        type(user).objects.filter(pk=user.pk).update(is_active=False)
    else:
        user.set_password("another-secret")
        user.save()
    assert auth.revoked_among(claims) == {claims[0]}
    with pytest.raises(auth.Refused):
        auth.user_for(claims[0])


@pytest.mark.django_db
@pytest.mark.parametrize("demo", [True, False])
def test_a_password_that_is_the_users_own_name_counts_in_the_demo_only(
    settings: Settings, demo: bool
) -> None:
    settings.DEMO = demo
    user = make_user(username="demo-driver", password="demo-driver")
    backend = auth.AccountBackend()
    found = backend.authenticate(None, username="demo-driver", password="demo-driver")
    assert found == (user if demo else None)
