"""A stretch of network between client and server that keeps what passes."""

from __future__ import annotations

import socket
import threading


class Eavesdropper:
    def __init__(self, port: int) -> None:
        self._beyond = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.heard = bytearray()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        try:
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._beyond))
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()
        except OSError:
            return

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while part := source.recv(65_536):
                self.heard += part
                sink.sendall(part)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            sink.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
