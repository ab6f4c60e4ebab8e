"""Middleware for who asks too much: the limits of addresses, at every HTTP door."""

from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase, JsonResponse

from gateway import limits, proxies
from gateway.errors import failure, waiting
from gateway.limits import RateLimited


class FairUse:
    """Middleware: 429 for an address that asks too much, and for whoever has to wait at the admin's log-in."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        wait_s = limits.check_address(proxies.address_in(request))
        if iscoroutinefunction(self):
            return self._answer_later(request, wait_s)
        return _too_many(RateLimited(wait_s)) if wait_s else self.get_response(request)

    async def _answer_later(self, request: HttpRequest, wait_s: float) -> HttpResponseBase:
        if wait_s:
            return _too_many(RateLimited(wait_s))
        answer: HttpResponseBase = await self.get_response(request)
        return answer

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        """Outside of the API nobody else answers it."""
        return _too_many(error) if isinstance(error, RateLimited) else None


def _too_many(error: RateLimited) -> HttpResponseBase:
    answer = JsonResponse(failure(error), status=429, headers=waiting(error))
    answer._has_been_logged = True  # type: ignore[attr-defined]  # Django warns of each; this is no fault
    return answer
