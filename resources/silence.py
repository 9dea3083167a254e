"""Silence: what is said while a server that was asked says nothing, and when it counts as hanging.

A process that is stopped, or a host that is stuck, goes on taking connections: only another question tells it from a
server that is busy.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator

SAY_AFTER_S = 10.0
GIVE_UP_S = 60.0
"""A server that answers nothing at all for so long hangs."""
_SAY_AGAIN_S = 60.0

_said_s: dict[str, float] = {}
_lock = threading.Lock()


class Hangs(Exception):
    """A server took a question and answers nothing, not even something small on another connection."""


class Silence:
    """Of one question to `who`; `ping` asks it something small otherwise, and raises where that is not answered.

    `limit_s`: by then the server ends what it was asked by itself, so that who still works on it does not.
    """

    def __init__(self, who: str, ping: Callable[[], object], limit_s: float = math.inf) -> None:
        self._who, self._ping, self._limit_s = who, ping, limit_s
        self._began_s = self._alive_s = self._asked_s = time.monotonic()

    def goes_on(self) -> None:
        """To be called now and then while nothing comes. Raises Hangs."""
        now_s = time.monotonic()
        if now_s - self._began_s > self._limit_s:
            raise Hangs(f"it answers others, and not this question for {self._limit_s:.0f} s: is its session stopped?")
        if now_s - self._asked_s < SAY_AFTER_S:
            return
        _say(self._who)
        try:
            self._ping()
        except Exception as error:
            silent_s = time.monotonic() - self._alive_s
            if silent_s >= GIVE_UP_S:
                raise Hangs(f"it has answered nothing for {silent_s:.0f} s: is its process stopped?") from error
        else:
            self._alive_s = time.monotonic()
        self._asked_s = time.monotonic()


@contextlib.contextmanager
def telling(who: str) -> Iterator[None]:
    """Says that we wait for `who` when the body, in an event loop, takes long."""
    waiting = asyncio.get_running_loop().call_later(SAY_AFTER_S, _say, who)
    try:
        yield
    finally:
        waiting.cancel()


def _say(who: str) -> None:
    """Once in a while: many questions may wait for the same server."""
    with _lock:
        now_s = time.monotonic()
        if now_s - _said_s.get(who, -_SAY_AGAIN_S) < _SAY_AGAIN_S:
            return
        _said_s[who] = now_s
    logging.getLogger(__name__).warning("waiting for %s, which says nothing …", who)
