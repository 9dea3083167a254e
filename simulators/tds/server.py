"""The listening side: a thread for every client, on one loopback port."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

import trustme

from simulators.tds.conversation import Conversation
from simulators.tds.database import Database
from simulators.tds.packets import Wire
from simulators.tds.prelogin import Policy
from simulators.tds.stream import Stream

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Tls:
    """Whether the server speaks TLS. Its certificate is made anew at every start, for 127.0.0.1 and localhost.

    `certificate_file` gets the server's own certificate, `ca_file` that of the authority that signed it (PEM).
    """

    mode: Policy = "optional"
    ca_file: Path | None = None
    certificate_file: Path | None = None

    def context(self) -> ssl.SSLContext:
        """A server's context. TLS 1.2 at most: of 1.3, TDS 7 clients take the tickets after the handshake amiss."""
        authority = trustme.CA()
        certificate = authority.issue_cert(HOST, "localhost")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        certificate.configure_cert(context)
        if self.ca_file is not None:
            authority.cert_pem.write_to_path(str(self.ca_file))
        if self.certificate_file is not None:
            certificate.cert_chain_pems[0].write_to_path(str(self.certificate_file))
        return context


class Server:
    """Serves a database until it is stopped. `port` 0 takes a free one."""

    def __init__(self, database: Database, host: str = HOST, port: int = 0, tls: Tls | None = None) -> None:
        self._database = database
        self._policy: Policy = tls.mode if tls else "none"
        self._tls = tls.context() if tls and tls.mode != "none" else None
        self._listener = socket.create_server((host, port))
        self._streams: set[Stream] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = False

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def start(self) -> None:
        """Serves in a thread of its own."""
        self._thread = threading.Thread(target=self.serve_forever, name="tds-server", daemon=True)
        self._thread.start()

    def serve_forever(self) -> None:
        """Takes clients until `stop`."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = Stream(connection)
            with self._lock:
                if self._stopped:
                    stream.close()
                    return
                self._streams.add(stream)
            threading.Thread(target=self._serve, args=(stream,), name="tds-client", daemon=True).start()

    def drop_connections(self) -> None:
        """Cuts every open connection."""
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            stream.cut()

    def stop(self) -> None:
        """Takes no more clients and cuts those that are there."""
        with self._lock:
            self._stopped = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # closing alone does not wake `accept`
        self._listener.close()
        self.drop_connections()
        if self._thread is not None:
            self._thread.join()

    def _serve(self, stream: Stream) -> None:
        try:
            Conversation(Wire(stream), self._database, self._policy, self._tls).run()
        finally:
            with self._lock:
                self._streams.discard(stream)
