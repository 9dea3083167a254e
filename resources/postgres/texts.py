"""Texts that PostgreSQL can hold."""

from __future__ import annotations


def legible(text: str) -> str:
    """The text for a person, with what a PostgreSQL text can't hold (NUL, lone surrogates) replaced."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
