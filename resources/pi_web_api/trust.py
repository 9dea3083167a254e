"""Which certificates the servers of a source may show: a pinned one, or what an authority has signed.

`ferry trust` pins: the certificate is then compared as a whole at each connection, before anything is sent.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from pipelines.plant import Plant, SourceSettings
from pipelines.ports import Stop, Unreachable
from resources.certificates import OtherCertificate, another, load, looking, pinned_context, unverified_context

_WAIT_S = 15.0


class _Seen(ssl.SSLError):
    """Ends a connection whose certificate was all that was wanted."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Of one source. `ca_file` is PEM; '' for the system's authorities."""

    source: str = ""
    ca_file: str = ""
    pins: Mapping[str, Path] = field(default_factory=dict)
    """By host:port the file that holds its certificate, if that is pinned."""
    needed: Path | None = None
    """The one that the plant file names, which must be there."""

    @classmethod
    def of(cls, plant: Plant, settings: SourceSettings, url: str = "") -> Trust:
        """As the plant file says; `url` takes the place of its url (for a stand-in)."""
        folder = plant.state_dir / "pki" / "trusted"
        needed = plant.folder / settings.server_certificate if settings.server_certificate else None
        pins = {}
        if settings.auth.token_url.startswith("https:"):
            pins[_server(settings.auth.token_url)] = folder / f"{settings.name}.token.der"
        pins[_server(url or settings.url)] = needed or folder / f"{settings.name}.der"
        return cls(settings.name, settings.ca_file, pins, needed)

    def context(self, url: str) -> ssl.SSLContext:
        """For connections to a url. Raises Stop when a file is not there or holds no certificate."""
        if not url.startswith("https:"):
            # An empty one: a client without any reads every authority of the system, at each pass.
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        path = self.pinned(url)
        return self._verifying() if path is None else pinned_context(load(path))

    def pinned(self, url: str) -> Path | None:
        """The file with the certificate that a url's server must show; None where authorities vouch for it.

        Raises Stop when the plant file names it and it is not there.
        """
        path = self.pins.get(_server(url))
        if path is None or path.is_file():
            return path
        if path == self.needed:
            raise Stop(
                f"{path}: no such file, and it must hold the certificate of {url}; `ferry trust {self.source}` shows "
                "and saves the one that the server has now"
            )
        return None

    def servers(self, *urls: str) -> dict[Path, str]:
        """The urls whose servers have certificates, by the file that is to hold it: of each server the first."""
        found: dict[Path, str] = {}
        for url in urls:
            if url.startswith("https:"):
                found.setdefault(self.pins[_server(url)], url)
        return found

    def told(self, who: str, url: str, error: ssl.SSLError) -> str:
        """What a TLS failure means, and what to do."""
        path = self.pinned(url)
        if isinstance(error, OtherCertificate) and path is not None:
            return another(who, error.shown, path, load(path), self.source)
        pin = ""
        if isinstance(error, ssl.SSLCertVerificationError):
            pin = f"; of a certificate that no authority signed, `ferry trust {self.source}` shows and pins it"
        return f"{who}: TLS failed ({error}); name the plant's CA with ca_file, or mend the certificate{pin}"

    async def shown(self, url: str) -> bytes:
        """The certificate (DER) that a url's server shows now; nothing is sent to it. Raises Unreachable, Stop."""
        return await self._shown(url, unverified_context())

    async def vouched(self, url: str) -> bool:
        """Whether the authorities vouch for a url's server, so that it needs no pin. Raises Unreachable, Stop."""
        try:
            await self._shown(url, self._verifying())
        except _Doubted:
            return False
        return True

    def _verifying(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self.ca_file or None)
        except (OSError, ssl.SSLError) as error:
            raise Stop(f"ca_file {self.ca_file}: {error}") from None

    async def _shown(self, url: str, context: ssl.SSLContext) -> bytes:
        found: list[bytes] = []

        def look(certificate: bytes) -> None:
            found.append(certificate)
            raise _Seen

        who = f"source {self.source} at {url}"
        try:
            async with httpx.AsyncClient(verify=looking(context, look), timeout=_WAIT_S) as client:
                await client.get(url)
        except httpx.TransportError as error:
            if found:
                return found[0]
            if isinstance(tls := tls_error(error), ssl.SSLCertVerificationError):
                raise _Doubted(str(tls)) from None
            if tls is not None:
                raise Stop(f"{who}: TLS failed ({tls}): there is no certificate to be seen") from None
            raise Unreachable(f"{who}: nobody answers: {str(error) or type(error).__name__}") from None
        raise Stop(f"{who} has no certificate: its url does not begin with https")


class _Doubted(Stop):
    """No authority vouches for it."""


def tls_error(error: BaseException) -> ssl.SSLError | None:
    """The TLS failure behind a failed connection, if that is what it was."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None


def _server(url: str) -> str:
    """host:port; what is no url names itself, and is complained of where it is used."""
    try:
        found = httpx.URL(url)
    except httpx.InvalidURL:
        return url
    return f"{found.host}:{found.port or 443}"
