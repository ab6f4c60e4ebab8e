"""The proxies' files, judged by the proxies themselves."""

import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from gateway import tls
from tests.certificates import client_context
from tests.deploy.proxies import PROXIES, HAProxy, Keys, free_port


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys.made_in(tmp_path_factory.mktemp("keys"))


@pytest.mark.parametrize("name", PROXIES)
def test_the_file_is_valid(name: str, keys: Keys, tmp_path: Path) -> None:
    checked = PROXIES[name](tmp_path, keys, [8081, 8082]).check()
    assert checked.returncode == 0, checked.stdout
    assert "WARNING" not in checked.stdout
    assert "[warn]" not in checked.stdout.replace('the "user" directive makes sense only', "")


def test_haproxy_needs_no_authority_of_chargers(keys: Keys, tmp_path: Path) -> None:
    proxy = HAProxy(tmp_path, keys, [8081, 8082])
    proxy.environment["CHARGERS_CA"] = ""
    checked = proxy.check()
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("name", PROXIES)
def test_the_ciphers_are_those_of_our_own_door(name: str) -> None:
    """A00.FR.317"""
    assert tls.CIPHERS in PROXIES[name].file.read_text()


@pytest.mark.parametrize("name", PROXIES)
def test_no_token_is_logged_though_nobody_is_there_to_serve(name: str, keys: Keys, tmp_path: Path) -> None:
    """An error's line, too, may hold the whole request."""
    tmp_path.chmod(0o755)  # nginx's workers are another user
    proxy = PROXIES[name](tmp_path, keys, [free_port(), free_port()])
    proxy.start()
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=client_context(keys.ca))
    )
    try:
        for path in ("/?token=a-secret", "/api/sessions/?token=a-secret"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                opener.open(proxy.http + path, timeout=20)
            assert refused.value.code in (502, 503)
        proxy.wait_for_log("/api/sessions/")
    finally:
        proxy.stop()
    assert "a-secret" not in proxy.log


@pytest.mark.parametrize("name", PROXIES)
def test_who_says_nothing_is_let_go(name: str, keys: Keys, tmp_path: Path) -> None:
    """With the file's time shortened from ten seconds to one."""
    tmp_path.chmod(0o755)
    hasty = tmp_path / "hasty"
    text = PROXIES[name].file.read_text()
    assert " 10s" in text
    hasty.write_text(text.replace(" 10s", " 1s"))
    proxy = type("Hasty", (PROXIES[name],), {"file": hasty})(tmp_path, keys, [free_port(), free_port()])
    proxy.start()
    try:
        with (
            socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as plain,
            client_context(keys.ca).wrap_socket(plain, server_hostname="localhost") as line,
        ):
            while line.recv(1000):  # HAProxy says 408 first
                pass
    finally:
        proxy.stop()
