"""A lock between processes and threads, held by an open file: the system frees it with the holder's death."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from resources.embedded.errors import ServerNotReady

_POLL_S = 0.05


@contextmanager
def locked(path: Path, deadline_s: float) -> Iterator[None]:
    """Hold the lock file at `path` for the body of a `with`.

    Not re-entrant. Raises ServerNotReady when somebody else holds it for longer than `deadline_s` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    end_s = time.monotonic() + deadline_s
    with path.open("a+b") as file:
        while not _try_lock(file):
            if time.monotonic() > end_s:
                raise ServerNotReady(
                    f"another process has been busy with the servers for {deadline_s:.0f} s (it holds {path}). "
                    "Wait for it or stop it, then try again"
                )
            time.sleep(_POLL_S)
        # Closing the file frees the lock; the file itself stays, because removing it would let a third
        # process lock a new file of the same name beside a waiter on the old one.
        yield


def _try_lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
