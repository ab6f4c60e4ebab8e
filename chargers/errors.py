"""Errors of the domain: one class per cause, each with the stable code a client sees. No transport in here."""


class DomainError(Exception):
    """Something a caller asked for that cannot be. `code` is stable; the sentence is for a person."""

    code = "internal_error"
    sentence = "Something went wrong"

    def __init__(self, sentence: str = "", *, detail: str = "") -> None:
        self.sentence = sentence or self.sentence
        self.detail = detail
        super().__init__(self.sentence)


class NotFound(DomainError):
    code = "not_found"
    sentence = "Not found"


class ChargerOffline(DomainError):
    code = "charger_offline"
    sentence = "The charger is not connected"


class ChargerPending(DomainError):
    code = "charger_pending"
    sentence = "The charger is not accepted yet"


class ConnectorUnavailable(DomainError):
    code = "connector_unavailable"
    sentence = "The connector is out of service"


class ConnectorBusy(DomainError):
    code = "connector_busy"
    sentence = "The connector is in use"
