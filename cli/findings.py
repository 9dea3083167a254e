"""What the doctor finds."""

from __future__ import annotations

from dataclasses import dataclass

from cli import outcome


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor. `code` is the exit code that it alone would give."""

    name: str
    detail: str
    advice: str = ""
    code: int = outcome.PROVED
    idle: bool = False
    """Not looked into: it does not run now, and need not."""
    loud: bool = False
    """Works, and somebody should see to it."""

    @property
    def well(self) -> bool:
        return self.code == outcome.PROVED
