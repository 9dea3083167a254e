"""Where a named instance listens: SQL Server Browser, asked on UDP port 1434 ([MC-SQLR] 2.2.3 and 2.2.5)."""

from __future__ import annotations

import socket
import struct
from dataclasses import replace

from pipelines.ports import Stop
from resources.wonderware.login import Login
from resources.wonderware.refusals import Faltered

PORT = 1_434
_ASK, _ANSWER = 0x04, 0x05
_TRIES, _WAIT_S = 3, 1.0
_MOST_BYTES = 65_535


def located(login: Login) -> Login:
    """The login with the port of its instance: it may be another after every start. Raises Faltered, Stop."""
    if not login.instance:
        return login
    told = _told(login)
    port = told.get("tcp", "")
    if not port.isdigit():
        raise Stop(f"{login.where}: this instance does not listen on TCP; switch it on in Configuration Manager")
    return replace(login, port=int(port), instance="")


def _told(login: Login) -> dict[str, str]:
    """What SQL Server Browser says of the instance, by names in small letters."""
    question = bytes((_ASK,)) + login.instance.encode("utf-8") + b"\0"
    try:
        [(family, kind, _, _, where), *_] = socket.getaddrinfo(login.host, PORT, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise Faltered(f"no address is known of {login.host} ({error})", reached=False) from None
    with socket.socket(family, kind) as asking:
        asking.settimeout(_WAIT_S)
        for _ in range(_TRIES):
            try:
                asking.connect(where)
                asking.send(question)
                found = _read(asking.recv(_MOST_BYTES))
            except OSError:
                continue
            if found.get("instancename", login.instance).casefold() == login.instance.casefold():
                return found
    raise Faltered(
        f"SQL Server Browser (UDP {PORT}) says nothing of instance {login.instance!r}: let it run and through the "
        f"firewall, or write the port that Configuration Manager shows: {login.host}:PORT",
        reached=False,
    )


def _read(answer: bytes) -> dict[str, str]:
    """`name;value;name;value;;` behind three bytes; nothing of what is no such answer."""
    if len(answer) < 3 or answer[0] != _ANSWER:
        return {}
    (length,) = struct.unpack_from("<H", answer, 1)
    words = answer[3 : 3 + length].decode("utf-8", "replace").split(";")
    return {name.casefold(): value for name, value in zip(words[::2], words[1::2], strict=False)}
