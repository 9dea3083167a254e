"""One value as the columns of an event; whole columns of one kind are normalised by who reads them."""

from __future__ import annotations

from pipelines.samples.events import NO_CODE

EXACT = 2**53
"""Integers beyond it are no doubles: they go as text and code."""


def fields_of(value: bool | int | float | str | None, reason: str = "") -> tuple[float | None, str | None, int | None]:
    """`value`, `text` and `code` of an event; `reason` is its text where there is no value."""
    if value is None:
        return None, reason, NO_CODE
    if isinstance(value, str):
        return None, value, NO_CODE
    if isinstance(value, int) and abs(value) > EXACT:
        return None, str(value), value if -(2**63) <= value < 2**63 else NO_CODE
    return float(value), None, None
