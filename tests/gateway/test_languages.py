"""What drivers are told is said in their language: the catalogues are whole, and English is what everything else is."""

import gettext
import json
import re
from typing import Any

import msgspec
import pytest
from django.test import Client
from django.utils.translation import get_language, override

from chargers.errors import DomainError
from chargers.words import Words, found_in, said
from gateway import app_socket, consumer, languages
from gateway.errors import failure
from sessions.readings import duration_display
from tests import catalogues

PLACEHOLDER = re.compile(r"%\(\w+\)s")
CONNECTOR = Words("Connector %(connector)s of %(charger)s", connector=1, charger="CP001")


def test_there_is_a_catalogue_for_every_language() -> None:
    from django.conf import settings

    assert catalogues.languages() == sorted(code for code, _ in settings.LANGUAGES if code != "en")


@pytest.mark.parametrize("language", catalogues.languages())
def test_everything_is_translated_and_compiled(language: str) -> None:
    """`make messages` adds what is missing; the translation is to be written by hand."""
    catalogue = catalogues.read(language)
    translations = {str(message.id): str(message.string) for message in catalogue if message.id}
    assert translations.keys() == catalogues.used().keys()
    for template, translation in translations.items():
        assert translation, template
        assert sorted(PLACEHOLDER.findall(translation)) == sorted(PLACEHOLDER.findall(template)), template
        assert translation.count("%") == len(PLACEHOLDER.findall(translation)), template
    with catalogues.source_of(language).with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    with override(language):  # another app's catalogue may have the same sentence
        for template, translation in translations.items():
            assert (compiled.gettext(template), said(template)) == (translation, translation)


@pytest.mark.parametrize(
    ("wish", "header", "language"),
    [
        ("", "", "en"),
        ("de", "", "de"),
        ("de-AT", "", "de"),
        ("ES_mx", "", "es"),
        ("", "fr-CH, fr;q=0.9, en;q=0.8", "fr"),
        ("", "xx, ar;q=0.5", "ar"),
        ("", "en-GB, de;q=0.5", "en"),
        ("ar", "de", "ar"),
        ("tlh", "de", "de"),
        ("../../etc", "*", "en"),
        ("x" * 5000, "," * 5000, "en"),
    ],
)
def test_the_language_is_asked_for_or_accepted(wish: str, header: str, language: str) -> None:
    headers = [(b"accept-language", header.encode())]
    assert languages.of_handshake({"token": ["x"], "lang": [wish]}, headers) == language


@pytest.mark.parametrize("language", ["en", *catalogues.languages()])
def test_the_reason_of_a_close_fits_into_its_frame(language: str) -> None:
    """RFC 6455 §5.5: 125 bytes, of which the code takes two."""
    reasons = [*app_socket._REASONS, consumer.AGAIN, Words("Service restart"), Words("Too slow")]
    for reason in reasons:
        told = languages.sentence(reason, language)
        assert (told == reason) is (language == "en"), reason
        assert len(told.encode()) <= 123


def test_a_tick_is_said_from_its_figures() -> None:
    for seconds, remaining in ((8100, None), (59, 1200)):
        figures = {"charging_duration": seconds, "time_remaining": remaining, "power": 7.4}
        displays = [duration_display(seconds), duration_display(remaining)]
        names = ("charging_duration_display", "time_remaining_display")
        body = json.dumps({"data": {**figures, **dict(zip(names, displays, strict=True))}})
        assert json.loads(languages.tick_retold(body, "en")) == json.loads(body)
        told = json.loads(languages.tick_retold(body, "de"))["data"]
        long, short = "2 Std. 15 Min.", ("20 Min." if remaining else None)
        assert (told["charging_duration_display"], told["time_remaining_display"]) == (
            long if seconds == 8100 else "0 Min.",
            short,
        )
        assert told["power"] == 7.4


class Told(msgspec.Struct):
    message: str
    data: dict[str, Any]
    count: int = 1


def test_a_sentence_is_english_and_can_be_said_otherwise() -> None:
    words = Words(
        "%(place)s: %(detail)s.", place=CONNECTOR, detail=Words("Faulted: the connector has a fault")
    )
    assert words == "Connector 1 of CP001: Faulted: the connector has a fault."
    assert (
        languages.sentence(words, "de") == "Anschluss 1 von CP001: Gestört: Der Anschluss hat einen Fehler."
    )
    energy = Words("%(energy)s kWh", energy=1234.5)
    assert (energy, languages.sentence(energy, "de")) == ("1234.50 kWh", "1234,50 kWh")
    assert (
        languages.sentence(Words("100 % of nothing that is known"), "de") == "100 % of nothing that is known"
    )
    assert languages.sentence("", "de") == ""
    assert get_language() == "en"


def test_an_answer_and_an_event_are_the_same_in_every_language_but_for_sentences() -> None:
    told = Told(message=CONNECTOR, data={"title": Words("Connector reserved"), "name": "Charging"})
    assert languages.translated(told, "en") is told
    answer = languages.translated(told, "es")
    body = json.dumps(msgspec.to_builtins(told, enc_hook=str))
    words = json.loads(json.dumps(found_in(told)))  # as the store keeps it
    expected = {
        "message": "Conector 1 de CP001",
        "data": {"title": "Conector reservado", "name": "Charging"},
        "count": 1,
    }
    assert msgspec.to_builtins(answer) == expected
    assert json.loads(languages.retold(body, words, "es")) == expected


def test_of_a_failure_only_the_sentence_is_translated() -> None:
    error = DomainError(Words("There is no charger %(charger)s", charger="CP001"), detail="A detail")
    told = failure(error, "fr")
    assert told["error"] == "Il n’y a pas de borne CP001"
    assert (told["code"], told["message"]) == ("internal_error", "A detail")


def test_operators_pages_stay_english_and_the_api_does_not(client: Client, db: None) -> None:
    page = client.get("/admin/login/", headers={"accept-language": "de"}).content.decode()
    assert 'lang="en' in page and "Log in" in page
    answer = client.get("/api/nowhere/?lang=de", headers={"accept-language": "fr"})
    assert answer.json()["error"] == "Unter /api/nowhere/ gibt es nichts"
    answer = client.get("/api/charging/session/active", headers={"accept-language": "de"})
    assert (
        answer.json()["error"] == "Anmeldedaten fehlen."
    )  # the framework's own sentence, and its own translation
    assert get_language() == "en"
