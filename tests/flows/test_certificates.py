"""A charger's own certificate, from its request to the connection it opens, on real sockets with TLS."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import load_pem_x509_certificates
from django.db.models import F
from websockets.exceptions import InvalidStatus

from chargers.models import Certificate, Charger, Command
from chargers.passwords import hash_password
from tests import wire
from tests.certificates import Authority, Pair, client_context, curve_key, rsa_key, signing_request
from tests.conftest import Site
from tests.factories import make_charger, unique
from tests.flows.test_admin_commands import CHARGERS, signed_in
from tests.server_process import ServerProcess, run_command
from tests.wire import eventually

KEY = bytes(range(20))


class Works(NamedTuple):
    """A server with TLS and an authority of its own; `ca` made its server's certificate."""

    server: ServerProcess
    tls: str
    ca: Authority
    folder: Path


@pytest.fixture(scope="module")
def works(committed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    folder, ca = tmp_path_factory.mktemp("works"), Authority("Server CA")
    certificate, key = ca.issue("localhost", hosts=("localhost",)).save(folder, "server")
    files: dict[str, Any] = {
        "CA_CERTIFICATE": str(folder / "ca.pem"),
        "CA_KEY": str(folder / "ca.key"),
        "CPO_NAME": "Operator",
    }
    made = run_command("create_ca", **files)
    assert made.returncode == 0, made.stderr
    server = ServerProcess(
        *("manage.py", "serve", "--port", "0", "--tls-port", "0"),
        TLS_CERTIFICATE=certificate,
        TLS_KEY=key,
        **files,
    )
    port = server.log.partition(" and https://")[2].partition("/")[0].rpartition(":")[2]
    yield Works(server, f"wss://localhost:{port}", ca, folder)
    server.stop()


async def asks_and_gets(point: wire.FakeCharger, key: ec.EllipticCurvePrivateKey, name: str) -> Pair:
    """SignCertificate, and the CertificateSigned that follows."""
    csr = signing_request(name, key=key, organisation="Operator")
    assert await point.call("SignCertificate", {"csr": csr}) == {"status": "Accepted"}
    asked = await point.accepts("CertificateSigned")
    return Pair(load_pem_x509_certificates(asked["certificateChain"].encode())[0], key)


@pytest.mark.parametrize("make_key", [curve_key, rsa_key])
async def test_a_charger_gets_a_certificate_and_connects_with_it(
    works: Works, make_key: Callable[[], ec.EllipticCurvePrivateKey]
) -> None:
    """A03, A05: from a password over TLS to a certificate of its own."""
    charger = make_charger(password_hash=hash_password(KEY))
    context = client_context(works.ca)
    async with wire.charger(works.tls, charger.identity, password=KEY, ssl=context) as point:
        await point.ready()
        own = await asks_and_gets(point, make_key(), charger.identity)
        await eventually(lambda: charger.certificates.filter(state="installed").exists())
    with_own = client_context(works.ca, own.save(works.folder, unique("own")))
    async with wire.charger(works.tls, charger.identity, ssl=with_own) as point:
        await point.call("Heartbeat")
    assert Charger.objects.get(pk=charger.pk).used_security_profile == 3
    with pytest.raises(InvalidStatus):  # E10
        await wire.charger(works.tls, charger.identity, password=KEY, ssl=context).__aenter__()


async def test_an_operator_renews_it_and_the_old_one_opens_the_door_no_more(works: Works) -> None:
    """TC_074, A02"""
    charger = make_charger(password_hash=hash_password(KEY))
    context, pairs = client_context(works.ca), []
    admin = await signed_in(Site(works.server, works.server))
    for _ in range(2):
        async with wire.charger(works.tls, charger.identity, password=KEY, ssl=context) as point:
            await point.ready()
            await admin.act(CHARGERS, "renew_certificate", charger)
            asked = await point.accepts("ExtendedTriggerMessage")
            assert asked == {"requestedMessage": "SignChargePointCertificate"}
            pairs.append(await asks_and_gets(point, curve_key(), charger.identity))  # type: ignore[arg-type]
            await eventually(lambda: not charger.certificates.exclude(state="installed").exists())
    old, new = [client_context(works.ca, each.save(works.folder, unique("own"))) for each in pairs]
    for each in (old, new):
        async with wire.charger(works.tls, charger.identity, ssl=each) as point:
            await point.call("Heartbeat")
    with pytest.raises(InvalidStatus) as caught:
        await wire.charger(works.tls, charger.identity, ssl=old).__aenter__()
    assert b"withdrawn" in caught.value.response.body
    states = charger.certificates.order_by("created_at").values_list("state", flat=True)
    assert list(states) == ["deleted", "installed"]


async def test_a_request_for_another_name_is_rejected(works: Works) -> None:
    """A02.FR.12"""
    charger = make_charger()
    async with wire.charger(works.server.ws, charger.identity) as point:
        csr = signing_request("somebody-else", organisation="Operator")
        assert await point.call("SignCertificate", {"csr": csr}) == {"status": "Rejected"}
        assert await point.call("SignCertificate", {"csr": "nonsense"}) == {"status": "Rejected"}
    assert set(charger.certificates.values_list("state", flat=True)) == {"rejected"}


async def test_a_charger_that_left_gets_its_certificate_when_it_is_back(works: Works) -> None:
    charger, key = make_charger(), curve_key()
    async with wire.charger(works.server.ws, charger.identity) as point:
        csr = signing_request(charger.identity, key=key, organisation="Operator")
        assert await point.call("SignCertificate", {"csr": csr}) == {"status": "Accepted"}
    await eventually(lambda: not Charger.objects.get(pk=charger.pk).is_connected)
    await eventually(lambda: charger.certificates.exclude(pem="").exists())
    async with wire.charger(works.server.ws, charger.identity) as point:
        await point.accepts("CertificateSigned")
        await eventually(lambda: charger.certificates.get().state == "installed")


async def test_an_expiring_certificate_is_renewed_by_the_sweep(works: Works) -> None:
    """A02"""
    charger = make_charger()
    async with wire.charger(works.server.ws, charger.identity) as point:
        await point.ready()
        await asks_and_gets(point, curve_key(), charger.identity)  # type: ignore[arg-type]
        await eventually(lambda: charger.certificates.filter(state="installed").exists())
        Certificate.objects.filter(charger=charger).update(expires_at=F("created_at"))
        asked = await point.accepts("ExtendedTriggerMessage")
        assert asked == {"requestedMessage": "SignChargePointCertificate"}
    assert Command.objects.filter(charger=charger, action="extended_trigger_message").count() == 1


async def test_roots_are_installed_listed_and_deleted_from_the_operators_pages(works: Works) -> None:
    """M03, M04, M05"""
    charger, root = make_charger(), Authority("Root")
    admin = await signed_in(Site(works.server, works.server))
    async with wire.charger(works.server.ws, charger.identity) as point:
        await point.ready()
        form = {"order-certificate_type": "CentralSystemRootCertificate", "order-certificate": root.pem}
        await admin.act(CHARGERS, "install_certificate", charger, confirmed="yes", **form)
        asked = await point.accepts("InstallCertificate")
        assert asked["certificateType"] == "CentralSystemRootCertificate"
        row = await eventually(lambda: charger.certificates.filter(state="installed").first())
        await admin.act("/admin/chargers/certificate/", "delete_from_charger", row, confirmed="yes")
        message_id, asked = await point.asked("DeleteCertificate")
        named = asked["certificateHashData"]
        assert named["hashAlgorithm"] == "SHA256"
        await point.answer(message_id, {"status": "Failed"})
        await admin.act(CHARGERS, "list_certificates", charger)
        for answer in ({"status": "Accepted", "certificateHashData": [named]}, {"status": "NotFound"}):
            message_id, asked = await point.asked("GetInstalledCertificateIds")
            await point.answer(message_id, answer)
        await admin.act("/admin/chargers/certificate/", "delete_from_charger", row, confirmed="yes")
        await point.accepts("DeleteCertificate")
        await eventually(lambda: charger.certificates.get().state == "deleted")
