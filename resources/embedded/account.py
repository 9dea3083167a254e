"""Who the PostgreSQL server runs as. PostgreSQL refuses to run as root, and containers are often all root.

Under root it runs in a user namespace where root's files look like nobody's: nothing is chowned, no folder is opened.
Where namespaces are forbidden it runs as the user nobody, who must be able to reach its folders.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from resources.embedded.errors import ServerNotReady

_NOBODY = 65534
_UNSHARE = ("unshare", "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}")
_PROBE_DEADLINE_S = 10.0


@dataclass(frozen=True, slots=True)
class Account:
    """How to run a server program: behind `prefix`, or as user `uid`, or plainly as ourselves."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None

    def command(self, argv: list[str]) -> list[str]:
        """`argv` as this account runs it; the pid of what it starts is the server's own."""
        return [*self.prefix, *argv]

    def arguments(self) -> dict[str, Any]:
        """What subprocess needs besides."""
        return {} if self.uid is None else {"user": self.uid, "group": self.uid, "extra_groups": ()}

    def give_folder(self, path: Path) -> None:
        """Make `path` an empty folder of this account, closed to all others."""
        path.mkdir(mode=0o700, parents=True)
        self.give(path)

    def give(self, path: Path) -> None:
        """Make `path` belong to this account."""
        if self.uid is not None:
            os.chown(path, self.uid, self.uid)

    def free_stale_lock(self, lock_file: Path) -> None:
        """Make a `postmaster.pid` whose pid now belongs to a stranger count as stale.

        PostgreSQL would take the stranger for a server and refuse to start. The file isn't removed: its other lines
        name the shared memory by which PostgreSQL notices orphans of a killed server that still write to the data.
        Call it only when the server of that data folder is known to be dead.
        """
        try:
            lines = lock_file.read_text(encoding="utf-8").splitlines(keepends=True)
            stranger = psutil.pid_exists(int(lines[0]))
        except (OSError, ValueError, IndexError):
            return
        if stranger:
            # PostgreSQL's own parent never counts as another server (CreateLockFile in miscinit.c).
            lock_file.write_text(f"{os.getpid()}\n" + "".join(lines[1:]), encoding="utf-8")


def server_account(data: Path, binaries: Path) -> Account:
    """The account for a server on the folder `data` with the programs in `binaries`.

    Raises ServerNotReady under root where neither way is open, naming the folder in the way.
    """
    if os.geteuid() != 0:
        return Account()
    # A data folder keeps the owner it was made with.
    owner = data.stat().st_uid if data.exists() else None
    if owner in {None, 0} and _namespaces_allowed():
        return Account(prefix=_UNSHARE)
    if owner == 0:
        raise ServerNotReady(
            f"PostgreSQL can't start on {data}: it was made by root in a user namespace, which this machine now "
            "forbids. Allow user namespaces (sysctl user.max_user_namespaces) or run ferry as another user"
        )
    uid = owner or _NOBODY
    for folder in (data.parent, binaries):
        closed = _closed(folder)
        if closed is not None:
            raise ServerNotReady(
                f"PostgreSQL refuses to run as root, this machine forbids user namespaces, and user {uid} can't "
                f"pass through {closed} to {folder}. Run ferry as another user, or `chmod o+x {closed}`"
            )
    return Account(uid=uid)


def _namespaces_allowed() -> bool:
    if shutil.which(_UNSHARE[0]) is None:
        return False
    try:
        tried = subprocess.run(
            [*_UNSHARE, "true"], capture_output=True, stdin=subprocess.DEVNULL, timeout=_PROBE_DEADLINE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return tried.returncode == 0


def _closed(folder: Path) -> Path | None:
    """The first folder from the root on the way to `folder` that others may not pass through, or None."""
    way = [*reversed(folder.resolve().parents), folder.resolve()]
    return next((step for step in way if step.exists() and not step.stat().st_mode & 0o001), None)
