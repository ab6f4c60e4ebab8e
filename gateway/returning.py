"""When those who are sent away should come back: not all at once, wherever their clients draw the line.

The wait is drawn by lot here, since a client's own jitter is often none.
"""

import random

PACE = 1000
"""Sockets that come back to an installation in a second."""

# By the reason of the close: the shortest wait, and by how much it differs, in seconds.
WAITS_S = {
    "Service restart": (0.5, 2.0),
    "Server at capacity": (5.0, 15.0),
    "Too many connections": (20.0, 20.0),
    "Try again later": (2.0, 8.0),
}


def wait_s(reason: str, *, crowd: int = 0) -> float | None:
    """Seconds; longer for a crowd that comes back together. None where coming back does not depend on the time."""
    if reason not in WAITS_S:
        return None
    shortest, spread = WAITS_S[reason]
    return round(shortest + random.random() * max(spread, crowd / PACE), 1)


def header(reason: str) -> tuple[bytes, bytes]:
    """`Retry-After` of a handshake that is refused, in whole seconds."""
    return b"retry-after", str(round(wait_s(reason) or 0) + 1).encode()
