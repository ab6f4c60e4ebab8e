"""Sentences for people: English wherever they are made, kept and logged, and said in the reader's language at the door.

Who makes one does not know who will read it. So a sentence remembers what it was made of; doors say it again.
"""

from typing import Any

import msgspec
from django.utils.formats import number_format
from django.utils.translation import gettext

# A template (gettext's msgid) and its values, of which one may be such a pair again: as JSON keeps it.
Made = list[Any]


class Words(str):
    """A sentence in English that knows its template and values: `Words("There is no charger %(charger)s", charger=…)`.

    Everywhere else it is plain text. Without values a template is not interpolated. A float is a figure with two
    decimals. What a translation may say differently for one and for many should not be in here: write "3 min".
    """

    __slots__ = ("template", "values")

    template: str
    values: dict[str, Any]

    def __new__(cls, template: str, **values: Any) -> "Words":
        english = {name: _figure(value) for name, value in values.items()}
        words = super().__new__(cls, template % english if values else template)
        words.template, words.values = template, values
        return words

    @property
    def made_of(self) -> Made:
        values = {
            name: value.made_of if isinstance(value, Words) else value for name, value in self.values.items()
        }
        return [self.template, values]


def _figure(value: Any) -> Any:
    return f"{value:.2f}" if isinstance(value, float) else value


def said(text: str) -> str:
    """The sentence in the language that is active (django.utils.translation). One that has none stays English."""
    if isinstance(text, Words):
        return said_of(text.made_of)
    return gettext(text) if text else text


def said_of(made: Made) -> str:
    """The same, of what `made_of` gave."""
    template, values = made
    if not values:
        return said(template)
    return gettext(template) % {name: _said_value(value) for name, value in values.items()}


def _said_value(value: Any) -> Any:
    if isinstance(value, list):
        return said_of(value)
    return number_format(value, 2) if isinstance(value, float) else value


def found_in(thing: Any) -> dict[str, Made]:
    """The sentences in a message, by the path to each: `data.message`."""
    return {path: words.made_of for path, words in _walk(thing, "")}


def _walk(thing: Any, path: str) -> list[tuple[str, Words]]:
    if isinstance(thing, Words):
        return [(path, thing)]
    if isinstance(thing, msgspec.Struct):
        parts: Any = [(name, getattr(thing, name)) for name in thing.__struct_fields__]
    elif isinstance(thing, dict):
        parts = thing.items()
    else:
        return []
    return [found for name, part in parts for found in _walk(part, f"{path}.{name}" if path else str(name))]
