"""One connection from its first packet to its last: PRELOGIN, LOGIN7, then requests (MS-TDS 3.3.5)."""

from __future__ import annotations

import ssl
import struct

from simulators.tds import login, prelogin, tokens
from simulators.tds.database import FATAL_LEVEL, Database, HangUp, SqlError
from simulators.tds.packets import MOST_BYTES, MOST_ENCRYPTED_BYTES, Packet, Wire
from simulators.tds.reply import Reply
from simulators.tds.requests import Requests
from simulators.tds.session import SERVER_NAME, Session
from simulators.tds.stream import Gone
from simulators.tds.tokens import Change, Done, Status

_LOGIN_BYTES = 128 << 10  # the most that LOGIN7 may have (2.2.6.4)
_REQUEST_BYTES = 64 << 20
_LOGIN_S = 30.0
_TOO_OLD, _UNTRUSTED = 17_809, 18_452


class Conversation:
    """One client's. Runs in a thread of its own."""

    def __init__(self, wire: Wire, database: Database, policy: prelogin.Policy, tls: ssl.SSLContext | None) -> None:
        self._wire, self._database = wire, database
        self._policy, self._tls = policy, tls
        self._most_bytes = MOST_BYTES  # of a packet

    def run(self) -> None:
        """Until the client goes, or is sent away."""
        try:
            self._wire.stream.wait_at_most(_LOGIN_S)
            session = self._log_in()
            if session is not None:
                self._wire.stream.wait_at_most(None)
                requests = Requests(self._wire, self._database, session)
                while True:
                    requests.answer(self._wire.read(_REQUEST_BYTES))
        except (Gone, HangUp, ValueError, struct.error):
            pass  # it has left, is to be cut off, or speaks no TDS: nobody else is concerned
        finally:
            self._wire.stream.close()

    def _log_in(self) -> Session | None:
        """The session of who may come in. Raises Gone, HangUp."""
        asking = login.parse(self._login_message())
        version = asking.agreed_version
        wide = version >= login.TDS_72
        try:
            if not version:
                raise SqlError(_TOO_OLD, "TDS 7.1 is the oldest version that is spoken here.", FATAL_LEVEL)
            if asking.integrated or login.FEDERATED_FEATURE in asking.features:
                raise SqlError(_UNTRUSTED, "Login failed. Only logins with a name and a password are known here.", 14)
            opaque = self._database.login(asking.user, asking.password, asking.database)
        except SqlError as error:
            reply = Reply(self._wire, wide)
            reply.add(tokens.error(error.number, error.message, error.level, error.state, SERVER_NAME, wide))
            reply.done(Done.STATEMENT, Status.ERROR)
            reply.end()
            return None
        session = Session(opaque, version, asking.database or "master", wide)
        self._welcome(asking, session)
        return session

    def _login_message(self) -> bytes:
        """LOGIN7, which TLS may hide as the two have agreed."""
        message = self._wire.read(_LOGIN_BYTES)
        encryption: prelogin.Encryption = "none"
        if message.kind == Packet.PRELOGIN:
            answer, encryption = prelogin.answer(prelogin.options(message.content), self._policy, SERVER_NAME)
            self._wire.begin()
            self._wire.put_last(answer)
            if encryption != "none":
                assert self._tls is not None
                self._wire.stream.secure(self._tls)
            message = self._wire.read(_LOGIN_BYTES)
        if message.kind != Packet.LOGIN or (self._policy == "required" and encryption != "all"):
            raise Gone(f"a message of type 0x{message.kind:02x} where a login is due, encryption {encryption}")
        if encryption == "login":
            self._wire.stream.bare()
        if encryption == "all":
            self._most_bytes = MOST_ENCRYPTED_BYTES
        return message.content

    def _welcome(self, asking: login.Login, session: Session) -> None:
        wide, size = session.wide, min(asking.packet_bytes, self._most_bytes)
        reply = Reply(self._wire, wide)
        reply.add(session.use(session.database))
        reply.add(tokens.text_change(Change.LANGUAGE, "us_english", ""))
        reply.add(tokens.info(5703, "Changed language setting to us_english.", 1, SERVER_NAME, wide))
        reply.add(tokens.collation_change())
        reply.add(tokens.text_change(Change.PACKET_SIZE, str(size), str(self._wire.packet_bytes)))
        reply.add(tokens.login_ack(session.version))
        if login.UTF8_FEATURE in asking.features:
            reply.add(tokens.features({login.UTF8_FEATURE: b"\x01"}))
        reply.done(Done.STATEMENT)
        reply.end()
        self._wire.packet_bytes = size  # the reply to a login still has the old size
