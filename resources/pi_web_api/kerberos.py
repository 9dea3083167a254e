"""Login with a Kerberos ticket (SPNEGO, RFC 4559): the ticket cache's, or one that a keytab fetches and renews.

Only where the extra `kerberos` is installed. A password never comes near it: KRB5CCNAME or KRB5_CLIENT_KTNAME of the
environment say where the ticket comes from.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from types import ModuleType

import httpx

from pipelines.ports import FerryError, Stop, Unreachable

_AWAY = frozenset({-1765328228, -1765328164, -1765328355})
"""KRB5_KDC_UNREACH, KRB5_REALM_CANT_RESOLVE, KRB5KDC_ERR_SVC_UNAVAILABLE (krb5.h)."""
_UNKNOWN_SERVER = -1765328377
"""KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN."""


class Kerberos(httpx.Auth):
    """A fresh authenticator with each request. Requests raise Stop without a ticket, Unreachable without a KDC.

    `library` is httpx_gssapi. What a server answers as its own proof must be right; over plain HTTP, where nothing else
    proves who it is, it must be there.
    """

    cure = (
        "; the ticket was fetched: does the service principal HTTP/host belong to this server's account (setspn -L), "
        "and is its owner known to PI?"
    )

    def __init__(self, source: str, library: ModuleType) -> None:
        logging.getLogger(library.__name__).setLevel(logging.CRITICAL)  # what it would say there is raised, too
        self._source, self._library = source, library
        self._flows = {
            scheme: library.HTTPSPNEGOAuth(
                # At once, without a question first: a ticket that is not to be had is then an error with its reason.
                proof, opportunistic_auth=True, sanitize_mutual_error_response=False,
            )
            for scheme, proof in (("http", library.REQUIRED), ("https", library.OPTIONAL))
        }  # fmt: skip

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Adds the header, and checks the server's proof."""
        try:
            yield from self._flows[request.url.scheme].auth_flow(request)
        except self._library.exceptions.MutualAuthenticationError:
            raise Stop(
                f"source {self._source}: {request.url.host} did not prove that it is HTTP/{request.url.host}: another "
                "server, or a proxy, answers in its place"
            ) from None
        except self._library.exceptions.SPNEGOExchangeError as error:
            raise self._meant(error, request.url.host) from None

    def _code(self, host: str) -> int:
        """Kerberos' own number for what is wrong, 0 for none. Asked for again, as SPNEGO's are of each process."""
        gssapi = self._library.gssapi_.gssapi
        name = gssapi.Name(f"HTTP@{host}", gssapi.NameType.hostbased_service)
        try:
            gssapi.SecurityContext(usage="initiate", name=name, mech=gssapi.MechType.kerberos).step()
        except gssapi.exceptions.GSSError as error:
            return int(error.min_code)
        return 0

    def _meant(self, error: Exception, host: str) -> FerryError:
        code = self._code(host)
        code -= (code >> 31) << 32  # as krb5.h has it: with a sign
        if code in _AWAY:
            return Unreachable(f"no KDC: {error}")
        if code == _UNKNOWN_SERVER:
            todo = f"register the service principal HTTP/{host} for the server's account (setspn -S), or use its name"
        else:
            todo = "get a ticket with kinit, or name a keytab in KRB5_CLIENT_KTNAME, which fetches and renews tickets"
        return Stop(f"source {self._source}: no Kerberos login at {host} ({error}); {todo}")
