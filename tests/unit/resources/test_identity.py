"""Whether a process of this host has ended."""

from __future__ import annotations

import subprocess
import sys
import time

from resources.postgres.identity import Identity, own

TELL = "from resources.postgres.identity import own; print(*own(), sep='\\t', flush=True); input()"


def test_a_process_is_known_by_its_number_and_its_start() -> None:
    me = own()
    assert me.is_here
    assert not me.has_ended
    assert me._replace(started="0").has_ended, "the number was given to another one since"


def test_an_ended_one_also_while_nobody_has_asked_how_it_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", TELL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    place, pid, started = child.stdout.readline().rstrip("\n").split("\t")
    other = Identity(place, int(pid), started)
    assert not other.has_ended
    child.kill()
    deadline_s = time.monotonic() + 10
    while not other.has_ended:  # a zombie
        assert time.monotonic() < deadline_s
    child.communicate()
    assert other.has_ended


def test_of_another_place_nobody_can_tell() -> None:
    for place in ("another host since another start", ""):
        stranger = own()._replace(place=place, started="0")
        assert not stranger.is_here
        assert not stranger.has_ended
