"""How a process of ours ends: with its exit code, whatever native libraries do while the interpreter is torn down."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """Ends the process now, after what was registered for its end, with all that was written flushed.

    A backfill that had proved everything was seen to end with SIGABRT instead of 0: a thread of a native library was
    destroyed while it ran (`terminate called without an active exception`), in the interpreter's own teardown. Scripts
    rely on the code; so that teardown, which nothing of ours needs, is left out.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a pipe that nobody reads any more
            stream.flush()
    os._exit(code)
