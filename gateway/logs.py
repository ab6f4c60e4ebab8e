"""Keeps secrets out of the logs, whoever writes them."""

import logging
import re

# A token in a URL, an Authorization header, or any JWT by its looks.
_SECRETS = re.compile(r"(?i)(token=|bearer\s+|basic\s+)[^\s&\"',]+|eyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*")


def without_secrets(text: str) -> str:
    return _SECRETS.sub(lambda match: f"{match[1] or ''}[hidden]", text)


class HideSecrets(logging.Filter):
    """Rewrites a record's message, arguments included, before it is formatted."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        hidden = without_secrets(message)
        if hidden != message:
            record.msg, record.args = hidden, None
        return True
