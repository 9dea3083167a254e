"""How to log in to PI Web API: nothing, basic, bearer, Kerberos, NTLM (facts/historians.md 1.11).

Kerberos and NTLM come with the extras `kerberos` and `ntlm`, loaded only when a plant file asks for them. NTLM was
tried against an acceptor in memory (pyspnego's), never against a Windows server. Kerberos is unverified: no KDC was
there to try it against.
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


class Basic(httpx.BasicAuth):
    """User and password; neither shows in its repr."""

    def __repr__(self) -> str:
        return "Basic(…)"


class Bearer(httpx.Auth):
    """A token as it stands in the environment; its renewal is the environment's business."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Adds the header."""
        request.headers["Authorization"] = self._header
        yield request

    def __repr__(self) -> str:
        return "Bearer(…)"


def login(auth: Auth) -> httpx.Auth | None:
    """What httpx needs to log in. Raises Stop when a secret or an extra is missing."""
    if auth.kind == "basic":
        password = secret(auth.password_env)
        guard(b64encode(f"{auth.username}:{password}".encode()).decode())  # as the header has it
        return Basic(auth.username, password)
    if auth.kind == "bearer":
        return Bearer(secret(auth.token_env))
    if auth.kind == "kerberos":
        return cast(httpx.Auth, _extra("httpx_gssapi", "kerberos").HTTPSPNEGOAuth())
    if auth.kind == "ntlm":
        ntlm = _extra("httpx_ntlm", "ntlm")
        return cast(httpx.Auth, ntlm.HttpNtlmAuth(auth.username, secret(auth.password_env)))
    return None


def _extra(module: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Stop(
            f"auth of kind {extra!r} needs an optional package ({error}): install historian-ferry[{extra}]"
        ) from None
