"""REST: tokens that stay fresh, and what an app asks for besides the live line."""

import asyncio
import base64
import binascii
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urljoin
from urllib.request import Request, urlopen

from .errors import EvChargeError, error_of
from .rest import PaginatedMeterValueList, PaginatedSessionList, Receipt, Session, SessionChart, Tokens

GetToken = Callable[[str], Awaitable[str]]
"""Asked with why: `connect`, `refused` or `expiring`."""

TIMEOUT_S = 30
FRESH_S = 30  # a token that ends sooner is not used any more


class Api:
    """Paths of the OpenAPI document, answered with their JSON or an EvChargeError."""

    def __init__(self, url: str, *, get_token: GetToken | None = None, lang: str | None = None) -> None:
        self.url = url.replace("ws", "http", 1) if url.startswith("ws") else url
        self.get_token, self.lang = get_token, lang

    async def get(self, path: str, **query: Any) -> Any:
        given = {name: value for name, value in query.items() if value is not None}
        return await self._json("GET", f"{path}?{urlencode(given, doseq=True)}" if given else path)

    async def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return await self._json("POST", path, body if body is not None else {}, headers)

    async def delete(self, path: str) -> Any:
        return await self._json("DELETE", path)

    async def sessions(self, **query: Any) -> PaginatedSessionList:
        found: PaginatedSessionList = await self.get("/api/sessions/", **query)
        return found

    async def session(self, session_id: int) -> Session:
        found: Session = await self.get(f"/api/sessions/{session_id}/")
        return found

    async def meter_values(self, session_id: int, **query: Any) -> PaginatedMeterValueList:
        found: PaginatedMeterValueList = await self.get(f"/api/sessions/{session_id}/meter-values/", **query)
        return found

    async def chart(self, session_id: int, points: int | None = None) -> SessionChart:
        """The course of a session in few points, for a chart."""
        found: SessionChart = await self.get(f"/api/sessions/{session_id}/chart/", points=points)
        return found

    async def receipt(self, session_id: int) -> Receipt:
        found: Receipt = await self.get(f"/api/sessions/{session_id}/receipt/")
        return found

    async def receipt_pdf(self, session_id: int) -> bytes:
        return await self._authorised("GET", f"/api/sessions/{session_id}/receipt.pdf")

    async def _json(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        text = await self._authorised(method, path, body, headers)
        answer = _parsed(text) if text else None
        if isinstance(answer, dict) and answer.get("success") is True and "data" in answer:
            return answer["data"]
        return answer

    async def _authorised(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """The answer; where the token is refused, asked once more with another."""
        try:
            return await self._send(method, path, body, headers or {}, "connect")
        except EvChargeError as error:
            if error.status != 401 or self.get_token is None:
                raise
            return await self._send(method, path, body, headers or {}, "refused")

    async def _send(self, method: str, path: str, body: Any, headers: Mapping[str, str], why: str) -> bytes:
        request = Request(urljoin(self.url, path), method=method, headers=dict(headers))  # noqa: S310  (the caller's own)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        if self.lang:
            request.add_header("Accept-Language", self.lang)
        if self.get_token:
            request.add_header("Authorization", f"Bearer {await self.get_token(why)}")
        return await asyncio.to_thread(_ask, request)


def _ask(request: Request) -> bytes:
    try:
        with urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
            answer: bytes = response.read()
            return answer
    except HTTPError as error:
        raise _failure_of(error) from error
    except (URLError, OSError) as error:
        raise EvChargeError("network", "No connection", detail=str(error)) from error


def _failure_of(error: HTTPError) -> EvChargeError:
    wait = error.headers.get("Retry-After", "")
    more: dict[str, Any] = {"status": error.code, "retry_after": float(wait) if wait.isdigit() else None}
    try:
        failure = json.loads(error.read())
        return error_of(failure, **more)
    except (ValueError, KeyError, TypeError):  # a proxy's page
        code = "unavailable" if error.code >= 502 else "bad_answer"
        return EvChargeError(code, f"The server answered {error.code}", **more)


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise EvChargeError(
            "bad_answer", "The server's answer could not be read", detail=repr(text[:200])
        ) from error


class Login:
    """Somebody who has logged in. `get_token` is for EvCharge and Api alike, and asks the server once for all who wait.

    `on_tokens` is called after each refresh, to keep them, and with None when the refresh token is refused.
    """

    def __init__(
        self, url: str, tokens: Tokens, *, on_tokens: Callable[[Tokens | None], Any] = lambda tokens: None
    ) -> None:
        self.tokens: Tokens | None = tokens
        self.on_tokens = on_tokens
        self._api = Api(url)
        self._lock = asyncio.Lock()

    @classmethod
    async def with_password(cls, url: str, username: str, password: str, **options: Any) -> "Login":
        tokens: Tokens = await Api(url).post("/api/token/", {"username": username, "password": password})
        return cls(url, tokens, **options)

    async def get_token(self, why: str = "connect") -> str:
        before = self.tokens
        async with self._lock:
            if self.tokens is None:
                raise EvChargeError("refused", "Logged out")
            is_fresh = why == "connect" and _expiry_of(self.tokens["access"]) > time.time() + FRESH_S
            if not is_fresh and self.tokens is before:  # else somebody refreshed it meanwhile
                await self._refresh(self.tokens)
            return self.tokens["access"]

    async def log_out(self) -> None:
        """Ends it on the server, too: its tokens, and the sockets that were opened with them."""
        if (tokens := self.tokens) is not None:
            self._forget()
            await self._api.post("/api/auth/logout/", {"refresh": tokens["refresh"]})

    def _forget(self) -> None:
        self.tokens = None
        self.on_tokens(None)

    async def _refresh(self, tokens: Tokens) -> None:
        try:
            fresh = await self._api.post("/api/token/refresh/", {"refresh": tokens["refresh"]})
        except EvChargeError as error:
            if error.status == 401:
                self._forget()
            raise
        self.tokens = {"access": fresh["access"], "refresh": fresh.get("refresh", tokens["refresh"])}
        self.on_tokens(self.tokens)


def _expiry_of(token: str) -> float:
    """When a JWT ends, in Unix seconds; 0 where that cannot be read."""
    try:
        claims = token.split(".")[1]
        return float(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"])
    except (IndexError, ValueError, KeyError, TypeError, binascii.Error):
        return 0.0
