"""Secrets that this process was given, and texts without them.

A server may say back what it was told: an answer that quotes the Authorization header would carry the password into
manifests, the ledger, Dagster's log and the report. Every error of ours is built without them (see errors).
"""

from __future__ import annotations

from urllib.parse import quote

HIDDEN = "•••"
_LENGTH_MIN = 6
"""Shorter ones would blacken half of a text and guard nothing."""
_guarded: set[str] = set()


def guard(*secrets: str) -> None:
    """Texts of ours are without these from now on, also as they stand in a URL."""
    _guarded.update(form for each in secrets for form in (each, quote(each, safe="")) if len(form) >= _LENGTH_MIN)


def forget(*secrets: str) -> None:
    """These were secrets and are none any more: tokens that have expired, of which there would be ever more."""
    _guarded.difference_update(form for each in secrets for form in (each, quote(each, safe="")))


def without_secrets(text: str) -> str:
    """The text with every guarded secret made illegible, the longest first."""
    found = [each for each in _guarded if each in text]
    for each in sorted(found, key=len, reverse=True):
        text = text.replace(each, HIDDEN)
    return text
