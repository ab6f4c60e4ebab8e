"""Meter registers that begin at 0 with each session, as ones that count for ever: what is stored always does.

The start of a transaction is taken as told; what is measured after it stands on top of it.
"""

from collections.abc import Iterable

import msgspec

from sessions.models import ChargingSession
from sessions.queries import newest_reading
from sessions.readings import Reading


def lifted(readings: Iterable[Reading], by_wh: int | None) -> list[Reading]:
    """The readings with so much more on their register."""
    return [
        msgspec.structs.replace(reading, energy_wh=reading.energy_wh + by_wh)
        if by_wh and reading.energy_wh is not None
        else reading
        for reading in readings
    ]


def lifted_stop(
    *,
    charger_id: int,
    transaction_id: int | None,
    reported: str,
    meter_stop_wh: int | None,
    readings: list[Reading],
) -> tuple[int | None, list[Reading]]:
    """The stop's register and its readings.

    Some tell both ends by a register that counts for ever and only what is between by one that does not: a stop
    that is not below all the rest is one of those.
    """
    session = _session(charger_id, transaction_id, reported)
    start_wh = session.meter_start_wh if session else None
    if session is None or not start_wh:
        return meter_stop_wh, readings
    readings = lifted(readings, start_wh)
    if meter_stop_wh is None:
        return None, readings
    newest = newest_reading(session)
    told = [newest.energy_wh if newest else None, *(reading.energy_wh for reading in readings)]
    reached_wh = max([start_wh, *(wh for wh in told if wh is not None)])
    return meter_stop_wh if meter_stop_wh >= reached_wh else meter_stop_wh + start_wh, readings


def _session(charger_id: int, transaction_id: int | None, reported: str) -> ChargingSession | None:
    """The one that a stop means, as far as that is plain: by its number, the only one open, or told before."""
    mine = ChargingSession.objects.filter(charger=charger_id)
    if transaction_id is not None and transaction_id > 0:
        if session := mine.filter(transaction_id=transaction_id).first():
            return session
    running = list(mine.filter(status__in=ChargingSession.RUNNING)[:2])
    if len(running) == 1:
        return running[0]
    return mine.filter(stop_reported=reported).first() if reported else None
