"""The limits of users, at the API."""

from typing import Any

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from gateway import limits
from gateway.limits import RateLimited


class UserThrottle(BaseThrottle):
    """Each request of a user is one more message, as on the socket."""

    def allow_request(self, request: Request, view: Any) -> bool:
        if request.user and request.user.is_authenticated and (wait_s := limits.check_message(request.user)):
            raise RateLimited(wait_s)
        return True
