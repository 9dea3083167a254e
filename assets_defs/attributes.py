"""Asking a source for all that it says of its points: attributes and digital sets, and what of them changed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipelines.plant import SourceSettings
from pipelines.points import Point
from pipelines.ports import Attributed, FerryError, NoRoom, Source

if TYPE_CHECKING:
    from assets_defs.line import Line

_NAMED = 20
"""So many changes and failures at most are named."""

Change = tuple[str, str, str, str | None, str | None]
"""Kind, subject, attribute, before and after."""


@dataclass(slots=True)
class AttributesRead:
    """What a look at the attributes found: points and digital sets that were read, those of which something is new or
    changed, and those that could not be had, the first by why. `refusals`: what the source does not tell at all, or why
    the look ended early. `changes`: the first of what was known before and is otherwise now."""

    points: int = 0
    sets: int = 0
    changed: int = 0
    unread: int = 0
    reasons: dict[str, str] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    def lack(self, unread: Mapping[str, str]) -> None:
        """Counts what could not be had."""
        self.unread += len(unread)
        for subject, reason in unread.items():
            if len(self.reasons) < _NAMED:
                self.reasons[subject] = reason


def read_attributes(line: Line, settings: SourceSettings) -> AttributesRead | None:
    """Asks the source for all attributes of its points and records what changed; None where it tells no such thing.

    What it refuses, and that it failed, is told and raised nowhere: the catalogue is known without it. Raises NoRoom.
    """
    before = line.ledger.attributes_version(settings.name)
    points = line.present(settings)

    async def work(source: Source) -> AttributesRead | None:
        return await _read(line, settings, source, points) if isinstance(source, Attributed) else None

    try:
        found = line.with_source(settings, work)
    except NoRoom:
        raise
    except FerryError as error:
        found = AttributesRead(refusals=[f"the attributes could not be read: {error}"])
    if found is not None and before:
        found.changes = line.ledger.attribute_changes_since(settings.name, before, _NAMED)
    return found


async def _read(line: Line, settings: SourceSettings, source: Attributed, points: list[Point]) -> AttributesRead:
    """Page by page into the ledger: what was read before an error stays."""
    found, save = AttributesRead(), line.ledger.save_attributes
    try:
        page = await source.digital_sets()
        if page.refusal:
            found.refusals.append(page.refusal)
        else:
            found.sets = len(page.table)
            found.changed += await asyncio.to_thread(save, settings.name, "digital_set", page.table, page.unread.keys())
        found.lack(page.unread)
        async with aclosing(source.attributes(points)) as pages:
            async for page in pages:
                if page.refusal:
                    found.refusals.append(page.refusal)
                found.lack(page.unread)
                found.points += len(page.table)
                if len(page.table):
                    found.changed += await asyncio.to_thread(save, settings.name, "point", page.table)
    except NoRoom:
        raise
    except FerryError as error:
        found.refusals.append(f"the attributes could not be read to the end: {error}")
    return found
