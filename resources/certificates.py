"""Certificates of servers: what they say, files that hold one, and TLS that looks at the one that is shown.

A certificate that was pinned on first use (as SSH does it: RFC 4251, 4.1) is compared as a whole. That the server has
its key is proved by the handshake; who signed it, for which name and until when does not matter then.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pipelines.ports import Stop

_PEM = b"-----BEGIN"


class OtherCertificate(ssl.SSLError):
    """The server shows another certificate (DER) than the pinned one."""

    def __init__(self, shown: bytes) -> None:
        super().__init__(f"another certificate, SHA-256 {fingerprint(shown)}")
        self.shown = shown


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says of itself. Times are UTC; `names` are its DNS names and addresses."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    begin: dt.datetime
    end: dt.datetime

    @property
    def expired(self) -> bool:
        return self.end < dt.datetime.now(dt.UTC)


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of a certificate (DER), as other programs show it."""
    return hashlib.sha256(certificate).digest().hex(":").upper()


def thumbprint(certificate: bytes) -> str:
    """SHA-1 of a certificate (DER): what Windows shows of it. To compare by eye, and decides nothing here."""
    return hashlib.sha1(certificate, usedforsecurity=False).hexdigest().upper()


def described(certificate: bytes) -> Certificate:
    """What a certificate (DER) says. Raises ValueError."""
    read = x509.load_der_x509_certificate(certificate)
    try:
        found = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = tuple(str(each.value) for each in found)
    except x509.ExtensionNotFound:
        names = ()
    return Certificate(
        read.subject.rfc4514_string(), read.issuer.rfc4514_string(), names,
        read.not_valid_before_utc, read.not_valid_after_utc,
    )  # fmt: skip


def load(path: Path) -> bytes:
    """The certificate in a file, PEM or DER, as DER. Raises Stop."""
    try:
        found = path.read_bytes()
        read = x509.load_pem_x509_certificate if found.startswith(_PEM) else x509.load_der_x509_certificate
        return read(found).public_bytes(Encoding.DER)
    except (OSError, ValueError) as error:
        raise Stop(f"{path} cannot be read as a certificate in PEM or DER: {error}") from None


def another(where: str, shown: bytes, path: Path, pinned: bytes, source: str = "SOURCE") -> str:
    """The words for a server that shows another certificate than the pinned one."""
    return (
        f"{where} shows another certificate (SHA-256 {fingerprint(shown)}) than the one in {path} "
        f"({fingerprint(pinned)}); if that is right, `ferry trust {source}` saves the new one"
    )


def pinned_context(pinned: bytes) -> ssl.SSLContext:
    """TLS with no server but the one that has this certificate (DER). Handshakes raise OtherCertificate."""

    def compare(shown: bytes) -> None:
        if shown != pinned:
            raise OtherCertificate(shown)

    return looking(unverified_context(), compare)


def unverified_context() -> ssl.SSLContext:
    """TLS that believes any certificate: for `looking` only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def looking(context: ssl.SSLContext, look: Callable[[bytes], None]) -> ssl.SSLContext:
    """Calls `look` with the server's certificate (DER) at the end of every handshake, before anything else is sent.

    The connection ends when it raises. Clients that block have an SSLSocket, others an SSLObject.
    """

    class LookingObject(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            look(self.getpeercert(binary_form=True) or b"")

    class LookingSocket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            look(self.getpeercert(binary_form=True) or b"")

    context.sslobject_class, context.sslsocket_class = LookingObject, LookingSocket
    return context
