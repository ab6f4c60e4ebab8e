"""The reader of the environment: typed, complete, and loud by name; and settings that hang together."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from evcharge import env
from tests.server_process import ROOT

KEY = "x" * 50


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of this run's stack, no .env and no .demo of this checkout."""
    for variable in env.VARIABLES:
        monkeypatch.delenv(variable.name, raising=False)
    monkeypatch.setenv("ENV_FILE", str(tmp_path / "env"))
    monkeypatch.setenv("SECRET_KEY", KEY)
    monkeypatch.setattr(env, "DEMO_DIR", tmp_path / ".demo")


def read(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv(name, text)
    return getattr(env.Settings(), name)


def test_without_anything_set_the_defaults_are_the_tables() -> None:
    values = env.Settings()
    for variable in env.VARIABLES:
        if variable.name == "DATABASE_URL":
            assert values.DATABASE_URL["NAME"] == str(ROOT / "evcharge.sqlite3")
        elif variable.name != "SECRET_KEY":
            assert getattr(values, variable.name) == variable.default, variable.name


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("PORT", "9000", 9000),
        ("PORT", "", 8080),  # as container tools write what is not set
        ("DEBUG", "true", True),
        ("DEBUG", "1", True),
        ("DEBUG", "Yes", True),
        ("DEBUG", "on", True),
        ("DEBUG", "false", False),
        ("DEBUG", "0", False),
        ("DEBUG", "OFF", False),
        ("DEBUG", "", False),
        ("ALLOWED_HOSTS", "a.example, b.example,", ["a.example", "b.example"]),
        ("ALLOWED_HOSTS", "a.example", ["a.example"]),
        ("LOG_LEVEL", "debug", "DEBUG"),
        ("TIME_ZONE", "Europe/Amsterdam", "Europe/Amsterdam"),
        ("MAP_TILES_URL", "/tiles/{z}/{x}/{y}.png", "/tiles/{z}/{x}/{y}.png"),
        ("MAP_TILES_URL", "https://t.example/{z}/{y}/{x}?k=a", "https://t.example/{z}/{y}/{x}?k=a"),
        ("MAP_ATTRIBUTION_URL", "https://map.example/", "https://map.example/"),
        ("REDIS_URL", "rediss://:pw@cache:6380/1", "rediss://:pw@cache:6380/1"),
        ("REDIS_URL", "redis+sentinel://a,b/mymaster", "redis+sentinel://a,b/mymaster"),
        ("SECRET_KEY", "$ecret=#'\"key", "$ecret=#'\"key"),  # no reference to anything
    ],
)
def test_value_has_its_type(name: str, text: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(name, text, monkeypatch)
    assert found == value
    assert type(found) is type(value)


def test_database_url(monkeypatch: pytest.MonkeyPatch) -> None:
    postgres = read("DATABASE_URL", "postgresql://me:p%40ss@db.example:5433/charge", monkeypatch)
    assert postgres["ENGINE"] == "django.db.backends.postgresql"
    parts = ("me", "p@ss", "db.example", 5433, "charge")
    assert tuple(postgres[part] for part in ("USER", "PASSWORD", "HOST", "PORT", "NAME")) == parts
    assert read("DATABASE_URL", "sqlite:////var/charge.db", monkeypatch)["NAME"] == "/var/charge.db"
    assert read("DATABASE_URL", "sqlite://:memory:", monkeypatch)["NAME"] == ":memory:"
    # Beside manage.py, wherever it is started from.
    assert read("DATABASE_URL", "sqlite:///charge.db", monkeypatch)["NAME"] == str(ROOT / "charge.db")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PORT", "abc"),
        ("PORT", "80.5"),
        ("MAX_APP_SOCKETS", "many"),
        ("DEBUG", "maybe"),
        ("HTTPS", "ture"),  # must not turn security off without a word
        ("DEMO", "perhaps"),
        ("LOG_LEVEL", "loud"),
        ("TIME_ZONE", "Mars/Base"),
        ("TIME_ZONE", "../../etc/passwd"),
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "mysql://root:hidden@db/x"),
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_URL", "http://:hidden@cache"),
        ("REDIS_PREFIX", "with space"),
        ("MAP_TILES_URL", "https://t.example/map.png"),
        ("MAP_TILES_URL", "https://t.example/{s}/{z}/{x}/{x}/{y}.png"),
        ("MAP_TILES_URL", "https://{x}.example/{z}/{y}.png"),
        ("MAP_TILES_URL", "https://t.example;script-src/{z}/{x}/{y}.png"),
        ("MAP_TILES_URL", "javascript://t.example/{z}/{x}/{y}.png"),
        ("MAP_ATTRIBUTION_URL", "javascript:alert(1)"),
    ],
)
def test_wrong_value_fails_by_name(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured, match=rf"^{name} must be ") as error:
        read(name, text, monkeypatch)
    assert "hidden" not in str(error.value)


def test_a_missing_secret_key_fails_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET_KEY")
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY is not set"):
        env.Settings()


def test_a_name_that_is_not_in_the_table_is_a_mistake_of_ours() -> None:
    with pytest.raises(AttributeError, match="COLOUR"):
        env.Settings().COLOUR  # noqa: B018


def test_env_file_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# mine\nPORT=9001\nMAX_APP_SOCKETS=5\nDEBUG=yes\n")
    for name in ("PORT", "MAX_APP_SOCKETS", "DEBUG"):
        monkeypatch.delenv(name, raising=False)  # so that what the file sets goes with the test
    monkeypatch.setenv("PORT", "9002")
    values = env.Settings()
    assert (values.PORT, values.MAX_APP_SOCKETS, values.DEBUG) == (9002, 5, True)
    for name in ("MAX_APP_SOCKETS", "DEBUG"):
        os.environ.pop(name)


def test_demo_keeps_to_its_own_folder_whatever_else_is_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DEMO", "1")
    monkeypatch.setenv("DATABASE_URL", "postgresql://real.example/charge")
    monkeypatch.setenv("REDIS_URL", "redis://real.example")
    (tmp_path / "env").write_text("PORT=9001\n")
    values = env.Settings()
    folder = tmp_path / ".demo"
    assert values.DATABASE_URL["NAME"] == str(folder / "db.sqlite3")
    assert values.DATABASE_URL["ENGINE"].endswith("sqlite3")
    assert (values.REDIS_URL, values.PORT) == ("", 8080)
    assert values.SECRET_KEY not in ("", KEY)
    assert (folder / "secret_key").stat().st_mode & 0o077 == 0
    assert env.Settings().SECRET_KEY == values.SECRET_KEY  # the same next time: log-ins last


def test_no_two_variables_share_a_name_and_each_has_a_meaning() -> None:
    names = [variable.name for variable in env.VARIABLES]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[A-Z_]+", name) for name in names)
    assert all(len(variable.meaning) > 10 for variable in env.VARIABLES)


def test_env_example_is_up_to_date_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every variable with its default; and with all of them taken at their word the defaults come out."""
    text = (ROOT / ".env.example").read_text()
    assert text == env.example()
    settings_in_it = re.findall(r"^#([A-Z_]+)=(.*)$", text, re.MULTILINE)
    assert [name for name, _ in settings_in_it] == [variable.name for variable in env.VARIABLES]
    before = env.Settings()
    for name, value in settings_in_it:
        if name not in ("SECRET_KEY", "DEMO"):
            monkeypatch.setenv(name, value)
    after = env.Settings()
    for name, _ in settings_in_it:
        assert getattr(after, name) == getattr(before, name), name


def test_settings_read_the_environment_in_one_place_only() -> None:
    """But for what belongs to the process itself and not to the installation."""
    allowed = {
        "evcharge/env.py",
        "manage.py",
        "gateway/soak/servers.py",
    }  # the last hands it on to its servers
    for folder in ("evcharge", "chargers", "sessions", "gateway"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            relative = str(path.relative_to(ROOT))
            if relative in allowed:
                continue
            for line in path.read_text().splitlines():
                if "os.environ" in line or "os.getenv" in line:
                    assert "DJANGO_SETTINGS_MODULE" in line or "CHARGERS" in line, (relative, line)


def test_every_variable_is_used() -> None:
    text = (ROOT / "evcharge" / "settings.py").read_text()
    for variable in env.VARIABLES:
        assert f"values.{variable.name}" in text, variable.name


@pytest.mark.parametrize("arguments", [["manage.py", "check"], ["manage.py", "serve"]])
def test_a_wrong_setting_is_a_sentence_and_no_traceback(arguments: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PORT": "abc"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stderr.strip() == "evcharge: PORT must be a whole number, not 'abc'"


def test_https_makes_cookies_secure_and_redirects() -> None:
    script = (
        "from evcharge import settings as s;"
        "print(s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.SECURE_SSL_REDIRECT, s.SECURE_HSTS_SECONDS > 0,"
        " hasattr(s, 'SECURE_PROXY_SSL_HEADER'))"  # a proxy's word is gateway.proxies' business
    )

    def flags(**more: str) -> str:
        command = [sys.executable, "-c", script]
        return subprocess.check_output(command, cwd=ROOT, env={**os.environ, **more}, text=True).strip()

    assert flags() == "False False False False False"
    assert flags(HTTPS="true") == "True True True True False"
    assert flags(HTTPS="true", TRUSTED_PROXIES="10.0.0.0/8") == "True True True True False"


def test_the_tests_own_settings_are_not_the_demos() -> None:
    assert not settings.DEMO
