"""Names in a folder that outlive a power cut: a file that was synced is lost with its name, if its folder was not."""

from __future__ import annotations

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """The names in the folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path, below: Path) -> None:
    """The folder is there, and its name and those of its parents down from `below`, which is one of them, on the disk.

    Also of parents that were there: another process may have made them just now.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for parent in folder.parents:
        sync_folder(parent)
        if parent == below.parent:
            return
