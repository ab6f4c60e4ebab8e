"""Chargers' certificates without a wire: requests, authorities, what is sent and what became of it, renewal."""

import stat
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cryptography import x509
from django.core.management import CommandError, call_command
from pytest_django import Settings

from chargers import authority, certificates, commands
from chargers.errors import UnfitCertificate
from chargers.events import utcnow
from chargers.models import Certificate, Charger, Command
from chargers.root_certificates import deletion
from sessions import operations, services
from tests.certificates import Authority, curve_key, rsa_key, signing_request
from tests.factories import make_charger, make_online_charger

pytestmark = pytest.mark.django_db


@pytest.fixture
def ca(settings: Settings, tmp_path: Path) -> x509.Certificate:
    """An authority of our own."""
    settings.CA_CERTIFICATE, settings.CA_KEY = str(tmp_path / "ca.pem"), str(tmp_path / "ca.key")
    call_command("create_ca", name="Operator", stdout=open("/dev/null", "w"))  # noqa: SIM115
    return authority.certificates_in(Path(settings.CA_CERTIFICATE).read_bytes())[0]


def sign_all() -> None:
    """What gateway.signing does in a round."""
    for request in certificates.claim_requests():
        try:
            chain = authority.sign(request.pem)
        except authority.Unfit as error:
            certificates.not_signed(request.pk, str(error), for_good=True)
        except authority.Unreachable as error:
            certificates.not_signed(request.pk, str(error), for_good=False)
        else:
            certificates.signed(request.pk, chain)
    certificates.send_signed()


def answered(command: Command, status: str, answer: Any = None) -> None:
    """The charger's answer, as the socket settles it."""
    Command.objects.filter(pk=command.pk).update(status="sent", sent_at=utcnow())
    services.finish_command(command.pk, status=status, answer=answer)


def ask(charger: Charger, action: str, **params: Any) -> Command:
    return operations.perform(charger=charger, action=action, params=params)


# --- our own authority ---


def test_the_authoritys_key_is_for_this_user_alone_and_it_is_not_replaced(
    ca: x509.Certificate, settings: Settings
) -> None:
    """A00.FR.602"""
    assert stat.S_IMODE(Path(settings.CA_KEY).stat().st_mode) == 0o600
    before = Path(settings.CA_KEY).read_bytes()
    with pytest.raises(CommandError, match="is there already"):
        call_command("create_ca")
    Path(settings.CA_CERTIFICATE).unlink()
    with pytest.raises(CommandError, match="is there already"):
        call_command("create_ca")
    assert Path(settings.CA_KEY).read_bytes() == before
    assert not Path(settings.CA_CERTIFICATE).exists()


@pytest.mark.parametrize("make_key", [curve_key, rsa_key])
def test_a_request_is_signed_sent_and_installed(ca: x509.Certificate, make_key: Callable[[], Any]) -> None:
    """A02"""
    charger = make_online_charger()
    csr = signing_request(charger.identity, key=make_key(), organisation="Operator")
    assert certificates.request(charger_id=charger.pk, csr=csr)
    row = charger.certificates.get()
    assert row.state == "requested"
    sign_all()
    command = charger.commands.get(action="certificate_signed")
    row.refresh_from_db()
    assert row.state == "sent"
    made, issuer = authority.certificates_in(command.params["certificate_chain"])
    assert issuer == ca
    assert authority.names_in(made) == {charger.identity}
    assert authority.is_trusted(made, at=utcnow())
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert row.fingerprint == authority.fingerprint_of(made)
    answered(command, "accepted", {"status": "Accepted"})
    row.refresh_from_db()
    assert row.state == "installed"
    assert row.expires_at == made.not_valid_after_utc


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda charger: "no request", "cannot be read"),
        (lambda charger: signing_request("somebody else"), "neither this charger's identity"),
        (lambda charger: signing_request(charger.identity, key=rsa_key(1024)), "too weak"),
        (lambda charger: _tampered(signing_request(charger.identity)), "not signed|cannot be read"),
    ],
)
def test_a_request_that_is_not_right_is_rejected_with_its_reason(
    ca: x509.Certificate, make: Callable[[Charger], str], why: str
) -> None:
    """A02.FR.12"""
    import re

    charger = make_online_charger()
    assert not certificates.request(charger_id=charger.pk, csr=make(charger))
    row = charger.certificates.get()
    assert row.state == "rejected"
    assert re.search(why, row.detail)
    sign_all()
    assert not charger.commands.exists()


def _tampered(pem: str) -> str:
    lines = pem.splitlines()
    middle = lines[-3]
    lines[-3] = middle[:-9] + ("A" if middle[-9] != "A" else "B") + middle[-8:]
    return "\n".join(lines)


def test_a_serial_number_that_another_charger_has_too_is_nobodys_name(ca: x509.Certificate) -> None:
    """A charger tells its serial number itself: it must not get a certificate for another one's name."""
    victim = make_charger()
    liar = make_online_charger(serial_number=victim.identity)
    assert not certificates.request(charger_id=liar.pk, csr=signing_request(victim.identity))
    assert "Another charger" in liar.certificates.get().detail


def test_the_organisation_is_the_operators(ca: x509.Certificate, settings: Settings) -> None:
    """A02.FR.13"""
    settings.CPO_NAME = "Operator"
    charger = make_online_charger()
    assert not certificates.request(charger_id=charger.pk, csr=signing_request(charger.identity))
    assert "CpoName" in charger.certificates.get().detail
    csr = signing_request(charger.identity, organisation="Operator")
    assert certificates.request(charger_id=charger.pk, csr=csr)


def test_without_an_authority_no_request_is_taken() -> None:
    charger = make_online_charger()
    assert not certificates.request(charger_id=charger.pk, csr=signing_request(charger.identity))
    assert "create_ca" in charger.certificates.get().detail


def test_a_request_is_brought_to_the_authority_by_one_process(ca: x509.Certificate) -> None:
    charger = make_charger()
    certificates.request(charger_id=charger.pk, csr=signing_request(charger.identity))
    assert len(certificates.claim_requests()) == 1
    assert certificates.claim_requests() == []
    Certificate.objects.update(asked_at=utcnow() - certificates.LEASE)  # that process died
    assert len(certificates.claim_requests()) == 1


def test_of_two_requests_the_newest_is_signed(ca: x509.Certificate) -> None:
    charger = make_charger()
    for _ in range(2):
        assert certificates.request(charger_id=charger.pk, csr=signing_request(charger.identity))
    assert len(certificates.claim_requests()) == 1
    assert sorted(charger.certificates.values_list("state", flat=True)) == ["rejected", "requested"]


def test_a_signed_certificate_waits_for_its_charger(ca: x509.Certificate) -> None:
    charger = make_charger()
    certificates.request(charger_id=charger.pk, csr=signing_request(charger.identity))
    sign_all()
    assert not charger.commands.exists()
    Charger.objects.filter(pk=charger.pk).update(channel_name="specific.here")
    sign_all()
    command = charger.commands.get()
    services.finish_command(command.pk, status="failed", error="charger_offline")  # it was never sent
    sign_all()
    assert charger.commands.count() == 2


@pytest.mark.parametrize(
    ("status", "state"), [("accepted", "installed"), ("rejected", "rejected"), ("timed_out", "sent")]
)
def test_what_becomes_of_a_certificate_that_was_sent(ca: x509.Certificate, status: str, state: str) -> None:
    charger = make_online_charger()
    certificates.request(charger_id=charger.pk, csr=signing_request(charger.identity))
    sign_all()
    answered(charger.commands.get(), status)
    row = charger.certificates.get()
    assert row.state == state
    sign_all()
    assert charger.commands.count() == 1  # nothing is sent over and over
    certificates.used(charger, authority.certificates_in(row.pem)[0])
    row.refresh_from_db()
    assert row.state == "installed"  # it came with it, whatever it said


def test_a_new_certificate_replaces_the_old_once_the_charger_comes_with_it(ca: x509.Certificate) -> None:
    """A02.FR.10; and a charger that fell back to the old one can be let in again."""
    charger, made = make_online_charger(), []
    for _ in range(2):
        certificates.request(charger_id=charger.pk, csr=signing_request(charger.identity))
        sign_all()
        answered(charger.commands.latest("created_at"), "accepted", {"status": "Accepted"})
        made.append(charger.certificates.latest("created_at"))
    old, new = [authority.certificates_in(row.pem)[0] for row in made]
    certificates.used(charger, old)
    assert certificates.trouble_with(charger, new) is None
    certificates.used(charger, new)
    assert certificates.trouble_with(charger, old) == "withdrawn_certificate"
    made[0].refresh_from_db()
    certificates.reinstate(made[0])
    assert certificates.trouble_with(charger, old) is None


# --- an outside authority ---


@pytest.fixture
def outside(settings: Settings) -> Iterator[dict[str, Any]]:
    """An authority over HTTP; what it answers is the test's to say: `answer` gets the request's PEM."""
    said: dict[str, Any] = {"asked": []}

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            said["asked"].append(body)
            status, text = said["answer"](body)
            self.send_response(status)
            if status == 302:
                self.send_header("Location", text)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = Thread(target=server.serve_forever)
    thread.start()
    settings.CA_URL = f"http://127.0.0.1:{server.server_port}/sign"
    yield said
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_outside_authority_gets_the_request_and_gives_the_chain(outside: dict[str, Any]) -> None:
    """A02.FR.04"""
    charger, theirs, key = make_online_charger(), Authority("Theirs"), curve_key()
    csr = signing_request(charger.identity, key=key)
    outside["answer"] = lambda body: (200, theirs.issue(charger.identity, key=key).pem + theirs.pem)
    certificates.request(charger_id=charger.pk, csr=csr)
    sign_all()
    assert outside["asked"] == [csr]
    chain = charger.commands.get().params["certificate_chain"]
    assert len(authority.certificates_in(chain)) == 2


@pytest.mark.parametrize(
    ("answer", "state", "why"),
    [
        (lambda body: (400, "Not for you\0"), "rejected", "Not for you"),
        (lambda body: (200, "no certificate"), "rejected", "not a certificate"),
        (lambda body: (200, Authority().issue("x").pem), "rejected", "another key"),
        (lambda body: (302, "http://127.0.0.1:9/elsewhere"), "rejected", "302"),
        (lambda body: (503, "Busy"), "requested", "503"),
    ],
)
def test_an_outside_authority_that_does_not_sign_is_told_to_the_operator(
    outside: dict[str, Any], answer: Callable[[str], tuple[int, str]], state: str, why: str
) -> None:
    charger = make_online_charger()
    outside["answer"] = answer
    certificates.request(charger_id=charger.pk, csr=signing_request(charger.identity))
    sign_all()
    row = charger.certificates.get()
    assert row.state == state
    assert why in row.detail
    assert not charger.commands.exists()


def test_an_authority_that_is_away_is_asked_again_but_not_for_ever(settings: Settings) -> None:
    settings.CA_URL = "http://127.0.0.1:9/nobody"
    charger = make_online_charger()
    certificates.request(charger_id=charger.pk, csr=signing_request(charger.identity))
    sign_all()
    row = charger.certificates.get()
    assert row.state == "requested"
    assert "cannot be reached" in row.detail
    assert certificates.claim_requests() == []  # not at once
    long_ago = utcnow() - certificates.PATIENCE - timedelta(minutes=1)
    Certificate.objects.update(asked_at=long_ago, created_at=long_ago)
    sign_all()
    row.refresh_from_db()
    assert row.state == "rejected"


# --- renewal ---


def test_an_expiring_certificate_is_asked_to_be_renewed_once_a_day(ca: x509.Certificate) -> None:
    """A02"""
    charger, young = make_online_charger(), make_online_charger()
    for owner, days in ((charger, 10), (young, 200)):
        Certificate.objects.create(
            charger=owner,
            kind="ChargePointCertificate",
            state="installed",
            expires_at=utcnow() + timedelta(days=days),
        )
    assert certificates.renew_expiring() == 1
    command = charger.commands.get()
    assert (command.action, command.params) == (
        "extended_trigger_message",
        {"message": "SignChargePointCertificate"},
    )
    assert certificates.renew_expiring() == 0
    Command.objects.update(created_at=utcnow() - timedelta(days=1, minutes=1))
    assert certificates.renew_expiring() == 1
    assert not young.commands.exists()


def test_what_is_replaced_by_a_longer_one_is_not_renewed(ca: x509.Certificate) -> None:
    charger = make_online_charger()
    for days in (10, 200):
        Certificate.objects.create(
            charger=charger,
            kind="ChargePointCertificate",
            state="installed",
            expires_at=utcnow() + timedelta(days=days),
        )
    assert certificates.renew_expiring() == 0


# --- roots ---


ROOT = "CentralSystemRootCertificate"


def install(charger: Charger, pem: str, answer: str = "Accepted") -> Certificate:
    command = ask(charger, commands.INSTALL_CERTIFICATE, certificate_type=ROOT, certificate=pem)
    answered(command, "accepted" if answer == "Accepted" else "rejected", {"status": answer})
    return charger.certificates.get(fingerprint=authority.fingerprint_of(authority.certificates_in(pem)[0]))


def named(certificate: x509.Certificate, algorithm: str = "SHA256") -> dict[str, str]:
    """As a charger writes it: in capitals, and with zeros in front."""
    data = authority.hash_data_of(certificate, algorithm)
    return {
        "hashAlgorithm": algorithm,
        "issuerNameHash": data.issuer_name_hash.upper(),
        "issuerKeyHash": data.issuer_key_hash.upper(),
        "serialNumber": data.serial_number.upper().zfill(40),
    }


@pytest.mark.parametrize(("answer", "state"), [("Accepted", "installed"), ("Failed", "rejected")])
def test_a_root_that_is_sent_is_installed_or_not(answer: str, state: str) -> None:
    """M05"""
    charger = make_online_charger()
    row = install(charger, Authority().pem, answer)
    assert (row.state, row.kind) == (state, ROOT)


@pytest.mark.parametrize("pem", ["", "nonsense"])
def test_what_is_no_certificate_is_not_sent(pem: str) -> None:
    charger = make_online_charger()
    with pytest.raises(UnfitCertificate):
        ask(charger, commands.INSTALL_CERTIFICATE, certificate_type=ROOT, certificate=pem)
    assert not charger.commands.exists()


@pytest.mark.parametrize(
    ("answer", "state"), [("Accepted", "deleted"), ("NotFound", "deleted"), ("Failed", "installed")]
)
def test_a_root_that_is_deleted_is_gone(answer: str, state: str) -> None:
    """M04"""
    charger = make_online_charger()
    row = install(charger, Authority().pem)
    other = install(charger, Authority("Other").pem)
    command = ask(charger, commands.DELETE_CERTIFICATE, **deletion(row))
    answered(command, "accepted" if answer == "Accepted" else "rejected", {"status": answer})
    row.refresh_from_db()
    other.refresh_from_db()
    assert (row.state, other.state) == (state, "installed")


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA384", "SHA512"])
def test_the_list_of_a_charger_is_what_it_has(algorithm: str) -> None:
    """M03: with whichever algorithm it names them."""
    charger, kept, lost = make_online_charger(), Authority("Kept"), Authority("Lost")
    rows = [install(charger, each.pem) for each in (kept, lost)]
    unknown = named(Authority("Unknown").certificate, algorithm)
    command = ask(charger, commands.GET_INSTALLED_CERTIFICATE_IDS, certificate_type=ROOT)
    data = [named(kept.certificate, algorithm), unknown]
    answered(command, "accepted", {"status": "Accepted", "certificateHashData": data})
    for row in rows:
        row.refresh_from_db()
    assert [row.state for row in rows] == ["installed", "deleted"]
    found = charger.certificates.exclude(pk__in=[row.pk for row in rows]).get()
    assert (found.state, found.serial_number) == ("installed", unknown["serialNumber"])
    command = ask(charger, commands.GET_INSTALLED_CERTIFICATE_IDS, certificate_type=ROOT)
    answered(command, "rejected", {"status": "NotFound"})
    assert set(charger.certificates.values_list("state", flat=True)) == {"deleted"}
    sign = charger.certificates.filter(kind="ChargePointCertificate")
    assert not sign.exists()


def test_hashes_are_those_that_openssl_takes() -> None:
    """RFC 6960: of the issuer's name in DER, and of its key's bits."""
    import hashlib

    root = Authority().certificate
    key = root.public_key()
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    data = authority.hash_data_of(root)
    assert data.issuer_name_hash == hashlib.sha256(root.issuer.public_bytes()).hexdigest()
    assert data.issuer_key_hash == hashlib.sha256(point).hexdigest()
