"""Where processes listen, read from the system and not from their settings: IoTDB binds all interfaces whatever it is
told."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterable

import psutil


def beyond_loopback(pids: Iterable[int]) -> list[int]:
    """TCP ports of the processes, and of what they started, that other hosts may reach; as far as we may see."""
    ports: set[int] = set()
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            for each in (process, *process.children(recursive=True)):
                ports |= _open_ports(each)
    return sorted(ports)


def _open_ports(process: psutil.Process) -> set[int]:
    with contextlib.suppress(psutil.Error):
        found = process.net_connections(kind="tcp")
        return {
            each.laddr.port
            for each in found
            if each.status == psutil.CONN_LISTEN and not ipaddress.ip_address(each.laddr.ip).is_loopback
        }
    return set()
