"""What listens beyond the loopback is read from the system."""

from __future__ import annotations

import os
import socket

from resources.embedded.listening import beyond_loopback


def test_only_what_other_hosts_may_reach_is_told() -> None:
    with socket.socket() as inside, socket.socket() as outside, socket.socket(socket.AF_INET6) as six:
        inside.bind(("127.0.0.1", 0))
        outside.bind(("", 0))
        six.bind(("::1", 0))
        for each in (inside, outside, six):
            each.listen()
        found = beyond_loopback([os.getpid()])
        assert outside.getsockname()[1] in found
        assert not {inside.getsockname()[1], six.getsockname()[1]} & set(found)


def test_who_is_gone_listens_nowhere() -> None:
    assert beyond_loopback([2**22 - 7]) == []
