"""Who charged, where, how much, at what price; who may, and what is kept for whom."""

from sessions.models.cards import IdTag, LocalList, Reservation
from sessions.models.charging import (
    ChargingSession,
    Decision,
    MeterReading,
    Oddity,
    Tariff,
    WaitingSession,
)
from sessions.models.smart_charging import ChargingProfile

__all__ = [
    "ChargingProfile",
    "ChargingSession",
    "Decision",
    "IdTag",
    "LocalList",
    "MeterReading",
    "Oddity",
    "Reservation",
    "Tariff",
    "WaitingSession",
]
