"""Certificates of a simulated charger: the roots it trusts, its own key, and the answers about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

from gateway.ocpp.simulated_line import Answer, Payload
from gateway.ocpp.simulated_operations import Operation, choice, status

if TYPE_CHECKING:
    from gateway.ocpp.simulator import SimulatedCharger

TYPES = ("CentralSystemRootCertificate", "ManufacturerRootCertificate")
ALGORITHMS: dict[str, hashes.HashAlgorithm] = {
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
}
MOST_CERTIFICATES = 10


class Certificates:
    """Roots by type; the key of the request that waits; the chain that was signed for it."""

    def __init__(self) -> None:
        self.roots: list[tuple[str, x509.Certificate]] = []
        self.chain: list[x509.Certificate] = []
        self._key: ec.EllipticCurvePrivateKey | None = None

    def request(self, identity: str, organization: str) -> str:
        """A new key, and the request to have it signed, as PEM."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, identity[:64]),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization[:64] or "evcharge"),
            ]
        )
        signed = x509.CertificateSigningRequestBuilder().subject_name(name).sign(self._key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode()

    def take_chain(self, pem: str) -> bool:
        """Keep a chain if it begins with a certificate of our key."""
        try:
            chain = x509.load_pem_x509_certificates(pem.encode())
        except ValueError:
            return False
        if self._key is None or not chain or chain[0].public_key() != self._key.public_key():
            return False
        self.chain = chain
        return True

    def install(self, kind: str, pem: str) -> str:
        try:
            certificate = x509.load_pem_x509_certificate(pem.encode())
        except ValueError:
            return "Failed"
        if (kind, certificate) in self.roots:
            return "Accepted"
        if len(self.roots) >= MOST_CERTIFICATES:
            return "Rejected"
        self.roots.append((kind, certificate))
        return "Accepted"

    def delete(self, hash_data: Payload) -> str:
        algorithm = choice(hash_data.get("hashAlgorithm", ""), ALGORITHMS)
        wanted = {name: str(value).casefold() for name, value in hash_data.items()}
        for root in self.roots:
            if {name: value.casefold() for name, value in hashed(root[1], algorithm).items()} == wanted:
                self.roots.remove(root)
                return "Accepted"
        return "NotFound"

    def hash_data(self, kind: str) -> list[dict[str, str]]:
        return [hashed(certificate) for each, certificate in self.roots if each == kind]


def hashed(certificate: x509.Certificate, algorithm: str = "SHA256") -> dict[str, str]:
    """CertificateHashDataType, as an OCSP request has it; a root is its own issuer."""
    builder = ocsp.OCSPRequestBuilder()
    asked = builder.add_certificate(certificate, certificate, ALGORITHMS[algorithm]).build()
    return {
        "hashAlgorithm": algorithm,
        "issuerNameHash": asked.issuer_name_hash.hex(),
        "issuerKeyHash": asked.issuer_key_hash.hex(),
        "serialNumber": f"{asked.serial_number:x}",
    }


def certificate_signed(charger: SimulatedCharger, payload: Payload) -> Answer:
    return status("Accepted" if charger.certificates.take_chain(payload["certificateChain"]) else "Rejected")


def install_certificate(charger: SimulatedCharger, payload: Payload) -> Answer:
    kind = choice(payload["certificateType"], TYPES)
    return status(charger.certificates.install(kind, payload["certificate"]))


def delete_certificate(charger: SimulatedCharger, payload: Payload) -> Answer:
    return status(charger.certificates.delete(payload["certificateHashData"]))


def get_installed_certificate_ids(charger: SimulatedCharger, payload: Payload) -> Answer:
    found = charger.certificates.hash_data(choice(payload["certificateType"], TYPES))
    return Answer({"status": "Accepted", "certificateHashData": found} if found else {"status": "NotFound"})


OPERATIONS = {
    "CertificateSigned": Operation(certificate_signed, {"certificateChain": str}),
    "DeleteCertificate": Operation(delete_certificate, {"certificateHashData": dict}),
    "GetInstalledCertificateIds": Operation(get_installed_certificate_ids, {"certificateType": str}),
    "InstallCertificate": Operation(install_certificate, {"certificateType": str, "certificate": str}),
}
