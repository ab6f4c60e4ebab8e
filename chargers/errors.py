"""Errors of the domain: one class per cause, each with the stable code a client sees. No transport in here."""


class DomainError(Exception):
    """Something a caller asked for that cannot be. `code` is stable; the sentence is for a person."""

    code = "internal_error"
    sentence = "Something went wrong"

    def __init__(self, sentence: str = "", *, detail: str = "") -> None:
        self.sentence = sentence or self.sentence
        self.detail = detail
        super().__init__(self.sentence)


class Superseded(Exception):
    """What a socket wanted to do for its charger, which a newer socket owns by now (E2). No client sees it."""


class NotFound(DomainError):
    code = "not_found"
    sentence = "Not found"


class ChargerOffline(DomainError):
    code = "charger_offline"
    sentence = "The charger is not connected"


class ChargerUnreachable(ChargerOffline):
    """It is connected to a process that the bus does not lead to at the moment."""

    code = "unavailable"
    sentence = "The charger cannot be reached at the moment; try again"


class ChargerPending(DomainError):
    code = "charger_pending"
    sentence = "The charger is not accepted yet"


class ChargerAccepted(DomainError):
    code = "charger_accepted"
    sentence = "The charger is accepted already: it must not be asked to boot"


class CommandIdUsed(DomainError):
    code = "message_id_used"
    sentence = "Another command has this message id"


class ConnectorUnavailable(DomainError):
    code = "connector_unavailable"
    sentence = "The connector is out of service"


class ConnectorBusy(DomainError):
    code = "connector_busy"
    sentence = "The connector is in use"


class UnfitPassword(DomainError):
    code = "unfit_password"
    sentence = "This cannot be a charger's password"


class PasswordChangeOpen(DomainError):
    code = "password_change_open"
    sentence = (
        "A change of password is still open: the charger must connect anew first. A reset makes it do so"
    )


class UnfitCertificate(DomainError):
    code = "unfit_certificate"
    sentence = "This certificate cannot be used"


class UpdateUnderWay(DomainError):
    code = "update_under_way"
    sentence = "The charger is asked for another firmware update already"
