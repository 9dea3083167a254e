"""What a command works on: the plant file, the source and span that were meant, the opened line."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cli.screen import Screen

if TYPE_CHECKING:
    from assets_defs.line import Line
    from pipelines.plant import Plant, SourceSettings
    from pipelines.timeline import Interval


class Session:
    """One call of a command. `chosen` is whether somebody named the plant file, or it is the default."""

    def __init__(self, plant_file: Path, screen: Screen, chosen: bool = True) -> None:
        self.plant_file, self.screen, self.chosen = plant_file, screen, chosen

    @cached_property
    def plant(self) -> Plant:
        """The plant file, read and checked. Raises Stop."""
        from pipelines.plant import load_plant
        from resources.modes import keep_private

        plant = load_plant(self.plant_file)
        if closed := keep_private(plant):
            self.screen.note(
                f"{', '.join(map(str, closed))}: now for its owner only; readable_by under [plant] lets others read it"
            )
        self.screen.secrets |= {os.environ.get(name, "") for name in secret_names(plant)}
        return plant

    @contextlib.contextmanager
    def line(self) -> Iterator[Line]:
        """The plant's line; downloads of its servers show their progress."""
        from assets_defs.line import open_line
        from cli.progress import Downloads

        _check_folder(self.plant)
        with Downloads(self.screen) as downloads, open_line(self.plant, downloads.update) as line:
            yield line

    def source(self, name: str | None) -> SourceSettings:
        """The source that was named, or the only one, or the only historian beside PLCs. Raises Stop."""
        from pipelines.ports import Stop

        if name is not None:
            return self.plant.find(name)
        historians = [each for each in self.plant.source if each.kind != "plc4x"]
        found = historians or self.plant.source
        if len(found) > 1:
            names = ", ".join(each.name for each in self.plant.source)
            raise Stop(f"{self.plant_file} has several sources: name one with --source ({names})")
        return found[0]

    def sources(self, name: str | None) -> list[SourceSettings]:
        """The source that was named, or all. Raises Stop."""
        return [self.plant.find(name)] if name is not None else list(self.plant.source)

    def span(self, settings: SourceSettings, start_ns: int | None, end_ns: int | None) -> Interval:
        """What was asked for, or all that the plant file names; cut where the source is not final yet, and then said.

        Raises Stop for a span that reaches out of what the plant file gives the source: it would never be moved, and
        must not look as if it were proved.
        """
        from pipelines.ports import Stop
        from pipelines.timeline import Interval, iso

        last_ns = min(settings.end or 2**63 - 1, time.time_ns() - settings.sync.lag)
        start = settings.start if start_ns is None else start_ns
        end = last_ns if end_ns is None else end_ns
        if start_ns is not None and end_ns is not None and end <= start:
            raise Stop(f"--end {iso(end)} is not after --start {iso(start)}")
        if start < settings.start or (settings.end and end > settings.end):
            reach = f"{iso(settings.start)} to {iso(settings.end) if settings.end else 'now'}"
            raise Stop(
                f"the plant file gives source {settings.name!r} {reach}; {iso(start)} to {iso(end)} reaches out of "
                "it. Change start or end there, or ask for less"
            )
        if end > last_ns:
            self.screen.note(f"events after {iso(last_ns)} are not final at the source yet: ending there")
            end = last_ns
        if end <= start:
            raise Stop(f"nothing is final yet at source {settings.name!r} after {iso(start)}")
        return Interval(start, end)

    def moved_span(self, line: Line, settings: SourceSettings, start_ns: int | None, end_ns: int | None) -> Interval:
        """What was asked for; where nothing was, all that was ever moved of the source. Raises Stop like `span`, and
        where nothing was moved."""
        from assets_defs.reach import moved_reach
        from pipelines.ports import Stop
        from pipelines.timeline import iso

        if start_ns is not None or end_ns is not None:
            return self.span(settings, start_ns, end_ns)
        found = moved_reach(line, settings)
        if found is None:
            asked = self.span(settings, None, None)
            raise Stop(
                f"nothing of source {settings.name!r} was moved yet: `ferry backfill --source {settings.name} "
                f"--start {iso(asked.start_ns)} --end {iso(asked.end_ns)}` does, `ferry plan` says what it would do"
            )
        return found


def _check_folder(plant: Plant) -> None:
    """The state folder may be another user's, who keeps it closed. Raises Stop before anything is started in it."""
    from pipelines.ports import Stop

    folder = plant.state_dir
    if folder.exists() and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        owner = folder.stat().st_uid
        raise Stop(
            f"{folder}, where this plant keeps its servers and files, belongs to user {user_name(owner)} and may not "
            f"be used by {user_name(os.geteuid())}: run ferry as that user. To let others read `ferry status`, give "
            "them a plant file with a state_dir of their own, [ledger] postgres as a DSN with a login that may only "
            "read, and the same sources"
        )


def user_name(uid: int) -> str:
    """The account behind a number, or the number."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # as in a container: a number without a name
        return str(uid)


def secret_names(plant: Plant) -> list[str]:
    """The environment variables that hold the plant's secrets."""
    names = [
        name for source in plant.source for auth in (source.auth, *(each.auth for each in source.connection))
        for name in (auth.password_env, auth.token_env, auth.client_secret_env)
    ]  # fmt: skip
    names.append(plant.store.password_env)
    if isinstance(plant.ledger.postgres, dict):
        names += plant.ledger.postgres.values()
    return [name for name in names if name]
