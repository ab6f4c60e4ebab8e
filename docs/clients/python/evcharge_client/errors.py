"""What can go wrong, as one class: the server's failures with their stable codes, and the client's own."""

from collections.abc import Mapping
from typing import Any


class EvChargeError(Exception):
    """`str()` is a sentence for a person, in the language asked for; `code` is for the program, `detail` for you.

    The client's own codes: `timeout` (no answer in time), `closed` (not connected, and not about to be), `refused` (the
    server does not take the token: log in again), `network` (REST: no connection), `bad_answer`.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        detail: str | None = None,
        retry_after: float | None = None,
        action: str | None = None,
        status: int | None = None,
        client_ref: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.detail = code, message, detail or message
        self.retry_after, self.status = retry_after, status
        self.action, self.client_ref = action, client_ref


def error_of(failure: Mapping[str, Any], **more: Any) -> EvChargeError:
    """A failure of the protocol, `{"success": false, "error", "code", "message"}`, as an error."""
    more = {**more, "retry_after": failure.get("retry_after", more.get("retry_after"))}
    sentence = failure.get("error") or failure.get("message") or failure["code"]
    return EvChargeError(failure["code"], sentence, detail=failure.get("message"), **more)
