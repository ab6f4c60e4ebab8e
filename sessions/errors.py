"""Errors of charging sessions, in the manner of chargers.errors."""

from chargers.errors import DomainError


class ActiveSessionExists(DomainError):
    code = "active_session_exists"
    sentence = "You already have an active charging session"


class NoActiveSession(DomainError):
    code = "no_active_session"
    sentence = "You have no active charging session"


class InvalidProfile(DomainError):
    code = "invalid_profile"
    sentence = "The charging profile cannot be set"


class InvalidParameter(DomainError):
    """Of a command: it fits the schema, and still cannot be meant."""

    code = "validation_error"
    sentence = "A parameter is not possible"


class SessionNotEnded(DomainError):
    code = "session_not_ended"
    sentence = "The session has not ended"


class SessionNotRunning(DomainError):
    code = "session_not_running"
    sentence = "No transaction is running in this session"


class TooManyWatches(DomainError):
    code = "too_many_watches"
    sentence = "You are waiting for as many chargers as you may"


class ReservationExists(DomainError):
    code = "reservation_exists"
    sentence = "You have a reservation already"


class ReservationNotSupported(DomainError):
    code = "reservation_not_supported"
    sentence = "This charger takes no reservations"


class NothingToReview(DomainError):
    code = "nothing_to_review"
    sentence = "Nothing about this session waits for a decision"


class NoReceipt(DomainError):
    code = "no_receipt"
    sentence = "There is no receipt: nothing was charged, or no price was agreed"


class OperatorAccount(DomainError):
    code = "forbidden"
    sentence = "An operator's account is not deleted but disabled: what it decided stays under its name"


class AccountClosed(DomainError):
    code = "forbidden"
    sentence = "This account is closed"
