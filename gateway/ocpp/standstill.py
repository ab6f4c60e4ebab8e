"""Whether this process stood still: stopped, its machine paused, its event loop held up.

Meanwhile its chargers may have dialled another process. Until that is looked up, what they sent here before counts no
longer, and nothing is told them.
"""

import time

STILL_S = 3.0
"""Without a sign for so long, it stood still; the background work gives one every second."""

_sign_at = time.monotonic()
_count = 0


def standstills() -> int:
    """How often it stood still so far. Asking is a sign."""
    global _sign_at, _count
    now = time.monotonic()
    if now - _sign_at > STILL_S:
        _count += 1
    _sign_at = now
    return _count


async def give_sign() -> None:
    standstills()
