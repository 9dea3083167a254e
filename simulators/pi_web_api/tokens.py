"""The token endpoint beside the server: OAuth2 client credentials (RFC 6749, 4.4), as AVEVA Identity Manager has it.

Faults strike it too, by its path (`"path": "connect/token"`).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote_plus

from simulators.pi_web_api.exchange import Answer, encoded
from simulators.pi_web_api.settings import Settings

TOKEN_PATH = "/identitymanager/connect/token"  # noqa: S105 - where it is


@dataclass(slots=True)
class _Good:
    """Until when, in monotonic seconds, and for how many requests yet."""

    end_s: float
    requests: float


class Tokens:
    """Those that were given out, and the only client that gets some."""

    def __init__(self, settings: Settings, ticks: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._ticks = settings, ticks
        self._good: dict[str, _Good] = {}
        self.issued = 0

    def answered(self, headers: dict[str, str], body: bytes) -> Answer:
        """A token, or the refusal."""
        form = {name: values[-1] for name, values in parse_qs(body.decode("latin-1")).items()}
        if not self._is_client(headers.get("authorization", ""), form):
            return _refused(401, "invalid_client", "Unknown client, or a wrong secret.")
        if form.get("grant_type") != "client_credentials":
            return _refused(400, "unsupported_grant_type", "Expected client_credentials.")
        if form.get("scope", "piwebapi") != "piwebapi":
            return _refused(400, "invalid_scope", f"Unknown scope {form['scope']}.")
        token = secrets.token_urlsafe(24)
        settings = self._settings
        self._good[token] = _Good(self._ticks() + settings.token_s, settings.token_requests or float("inf"))
        self.issued += 1
        granted = {"access_token": token, "expires_in": settings.token_s, "token_type": "Bearer", "scope": "piwebapi"}
        return Answer(200, encoded(granted), {"Cache-Control": "no-store"})

    def taken(self, token: str) -> bool:
        """Whether a token is good for one more request, which it then was."""
        good = self._good.get(token)
        if good is None or self._ticks() >= good.end_s or good.requests < 1:
            return False
        good.requests -= 1
        return True

    def revoke(self) -> None:
        """No token that was given out is good any more."""
        self._good.clear()

    def _is_client(self, header: str, form: dict[str, str]) -> bool:
        settings = self._settings
        scheme, _, rest = header.partition(" ")
        given = (form.get("client_id", ""), form.get("client_secret", ""))
        if settings.client_login == "header" or (settings.client_login == "any" and scheme):
            try:
                pair = base64.b64decode(rest, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                return False
            name, _, word = pair.partition(":")
            given = (unquote_plus(name), unquote_plus(word)) if scheme.lower() == "basic" else ("", "")
        known = (settings.client_id, settings.client_secret)
        return all(hmac.compare_digest(a.encode(), b.encode()) for a, b in zip(given, known, strict=True))


def _refused(status: int, error: str, words: str) -> Answer:
    headers = {"WWW-Authenticate": 'Basic realm="identitymanager"'} if status == 401 else {}
    return Answer(status, encoded({"error": error, "error_description": words}), headers)
