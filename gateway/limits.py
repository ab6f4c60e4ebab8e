"""How much one user, one address and one action may ask for: in this process, since sharing counts would cost each
message a round trip. With N processes N times as much gets through at most.
"""

from collections.abc import Hashable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from time import monotonic
from typing import Any

from django.conf import settings

from chargers.errors import DomainError
from gateway.proxies import is_trusted

# What makes a charger do something; all else but `ping` is a look.
ORDERS = frozenset({"start_charging", "stop_charging", "reserve", "cancel_reservation"})
BURST_S = 10.0


class RateLimited(DomainError):
    """Too much was asked; `retry_after` says when it is less, in seconds."""

    code = "rate_limited"
    sentence = "Too many requests; wait a moment"

    def __init__(self, retry_after: float, sentence: str = "") -> None:
        self.retry_after = max(0.1, round(retry_after, 1))
        super().__init__(sentence, detail=f"Try again in {self.retry_after} s")


class Bucket:
    """So many a second for each key, and `burst` at once. 0 a second: as many as they like.

    Of each key it knows one time: when all of its burst would be there again (the generic cell rate algorithm).
    """

    __slots__ = ("full_at", "interval", "most", "slack")

    def __init__(self, per_s: float, burst: float) -> None:
        self.interval = 1 / per_s if per_s else 0.0
        self.slack = self.interval * (max(burst, 1) - 1)
        self.full_at: dict[Hashable, float] = {}
        self.most = 1000

    def wait(self, key: Hashable) -> float:
        """0.0, and one less is left; or the seconds until there is one."""
        if not self.interval:
            return 0.0
        now = monotonic()
        full_at = self.full_at.get(key, now)
        if full_at <= now:
            full_at = now
        elif (missing := full_at - self.slack - now) > 1e-6:  # what floats lose
            return missing
        self.full_at[key] = full_at + self.interval
        if len(self.full_at) > self.most:
            self._forget(now)
        return 0.0

    def _forget(self, now: float) -> None:
        """Those who have all of theirs; seldom enough that each pays next to nothing."""
        self.full_at = {key: at for key, at in list(self.full_at.items()) if at > now}
        self.most = max(1000, 2 * len(self.full_at))


def _a_second(rate: float) -> Bucket:
    return Bucket(rate, rate * BURST_S)


messages = _a_second(settings.MESSAGES_PER_SECOND)
looks = _a_second(settings.LOOKS_PER_SECOND)
orders = Bucket(settings.ORDERS_PER_MINUTE / 60, settings.ORDERS_PER_MINUTE)
addresses = _a_second(settings.REQUESTS_PER_ADDRESS)


def check_message(user: Any) -> float:
    """Seconds that a user has to wait before the next message of any kind, 0.0 for none. Operators' back ends speak
    for many drivers: staff is not limited."""
    return 0.0 if user.is_staff else messages.wait(user.pk)


def check_action(user: Any, action: str) -> None:
    """Raises RateLimited."""
    if action == "ping" or user.is_staff:
        return
    if wait := (orders if action in ORDERS else looks).wait(user.pk):
        raise RateLimited(wait)


def check_address(address: str) -> float:
    """Seconds that an address has to wait before the next request or handshake."""
    return addresses.wait(key) if (key := neighbourhood(address)) else 0.0


@lru_cache(maxsize=10_000)
def neighbourhood(address: str) -> str:
    """What is limited as one: an IPv4 address, or the network of an IPv6 one, of which everybody has many. Blank for
    what nobody comes from but through a proxy that did not say for whom."""
    try:
        ip = ip_address(address)
    except ValueError:
        return ""
    if mapped := getattr(ip, "ipv4_mapped", None):
        ip = mapped
    if ip.is_loopback or is_trusted(str(ip)):
        return ""
    return str(ip_network(f"{ip}/64", strict=False)) if isinstance(ip, IPv6Address) else str(ip)


# --- open sockets ---


class Crowd:
    """How many are in, by key."""

    def __init__(self) -> None:
        self.inside: dict[Hashable, int] = {}

    def count(self, key: Hashable) -> int:
        return self.inside.get(key, 0)

    def enter(self, key: Hashable) -> None:
        self.inside[key] = self.count(key) + 1

    def leave(self, key: Hashable) -> None:
        left = self.inside.pop(key, 1) - 1
        if left > 0:
            self.inside[key] = left


class Place:
    """A socket's, of its user's and its address's; given back once."""

    __slots__ = ("address", "user_id")

    def __init__(self, user_id: int, address: str) -> None:
        self.user_id, self.address = user_id, neighbourhood(address)
        _users.enter(self.user_id)
        _addresses.enter(self.address)

    def give_back(self) -> None:
        _users.leave(self.user_id)
        _addresses.leave(self.address)


_users, _addresses = Crowd(), Crowd()


def place_for(user_id: int, address: str) -> Place | None:
    """None if the user, or the address, has as many sockets as it may have."""
    key = neighbourhood(address)
    full = _users.count(user_id) >= settings.MAX_SOCKETS_PER_USER or (
        bool(key) and _addresses.count(key) >= settings.MAX_SOCKETS_PER_ADDRESS
    )
    return None if full else Place(user_id, address)
