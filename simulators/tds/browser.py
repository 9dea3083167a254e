"""SQL Server Browser: tells on a UDP port where the instances of a host listen ([MC-SQLR])."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

_ASK_ALL, _ASK_ONE, _ANSWER = (0x02, 0x03), 0x04, 0x05


class Browser:
    """Answers for `instances`, the TCP port by name (0: it does not listen on TCP), until it is stopped."""

    def __init__(self, instances: dict[str, int], host: str = "127.0.0.1", port: int = 0) -> None:
        self._instances = {name.casefold(): (name, tcp) for name, tcp in instances.items()}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="sql-browser", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Answers no more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                question, who = self._socket.recvfrom(1_024)
            except OSError:
                return
            if answer := self._answer(question):
                self._socket.sendto(answer, who)

    def _answer(self, question: bytes) -> bytes:
        """Nothing for an instance that is not here (2.2.5): the client waits in vain."""
        if question[:1] and question[0] in _ASK_ALL:
            asked = list(self._instances.values())
        elif question[:1] == bytes((_ASK_ONE,)):
            name = question[1:].split(b"\0")[0].decode("utf-8", "replace").casefold()
            asked = [self._instances[name]] if name in self._instances else []
        else:
            asked = []
        text = "".join(_entry(name, tcp) for name, tcp in asked).encode("ascii", "replace")
        return struct.pack("<BH", _ANSWER, len(text)) + text if text else b""


def _entry(name: str, tcp: int) -> str:
    listens = f";tcp;{tcp}" if tcp else rf";np;\\FERRYSIM\pipe\MSSQL${name}\sql\query"
    return f"ServerName;FERRYSIM;InstanceName;{name};IsClustered;No;Version;16.0.1000.6{listens};;"
