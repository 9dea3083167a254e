"""The folder that exports go to: whose it is, and what was chosen for it.

    <destination>/samples · points · aggregates_1m · aggregates_1h · aggregates_1d · annotations · attributes ·
                  digital_states · attribute_changes · journal · alarms
                                          a folder is a data set: Parquet of one schema, and nothing else
    <destination>/wide/<table>            a data set too
    <destination>/_ferry/layout.json      it is a destination of ours, laid out like this
    <destination>/_ferry/<what>.json      what was chosen, such as the points of a source

`_ferry` also has what is being written, so that no reader of a data set meets half a file.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pipelines.marts import earlier_layout
from pipelines.marts.files import appearing
from pipelines.ports import Stop

LAYOUT = 2
RECORD = "_ferry"
BY_DAY = ("samples", "aggregates_1m", "aggregates_1h", "aggregates_1d", "annotations", "journal", "alarms")
BY_SOURCE = ("points", "attributes", "digital_states", "attribute_changes")
_FOLDERS = frozenset({*BY_DAY, *BY_SOURCE, "wide", RECORD})


def claim(destination: Path) -> Path:
    """Checks that the destination is ours or empty, makes it ours, and returns its folder for what is being written.

    What an earlier version exported there is laid out anew first; nothing else can write there meanwhile.
    Raises Stop when it is not ours, NoRoom.
    """
    if destination.exists() and not destination.is_dir():
        raise Stop(f"{destination} is a file: name a folder to export into")
    record = destination / RECORD
    layout = record / "layout.json"
    try:
        if not layout.exists():
            _refuse_foreign(destination, earlier_layout.known(destination).__contains__)
    except Stop:
        if not layout.exists():  # else another export made it ours just now
            raise
    record.mkdir(parents=True, exist_ok=True)
    with _alone(record / "lock"):
        if not layout.exists():
            _write(layout, {"layout": earlier_layout.LAYOUT})
        said = json.loads(layout.read_text(encoding="utf-8"))
        if said == {"layout": earlier_layout.LAYOUT}:
            earlier_layout.renew(destination, record)
            _write(layout, {"layout": LAYOUT})
        elif said != {"layout": LAYOUT}:
            raise Stop(f"{destination} was written by another version of ferry ({said}): name another folder")
    _refuse_foreign(destination, lambda entry: _has_our_name(entry.relative_to(destination).parts))
    return record


def choose(record: Path, what: str, choice: Mapping[str, object], advice: str) -> None:
    """Records what is chosen for `what`, the first time. Raises Stop when something else was chosen before."""
    path = record / f"{what}.json"
    with _alone(record / "lock"):
        if not path.exists():
            _write(path, choice)
            return
    before = json.loads(path.read_text(encoding="utf-8"))
    if before != choice:
        differing = ", ".join(f"{key} = {before.get(key)}" for key in choice if before.get(key) != choice[key])
        raise Stop(f"{record.parent} holds an export of {what!r} with another choice ({differing}): {advice}")


def entries(folder: Path) -> list[Path]:
    """What lies in the folder, apart from hidden files (a file manager's notes)."""
    return sorted(entry for entry in folder.glob("*") if not entry.name.startswith("."))


def _has_our_name(parts: tuple[str, ...]) -> bool:
    """Of the first two levels. The name alone: other exports add and remove files meanwhile."""
    if len(parts) == 1:
        return parts[0] in _FOLDERS
    return parts[1].endswith(".parquet") if parts[0] in BY_SOURCE else parts[1].startswith("date=")


def _refuse_foreign(destination: Path, is_ours: Callable[[Path], bool]) -> None:
    held = [entry for name in (*BY_DAY, *BY_SOURCE) for entry in entries(destination / name)]
    for entry in (*entries(destination), *held):
        if not is_ours(entry):
            found = entry.relative_to(destination).as_posix()
            raise Stop(f"{destination} holds {found!r}, which no export wrote: name a folder of its own")


def _write(path: Path, content: Mapping[str, object]) -> None:
    with appearing(path) as part:
        part.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process and thread at a time."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
