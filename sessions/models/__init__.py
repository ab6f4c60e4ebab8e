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
from sessions.models.client_refs import ClientRef
from sessions.models.erasures import ErasedAccount
from sessions.models.feed import FeedEntry, UserFeed
from sessions.models.smart_charging import ChargingProfile
from sessions.models.watches import Watch

__all__ = [
    "ChargingProfile",
    "ChargingSession",
    "ClientRef",
    "Decision",
    "ErasedAccount",
    "FeedEntry",
    "IdTag",
    "LocalList",
    "MeterReading",
    "Oddity",
    "Reservation",
    "Tariff",
    "UserFeed",
    "WaitingSession",
    "Watch",
]
