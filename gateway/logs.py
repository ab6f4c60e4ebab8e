"""Keeps secrets out of the logs, whoever writes them."""

import logging
import re

# A token in a URL, an Authorization header, or any JWT by its looks.
_SECRETS = re.compile(r"(?i)(token=|bearer\s+|basic\s+)[^\s&\"',]+|eyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*")


def without_secrets(text: str) -> str:
    return _SECRETS.sub(lambda match: f"{match[1] or ''}[hidden]", text)


class HideSecrets(logging.Filter):
    """Rewrites a record's message, arguments and traceback included, before it is formatted."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except (
            TypeError,
            ValueError,
            KeyError,
        ):  # the caller's arguments do not fit; it must not fail of that
            message = f"{record.msg} {record.args!r}"
            record.msg, record.args = message, None
        hidden = without_secrets(message)
        if hidden != message:
            record.msg, record.args = hidden, None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:  # a formatter takes this text as it is
            record.exc_text = without_secrets(record.exc_text)
        return True
