"""How far behind the event loop is: by how much a short sleep comes back too late. Everything waits that long here."""

import asyncio
from collections import deque

from gateway.counters import Histogram

INTERVAL_S = 0.25
SAMPLES = 8
TOO_FAR_S = 1.0

histogram = Histogram()
_samples: deque[float] = deque([0.0], maxlen=SAMPLES)


async def watch() -> None:
    """For as long as the process serves."""
    loop = asyncio.get_running_loop()
    while True:
        due_at = loop.time() + INTERVAL_S
        await asyncio.sleep(INTERVAL_S)
        late_s = max(0.0, loop.time() - due_at)
        histogram.add(late_s)
        _samples.append(late_s)


def steady_s() -> float:
    """The least of the last samples: one long pause is none of it, a loop that cannot keep up is."""
    return min(list(_samples))


def is_behind() -> bool:
    return steady_s() > TOO_FAR_S
