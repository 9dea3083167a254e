"""Who else on this host may read what we write: nobody, unless the plant file says so."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from pipelines.plant import Plant, Readers

_UMASKS: dict[Readers, int] = {"owner": 0o077, "group": 0o027, "everyone": 0o022}
_PASSING = 0o011
"""Of the superuser's folders: PostgreSQL runs as another user, who must pass through them and sees nothing there."""


def keep_private(plant: Plant) -> list[Path]:
    """From now on what this process and its children write is for `readable_by` only; folders of the plant that were
    open to more are closed, and returned. Folders that are not ours are left as they are."""
    umask = _UMASKS[plant.plant.readable_by]
    umask &= ~_PASSING if os.geteuid() == 0 else ~0
    os.umask(umask)
    ours = [plant.state_dir]
    for folder in (plant.landing_dir, plant.exports_dir):
        if not folder.is_relative_to(plant.state_dir):  # somebody else's may be beside it
            ours += sorted(folder.glob("source=*"))
    return [folder for folder in ours if _closed(folder, umask)]


def open_exports(plant: Plant, destination: Path, files: Iterable[Path]) -> None:
    """Lets those read exports that [exports] readable_by names, where that is more than the plant's other files."""
    readers = plant.exports.readable_by
    if readers is None:
        return
    files = list(files)
    open_to = 0o777 & ~_UMASKS[readers]
    folders = {folder for file in files for folder in file.parents if folder.is_relative_to(destination)}
    for path in [*sorted(folders), *files]:
        mode = stat.S_IMODE(path.stat().st_mode)
        more = open_to if path in folders else open_to & 0o666
        if mode | more != mode and path.stat().st_uid == os.geteuid():
            path.chmod(mode | more)


def _closed(folder: Path, umask: int) -> bool:
    """Whether the folder was open to more than the umask lets, and no longer is."""
    try:
        found = folder.stat()
        mode = stat.S_IMODE(found.st_mode)
        if not mode & umask or found.st_uid != os.geteuid():
            return False
        folder.chmod(mode & ~umask)
    except FileNotFoundError:
        return False
    return True
