"""The driver's page, as it is served: its policy, what it may be installed with, what it keeps on the phone."""

import re
import struct
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from pytest_django import Settings

STATIC = Path("gateway/static/gateway")


@pytest.mark.parametrize("path", ["/drive/", "/drive/CP001", "/drive/a%2Fb"])
def test_page_may_load_nothing_but_our_own_files(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    policy = dict(part.split(" ", 1) for part in response["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    html = response.content.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]* src=)", html)
    for url in re.findall(r'(?:src|href)="(/static/[^"]+)"', html):
        assert finders.find(url.removeprefix("/static/")), url


def test_tiles_of_the_map_are_a_setting_and_the_one_thing_from_elsewhere(
    client: Client, settings: Settings
) -> None:
    without = client.get("/drive/")
    assert "img-src 'self' data:;" in without["Content-Security-Policy"]
    assert without["Referrer-Policy"] == "same-origin"
    assert 'data-tiles=""' in without.content.decode()
    settings.MAP_TILES_URL = "https://tiles.example:8443/{z}/{x}/{y}.png?style=a&size=1"
    settings.MAP_ATTRIBUTION, settings.MAP_ATTRIBUTION_URL = "© <Maps>", "https://map.example/licence"
    response = client.get("/drive/CP001")
    assert "img-src 'self' data: https://tiles.example:8443;" in response["Content-Security-Policy"]
    assert response["Content-Security-Policy"].count("https:") == 1
    assert response["Referrer-Policy"] == "strict-origin"  # their host may know the site, not the charger
    html = response.content.decode()
    assert 'data-tiles="https://tiles.example:8443/{z}/{x}/{y}.png?style=a&amp;size=1"' in html
    assert '<a href="https://map.example/licence" target="_blank" rel="noopener">© &lt;Maps&gt;</a>' in html
    settings.MAP_TILES_URL = "/tiles/{z}/{x}/{y}.png"  # behind the same proxy
    assert "img-src 'self' data:;" in client.get("/drive/")["Content-Security-Policy"]


def test_page_can_be_installed_and_is_kept_whole(client: Client) -> None:
    manifest = client.get("/drive/app.webmanifest").json()
    assert manifest["scope"] == manifest["start_url"] == "/drive/"
    icons = {(icon["type"], icon["purpose"]): icon for icon in manifest["icons"] if icon["sizes"] != "any"}
    assert icons.keys() == {("image/png", "any"), ("image/png", "maskable")}
    assert {"192x192", "512x512"} == {icon["sizes"] for icon in manifest["icons"]} - {"any"}
    for icon in manifest["icons"][1:]:
        picture = Path(finders.find(icon["src"].removeprefix("/static/")) or "").read_bytes()
        width, height = struct.unpack(">II", picture[16:24])  # of the header of every PNG
        assert (picture[1:4], f"{width}x{height}") == (b"PNG", icon["sizes"])
    worker = b"".join(client.get("/drive/worker.js")).decode()
    names = re.findall(r"\[(.*?)\]\.map\(\(name\) => `\$\{FILES\}(\w+)/", worker)
    kept = {f"{folder}/{name}" for list_, folder in names for name in re.findall(r'"(\w+)"', list_)}
    there = {
        f"{file.parent.name}/{file.stem}"
        for folder in ("client", "drive")
        for file in (STATIC / folder).glob("*.js")
    }
    assert kept == there - {"drive/worker"}


def test_both_languages_say_the_same_things() -> None:
    """Every word of the page is in both, with the same gaps."""
    source = (STATIC / "drive" / "words.js").read_text()
    tables = [
        dict(re.findall(r'^  (\w+): "(.*)",$', table, re.M))
        for table in re.findall(r"= (\{\n.*?\n\});", source, re.S)
    ]
    english, arabic = tables[:2]
    assert english
    assert english.keys() == arabic.keys()
    for name, text in english.items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", arabic[name])), name
    page = Path("templates/drive.html").read_text()
    assert set(re.findall(r'data-t(?:-label)?="(\w+)"', page)) <= english.keys()
