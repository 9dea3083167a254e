"""How to log in to PI Web API: nothing, basic, bearer, Kerberos, NTLM (facts/historians.md 1.11).

Kerberos and NTLM come with the extras `kerberos` and `ntlm`, loaded only when a plant file asks for them. NTLM was
tried against an acceptor in memory (pyspnego's), Kerberos against MIT's KDC and acceptor (tests/integration); neither
against a Windows server.
"""

from __future__ import annotations

import importlib
from base64 import b64encode
from collections.abc import Generator
from types import ModuleType
from typing import cast

import httpx

from pipelines.plant import Auth, secret
from pipelines.ports import Stop
from pipelines.ports.secrecy import guard
from resources.pi_web_api.kerberos import Kerberos
from resources.pi_web_api.oauth import ClientCredentials
from resources.pi_web_api.trust import Trust


class Basic(httpx.BasicAuth):
    """User and password; neither shows in its repr."""

    def __repr__(self) -> str:
        return "Basic(…)"


class Bearer(httpx.Auth):
    """A token as it stands in an environment variable; its renewal is the environment's business."""

    def __init__(self, variable: str) -> None:
        self._header = f"Bearer {secret(variable)}"
        self.cure = (
            f"; the token in {variable} may have expired: put a new one there, or name token_url, client_id and "
            "client_secret_env under auth, with which tokens are fetched and renewed"
        )

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Adds the header."""
        request.headers["Authorization"] = self._header
        yield request

    def __repr__(self) -> str:
        return "Bearer(…)"


def login(auth: Auth, trust: Trust | None = None) -> httpx.Auth | None:
    """What httpx needs to log in; `trust` is for the token endpoint. Raises Stop when a secret or extra is missing."""
    if auth.kind == "basic":
        password = secret(auth.password_env)
        guard(b64encode(f"{auth.username}:{password}".encode()).decode())  # as the header has it
        return Basic(auth.username, password)
    if auth.kind == "bearer":
        return ClientCredentials(auth, trust or Trust()) if auth.token_url else Bearer(auth.token_env)
    if auth.kind == "kerberos":
        return Kerberos(trust.source if trust else "", _extra("httpx_gssapi", "kerberos"))
    if auth.kind == "ntlm":
        ntlm = _extra("httpx_ntlm", "ntlm")
        return cast(httpx.Auth, ntlm.HttpNtlmAuth(auth.username, secret(auth.password_env)))
    return None


def cure(entrance: httpx.Auth | None) -> str:
    """What to do about a login that the server refuses with 401."""
    return entrance.cure if isinstance(entrance, Bearer | ClientCredentials | Kerberos) else ""


def _extra(module: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Stop(
            f"auth of kind {extra!r} needs an optional package ({error}): install historian-ferry[{extra}]"
        ) from None
