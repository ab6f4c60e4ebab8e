"""REDIS_URL in all its forms, and what is wrong with it, in words that hold no password."""

import pytest
from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection

from gateway.redis_urls import places, shard_of


@pytest.mark.parametrize(
    ("url", "name", "kind", "connection_class", "options"),
    [
        ("redis://h", "h:6379", "single", Connection, {"host": "h"}),
        ("redis://:p%40w@h:1/2", "h:1", "single", Connection, {"password": "p@w", "port": 1, "db": 2}),
        ("rediss://u:pw@h/0", "h:6379", "single", SSLConnection, {"username": "u", "password": "pw"}),
        (
            "rediss://h?ssl_cert_reqs=none&client_name=x",
            "h:6379",
            "single",
            SSLConnection,
            {"client_name": "x", "ssl_cert_reqs": "none"},
        ),
        ("unix:///tmp/x.sock?db=3", "/tmp/x.sock", "single", UnixDomainSocketConnection, {"db": 3}),
        (
            "redis+sentinel://u:pw@a,b:7/mm/2",
            "mm of a:26379,b:7",
            "sentinel",
            Connection,
            {"password": "pw", "db": 2},
        ),
        ("rediss+sentinel://a/mm", "mm of a:26379", "sentinel", SSLConnection, {}),
        ("redis+cluster://:pw@a,[::1]:7", "a:6379,::1:7", "cluster", Connection, {"password": "pw"}),
        ("rediss+cluster://a/0", "a:6379", "cluster", SSLConnection, {}),
    ],
)
def test_a_url_is_understood(
    url: str, name: str, kind: str, connection_class: type, options: dict[str, object]
) -> None:
    (place,) = places(url)
    assert (str(place), place.kind, place.connection_class) == (name, kind, connection_class)
    assert options.items() <= place.options.items()
    assert "pw" not in repr(place)


def test_sentinels_have_a_password_of_their_own_and_tls_with_the_rest() -> None:
    (place,) = places("rediss+sentinel://:pw@a/mm?sentinel_password=other&ssl_ca_certs=/ca.pem")
    assert place.options == {"password": "pw", "ssl_ca_certs": "/ca.pem"}
    assert place.sentinel_options.items() >= {"password": "other", "ssl": True}.items()


def test_a_list_is_shards_and_names_are_spread_over_them() -> None:
    assert [str(place) for place in places("redis://a:1/0, rediss://:x@b/0")] == ["a:1", "b:6379"]
    shards = {shard_of(f"name{number}".encode(), 3) for number in range(50)}
    assert shards == {0, 1, 2}


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("localhost:6379", "begin with"),
        ("http://:hidden@h", "begin with"),
        ("redis://:hidden@h:port", "port"),
        ("redis://:hidden@h/one", "no number"),
        ("redis://:hidden@h?unheard_of=1", "unheard_of"),
        ("redis+sentinel://:hidden@h:26379", "name of the master"),
        ("redis+sentinel://:hidden@/mm", "lacks a host"),
        ("redis+cluster://:hidden@h:x", "cannot be read"),
        ("redis+cluster://:hidden@h/3", "only 0"),
        ("redis+cluster://:hidden@a,redis://b", "among several"),
    ],
)
def test_what_is_wrong_is_said_without_the_password(url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as error:
        places(url)
    assert "hidden" not in str(error.value)
