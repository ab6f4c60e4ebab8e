"""Certificates as such: a small authority of our own, an outside one, and whether a certificate is to be believed.

No rows in here. The rules are those of the security whitepaper, §2.6.1 and A02.
"""

import errno
import functools
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)
from django.conf import settings
from django.utils import timezone

MIN_RSA_BITS, MIN_CURVE_BITS = 2048, 224  # A00.FR.502, A00.FR.503
MAX_CHAIN = 10_000  # characters of CertificateSigned's chain
AUTHORITY_YEARS = 20
TIMEOUT_S = 20  # an outside authority has so long

_PEM = serialization.Encoding.PEM
_ALGORITHMS = {"SHA256": hashes.SHA256(), "SHA384": hashes.SHA384(), "SHA512": hashes.SHA512()}


class Unfit(Exception):
    """A request, a certificate or an authority's answer that cannot be used; the text is for an operator."""


class Unreachable(Exception):
    """The outside authority does not answer. It may later."""


class HashData(NamedTuple):
    """A certificate as the whitepaper names it (CertificateHashDataType), in lower case, serial without zeros."""

    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str

    @classmethod
    def of(cls, issuer_name_hash: str, issuer_key_hash: str, serial_number: str) -> "HashData":
        return cls(
            issuer_name_hash.strip().lower(),
            issuer_key_hash.strip().lower(),
            serial_number.strip().lower().lstrip("0") or "0",
        )


# --- reading ---


def certificates_in(pem: str | bytes) -> list[x509.Certificate]:
    """All certificates of a text, the first first. Raises Unfit where there is none."""
    data = pem.encode() if isinstance(pem, str) else pem
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise Unfit("This is not a certificate in PEM format.") from error


def fingerprint_of(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


def subject_of(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()[:255]


def pem_of(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(_PEM).decode()


def names_in(certificate: x509.Certificate) -> set[str]:
    """Whom it names: the subject's common names, and the alternative names."""
    names = set(_texts(certificate.subject, NameOID.COMMON_NAME))
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return names
    names |= set(alternative.get_values_for_type(x509.DNSName))
    names |= set(alternative.get_values_for_type(x509.UniformResourceIdentifier))
    return names


def is_of_operator(certificate: x509.Certificate) -> bool:
    """Whether its organisation is the operator of the chargers (A00.FR.404), where a setting names one."""
    return not settings.CPO_NAME or settings.CPO_NAME in _texts(
        certificate.subject, NameOID.ORGANIZATION_NAME
    )


def hash_data_of(certificate: x509.Certificate, algorithm: str = "SHA256") -> HashData:
    """As a charger would name it. The issuer's key is known where the certificate is its own issuer, as roots are."""
    kind = _ALGORITHMS.get(algorithm)
    if kind is None:
        return HashData("", "", "")
    is_own_issuer = certificate.issuer == certificate.subject
    return HashData.of(
        _digest(kind, certificate.issuer.public_bytes()),
        _digest(kind, _key_bits(certificate)) if is_own_issuer else "",
        f"{certificate.serial_number:x}",
    )


def _key_bits(certificate: x509.Certificate) -> bytes:
    """The bits of its public key without what says which kind of key it is (RFC 6960, issuerKeyHash)."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    return b""


def _digest(algorithm: hashes.HashAlgorithm, data: bytes) -> str:
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return digest.finalize().hex()


def _texts(name: x509.Name, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(each.value) for each in name.get_attributes_for_oid(oid)]


# --- believing ---


def trust_files() -> list[str]:
    """Files with the authorities whose chargers' certificates count: those of TLS_CLIENT_CA, and our own."""
    files = [*settings.TLS_CLIENT_CA]
    if settings.CA_CERTIFICATE and Path(settings.CA_CERTIFICATE).exists():
        files.append(settings.CA_CERTIFICATE)
    return files


def is_trusted(certificate: x509.Certificate, *, at: datetime) -> bool:
    """Whether one of our authorities issued it, as a client's certificate, and it is in its time (A00.FR.403).

    Every certificate in the files of authorities ends a path, so that an intermediate one may stand there alone.
    """
    anchors = [each for file in trust_files() for each in _read(file, os.stat(file).st_mtime_ns)]
    if not anchors:
        return False
    builder = PolicyBuilder().store(Store(anchors)).time(at)
    verifier = builder.extension_policies(
        ca_policy=_OF_ISSUERS, ee_policy=_OF_CLIENTS
    ).build_client_verifier()
    try:
        verifier.verify(certificate, [])
    except (VerificationError, ValueError):
        return False
    return True


@functools.lru_cache(maxsize=16)
def _read(file: str, changed_at: int) -> tuple[x509.Certificate, ...]:
    return tuple(certificates_in(Path(file).read_bytes()))


def _may_issue(policy: Policy, certificate: x509.Certificate, constraints: x509.BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError("not an authority's certificate")


def _may_sign(policy: Policy, certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("its key may not sign certificates")


def _is_for_clients(
    policy: Policy, certificate: x509.Certificate, usage: x509.ExtendedKeyUsage | None
) -> None:
    if usage is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        raise ValueError("not for clients")


# Webpki's rules would demand an alternative name, which these certificates should not have (A00.FR.511).
_OF_ISSUERS = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _may_issue)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _may_sign)
)
_OF_CLIENTS = ExtensionPolicy.permit_all().may_be_present(
    x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _is_for_clients
)


# --- signing requests ---


def request_in(pem: str) -> x509.CertificateSigningRequest:
    """A charger's request, if its form is right: signed with its own key, and that strong enough. Raises Unfit."""
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        signed = request.is_signature_valid
        key = request.public_key()
    except Exception as error:  # the library has many ways to say that it cannot read this
        raise Unfit("The request cannot be read as PKCS #10 in PEM format (RFC 2986).") from error
    if not signed:
        raise Unfit("The request is not signed with the key that it is for.")
    if isinstance(key, rsa.RSAPublicKey):
        strong = key.key_size >= MIN_RSA_BITS
    elif isinstance(key, ec.EllipticCurvePublicKey):
        strong = key.curve.key_size >= MIN_CURVE_BITS
    else:
        raise Unfit("The request's key is neither RSA nor of an elliptic curve.")
    if not strong:
        raise Unfit("The request's key is too weak: RSA needs 2048 bits, an elliptic curve 224.")
    return request


def requested_name(request: x509.CertificateSigningRequest) -> str:
    """The one common name that is asked for. Raises Unfit."""
    names = _texts(request.subject, NameOID.COMMON_NAME)
    if len(names) != 1 or not names[0].strip():
        raise Unfit("The request names no charger: its subject has no common name (CN), or several.")
    organisations = _texts(request.subject, NameOID.ORGANIZATION_NAME)
    if settings.CPO_NAME and organisations != [settings.CPO_NAME]:
        raise Unfit(
            f"The request's organisation (O) is {', '.join(organisations) or 'missing'}, not {settings.CPO_NAME}:"
            " set the charger's configuration key CpoName."
        )
    return names[0]


def can_sign() -> bool:
    """Whether there is an authority: an outside one, or our own."""
    return bool(settings.CA_URL) or bool(
        settings.CA_CERTIFICATE and settings.CA_KEY and Path(settings.CA_KEY).exists()
    )


def sign(request_pem: str) -> str:
    """The chain for a request that was found right, the charger's certificate first, PEM.

    Raises Unfit, or Unreachable. An outside authority may take TIMEOUT_S: not to be called in a transaction.
    """
    request = request_in(request_pem)
    chain = _ask_outside(request_pem) if settings.CA_URL else _sign_here(request)
    first, *_ = certificates_in(chain)
    if first.public_key() != request.public_key():
        raise Unfit("The authority's certificate is for another key than the charger's.")
    if len(chain) > MAX_CHAIN:
        raise Unfit(f"The authority's chain has more than the {MAX_CHAIN} characters a charger takes.")
    return chain


class _Straight(urllib.request.HTTPRedirectHandler):
    """An authority that sends us elsewhere is not followed: the request is for it alone."""

    def redirect_request(self, *args: object, **kwargs: object) -> None:
        return None


def _ask_outside(request_pem: str) -> str:
    """POST of the request to CA_URL (application/pkcs10 as PEM text); the body of the answer is the chain, PEM."""
    call = urllib.request.Request(  # noqa: S310  (an operator's setting; checked to be http or https)
        settings.CA_URL,
        data=request_pem.encode(),
        headers={"Content-Type": "application/x-pem-file", "Accept": "application/x-pem-file"},
    )
    try:
        with urllib.request.build_opener(_Straight).open(call, timeout=TIMEOUT_S) as answer:
            return answer.read(4 * MAX_CHAIN).decode("ascii", errors="replace")
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            raise Unreachable(f"The authority answers {error.code}.") from error
        said = error.read(200).decode("utf-8", errors="replace").replace("\0", "").strip()
        raise Unfit(f"The authority refused the request ({error.code}): {said}") from error
    except OSError as error:  # no connection, no answer in time, no TLS
        raise Unreachable(f"The authority cannot be reached: {error}") from error


# --- our own authority ---


@dataclass(frozen=True)
class _Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def create(*, certificate_file: str, key_file: str, name: str) -> x509.Certificate:
    """Make an authority: a key that only this user can read, and its certificate. Neither file may exist."""
    for file in (certificate_file, key_file):
        if Path(file).exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), file)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, name),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{name} CA"),
        ]
    )
    now = timezone.now()
    certificate = (
        _builder(subject, subject, key.public_key(), now, now + timedelta(days=365 * AUTHORITY_YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write_new(key_file, private, 0o600)
    _write_new(certificate_file, certificate.public_bytes(_PEM), 0o644)
    return certificate


def _write_new(file: str, content: bytes, mode: int) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as out:
        out.write(content)


def _authority() -> _Authority:
    try:
        certificate = certificates_in(Path(settings.CA_CERTIFICATE).read_bytes())[0]
        key = serialization.load_pem_private_key(Path(settings.CA_KEY).read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise Unreachable(f"Our authority cannot be read: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise Unreachable("Our authority's key is neither RSA nor of an elliptic curve.")
    return _Authority(certificate, key)


def _sign_here(request: x509.CertificateSigningRequest) -> str:
    """Of the request only the name, the organisation and the key are taken: the rest is ours to say."""
    authority = _authority()
    kept = (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME)
    subject = x509.Name([each for oid in kept for each in request.subject.get_attributes_for_oid(oid)])
    now = timezone.now()
    ends = min(now + timedelta(days=settings.CERTIFICATE_DAYS), authority.certificate.not_valid_after_utc)
    if ends <= now:
        raise Unreachable("Our authority's certificate has expired.")
    key = request.public_key()
    usages = ["digital_signature"] + (["key_encipherment"] if isinstance(key, rsa.RSAPublicKey) else [])
    certificate = (
        _builder(subject, authority.certificate.subject, key, now - timedelta(minutes=5), ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(*usages), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
        )
        .sign(authority.key, hashes.SHA256(), rsa_padding=_padding(authority.key))
    )
    return pem_of(certificate) + pem_of(authority.certificate)


def _padding(key: object) -> padding.PSS | None:
    """A00.FR.505: an RSA key signs with PSS."""
    if not isinstance(key, rsa.RSAPrivateKey):
        return None
    return padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: object, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)  # type: ignore[arg-type]  # an RSA or an elliptic curve key
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)  # type: ignore[arg-type]
    )


_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def _usage(*names: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name in names for name in _USAGES})
