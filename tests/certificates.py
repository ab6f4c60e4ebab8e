"""Authorities, certificates and signing requests made for a test."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def curve_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def rsa_key(bits: int = 2048) -> Key:
    return rsa.generate_private_key(65537, bits)


def name(common: str, organisation: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation)] if organisation else []
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common)])


@dataclass
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def save(self, folder: Path, stem: str) -> tuple[str, str]:
        """Its files: certificate, key."""
        files = folder / f"{stem}.pem", folder / f"{stem}.key"
        files[0].write_text(self.pem)
        files[1].write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return str(files[0]), str(files[1])


class Authority(Pair):
    """Signs what a test wants, right or wrong."""

    def __init__(self, common: str = "Test CA") -> None:
        self.key = curve_key()
        self.certificate = _made(name(common), name(common), self.key.public_key(), self.key, ca=True)

    def issue(
        self,
        common: str,
        *,
        organisation: str = "",
        hosts: tuple[str, ...] = (),
        key: Key | None = None,
        days: float = 30,
        is_authority: bool = False,
        for_servers: bool = False,
    ) -> Pair:
        key = key or curve_key()
        certificate = _made(
            name(common, organisation),
            self.certificate.subject,
            key.public_key(),
            self.key,
            ca=is_authority,
            hosts=hosts,
            days=days,
            usage=ExtendedKeyUsageOID.SERVER_AUTH
            if for_servers or hosts
            else ExtendedKeyUsageOID.CLIENT_AUTH,
        )
        return Pair(certificate, key)


def _made(
    subject: x509.Name,
    issuer: x509.Name,
    key: Any,
    signer: Any,
    *,
    ca: bool = False,
    hosts: tuple[str, ...] = (),
    days: float = 3650,
    usage: x509.ObjectIdentifier | None = None,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, now + timedelta(days=days)) - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if usage and not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if hosts:
        names = [x509.DNSName(host) for host in hosts]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer, hashes.SHA256())


def signing_request(common: str, *, key: Any = None, organisation: str = "") -> str:
    """A charger's request, PEM."""
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(name(common, organisation))
        .sign(key or curve_key(), hashes.SHA256())
    )
    return request.public_bytes(serialization.Encoding.PEM).decode()


def client_context(authority: Authority, files: tuple[str, str] | None = None) -> ssl.SSLContext:
    """How a charger dials in over TLS: believing this authority, with a certificate of its own if it has one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority.pem)
    if files:
        context.load_cert_chain(*files)
    return context
