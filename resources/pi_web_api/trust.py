"""Which certificates the servers of a source may show: those of the system's authorities, or of a file's."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from pipelines.ports import Stop


@dataclass(frozen=True, slots=True)
class Trust:
    """Of one source. `ca_file` is PEM; '' for the system's authorities."""

    source: str = ""
    ca_file: str = ""

    def context(self, url: str) -> ssl.SSLContext:
        """For connections to a url. Raises Stop when `ca_file` is not there or holds no authority."""
        if not url.startswith("https:"):
            # An empty one: a client without any reads every authority of the system, at each pass.
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            return ssl.create_default_context(cafile=self.ca_file or None)
        except (OSError, ssl.SSLError) as error:
            raise Stop(f"ca_file {self.ca_file}: {error}") from None

    def told(self, who: str, url: str, error: ssl.SSLError) -> str:
        """What a TLS failure means, and what to do."""
        return f"{who}: TLS failed ({error}); name the plant's CA with ca_file, or mend the certificate"


def tls_error(error: BaseException) -> ssl.SSLError | None:
    """The TLS failure behind a failed connection, if that is what it was."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None
