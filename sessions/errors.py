"""Errors of charging sessions, in the manner of chargers.errors."""

from chargers.errors import DomainError


class ActiveSessionExists(DomainError):
    code = "active_session_exists"
    sentence = "You already have an active charging session"


class NoActiveSession(DomainError):
    code = "no_active_session"
    sentence = "You have no active charging session"
