"""The start page and the test console, as HTML: what they link to, what they may load, what they must not tell."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import resolve
from pytest_django import Settings

from sessions.management.commands.seed_demo import CHARGERS, ID_TAG

PAGES = ["/", "/console/"]
STATIC = Path("gateway/static/gateway")
VENDORED = STATIC / "vendor" / "uplot"


class Tags(HTMLParser):
    """Every start tag with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def html_of(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("path", PAGES)
def test_page_may_load_nothing_but_our_own_files(client: Client, path: str) -> None:
    policy = dict(part.split(" ", 1) for part in client.get(path)["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self' ws: wss:",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "form-action": "'self'",
    }


@pytest.mark.parametrize("path", PAGES)
def test_page_has_no_inline_code_that_the_policy_would_block(client: Client, path: str) -> None:
    for tag, attributes in Tags(html_of(client, path)).tags:
        assert tag != "style"
        assert tag != "script" or attributes.get("src")
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


@pytest.mark.parametrize("path", PAGES)
def test_every_file_of_the_page_is_ours_and_exists(client: Client, path: str) -> None:
    loaded = [
        url
        for tag, attributes in Tags(html_of(client, path)).tags
        if (url := attributes.get("src") or (tag == "link" and attributes.get("href")))
    ]
    assert loaded
    for url in loaded:
        assert url.startswith("/static/")
        assert finders.find(url.removeprefix("/static/")), url


def test_no_file_of_ours_speaks_of_another_host() -> None:
    for file in STATIC.glob("*.*"):
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(https?|wss?)://\w", text), file


def test_every_module_imported_exists() -> None:
    for file in STATIC.glob("*.js"):
        for name in re.findall(r'from "\./(\w+\.js)"', file.read_text()):
            assert (STATIC / name).exists(), f"{file} imports {name}"


def test_chart_is_the_package_as_it_was_published() -> None:
    package = Path("node_modules/uplot")
    assert '"version": "1.6.32"' in (package / "package.json").read_text()
    for name, source in {
        "uPlot.iife.min.js": "dist/uPlot.iife.min.js",
        "uPlot.min.css": "dist/uPlot.min.css",
        "LICENSE": "LICENSE",
    }.items():
        assert (VENDORED / name).read_bytes() == (package / source).read_bytes()


def test_start_page_leads_everywhere(client: Client) -> None:
    links = {attributes.get("href") for tag, attributes in Tags(html_of(client, "/")).tags if tag == "a"}
    assert links >= {
        "/console/",
        "/admin/",
        "/docs/",
        "/api/schema/",
        "/asyncapi.json",
        "/health",
        "/stats",
        "/metrics",
    }
    for link in links:
        assert link
        assert link.startswith("#") or resolve(link).route is not None


def test_demo_shows_how_to_get_in(client: Client, settings: Settings) -> None:
    settings.DEMO = True
    settings.ALLOWED_HOSTS = ["*"]
    html = client.get("/", headers={"host": "demo.test:8081"}).content.decode()
    for word in ["driver", "driver2", "operator", ID_TAG, *CHARGERS]:
        assert f"<code>{word}</code>" in html
    assert 'wscat -c "ws://demo.test:8081?token=$TOKEN"' in html
    assert "<code>driver</code>" in html_of(client, "/console/")


@pytest.mark.parametrize("path", PAGES)
def test_outside_the_demo_nobody_learns_of_its_users(client: Client, settings: Settings, path: str) -> None:
    settings.DEMO = False
    html = html_of(client, path)
    assert not re.search(r"driver|operator|\bCP0|DEMO", html.replace("for operators", ""))


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_only_read(client: Client, path: str) -> None:
    assert client.head(path).status_code == 200
    assert client.post(path).status_code == 405


def test_form_without_its_script_gives_nothing_away(client: Client) -> None:
    """Were the scripts blocked, the browser itself would send the form: by POST, and no field has a name."""
    tags = Tags(html_of(client, "/console/")).tags
    assert all(attributes.get("method") == "post" for tag, attributes in tags if tag == "form")
    assert not [
        attributes for tag, attributes in tags if tag in ("input", "textarea") and "name" in attributes
    ]


def test_every_field_has_a_label(client: Client) -> None:
    html = html_of(client, "/console/")
    tags = Tags(html).tags
    labelled = {attributes.get("for") for tag, attributes in tags if tag == "label"}
    for tag, attributes in tags:
        if tag in ("input", "textarea", "select") and attributes.get("type") != "checkbox":
            assert attributes["id"] in labelled
    for checkbox in re.findall(r'<input id="\S+" type="checkbox"', html):
        assert f'<label class="check">{checkbox}' in html
