"""A client of a few lines that says exactly what a test wants said, and lists the tokens of the answers."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Any

from tests.unit.simulators.tds.stage import PASSWORD, USER

BATCH, RPC, ATTENTION, TRANSACTION, LOGIN, PRELOGIN = 1, 3, 6, 14, 16, 18
END, IGNORE, RESET = 1, 2, 8
HEADERS = struct.pack("<IIHQI", 22, 18, 2, 0, 1)


@dataclass
class Token:
    name: str
    value: Any = None
    status: int = 0


class RawClient:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)

    def send(self, kind: int, content: bytes, status: int = END) -> None:
        self.socket.sendall(struct.pack(">BBHHBB", kind, status, len(content) + 8, 0, 1, 0) + content)

    def receive(self) -> bytes:
        whole, expected = b"", 0
        while True:
            kind, status, length, packet = struct.unpack(">BBH2xBx", self._take(8))
            assert kind == 4
            expected += 1
            assert packet == expected % 256
            whole += self._take(length - 8)
            if status & END:
                return whole

    def _take(self, count: int) -> bytes:
        taken = b""
        while len(taken) < count:
            part = self.socket.recv(count - len(taken))
            if not part:
                raise EOFError
            taken += part
        return taken

    def log_in(self, version: int = 0x74000004, features: bytes = b"") -> list[Token]:
        fixed = struct.pack("<IIIIIBBBBiI", version, 4096, 0, 1, 0, 0, 0, 0, 0x10 if features else 0, 0, 0x409)
        hidden = bytes((((byte << 4 | byte >> 4) & 0xFF) ^ 0xA5) for byte in PASSWORD.encode("utf-16-le"))
        texts = [b"", USER.encode("utf-16-le"), hidden, b"", b"", b"", b"", b"", "Дом".encode("utf-16-le")]
        start, places, body = 94, b"", b""
        for number, text in enumerate(texts):
            if number == 5 and features:
                places += struct.pack("<HH", start + len(body), 4)
                body += struct.pack("<I", 94 + sum(map(len, texts)) + 4)
                continue
            places += struct.pack("<HH", start + len(body), len(text) // 2)
            body += text
        places += bytes(6) + struct.pack("<HHHHHHI", 0, 0, 0, 0, 0, 0, 0)
        body += features
        login = struct.pack("<I", 4 + len(fixed) + len(places) + len(body)) + fixed + places + body
        self.send(LOGIN, login)
        return tokens_of(self.receive())

    def batch(self, sql: str, status: int = END) -> list[Token]:
        self.send(BATCH, HEADERS + sql.encode("utf-16-le"), status)
        return tokens_of(self.receive())

    def call(self, *calls: bytes) -> list[Token]:
        self.send(RPC, HEADERS + b"\xff".join(calls))
        return tokens_of(self.receive())

    def transact(self, request: int, rest: bytes) -> list[Token]:
        self.send(TRANSACTION, HEADERS + struct.pack("<H", request) + rest)
        return tokens_of(self.receive())


def procedure(number: int, *parameters: bytes) -> bytes:
    return struct.pack("<HHH", 0xFFFF, number, 0) + b"".join(parameters)


def named_procedure(name: str, *parameters: bytes) -> bytes:
    return struct.pack("<H", len(name)) + name.encode("utf-16-le") + bytes(2) + b"".join(parameters)


def text(value: str, name: str = "") -> bytes:
    units = value.encode("utf-16-le")
    return _named(name) + b"\x00\xe7" + struct.pack("<H", 8000) + bytes(5) + struct.pack("<H", len(units)) + units


def number(value: int | None, name: str = "") -> bytes:
    return _named(name) + b"\x00\x26\x04" + (b"\x00" if value is None else struct.pack("<Bi", 4, value))


def of_type(kind: bytes, value: bytes, name: str = "") -> bytes:
    return _named(name) + b"\x00" + kind + value


def _named(name: str) -> bytes:
    return bytes((len(name),)) + name.encode("utf-16-le")


def tokens_of(data: bytes) -> list[Token]:
    """For rowsets of one nullable int only."""
    found, place = [], 0
    while place < len(data):
        kind, place = data[place], place + 1
        if kind in (0xFD, 0xFE, 0xFF):
            status, _, count = struct.unpack_from("<HHQ", data, place)
            found.append(Token({0xFD: "done", 0xFE: "doneproc", 0xFF: "doneinproc"}[kind], count, status))
            place += 12
        elif kind in (0xAA, 0xAB, 0xE3, 0xAD):
            (length,) = struct.unpack_from("<H", data, place)
            body = data[place + 2 : place + 2 + length]
            place += 2 + length
            if kind == 0xE3:
                found.append(Token("change", (body[0], body[1:])))
            elif kind == 0xAD:
                found.append(Token("loginack", body[1:5]))
            else:
                found.append(Token("error" if kind == 0xAA else "info", struct.unpack_from("<i", body)[0]))
        elif kind == 0x79:
            found.append(Token("status", struct.unpack_from("<i", data, place)[0]))
            place += 4
        elif kind == 0xAC:
            place += 2 + 1 + 2 * data[place + 2] + 1 + 6 + 2 + 1
            found.append(Token("value", struct.unpack_from("<i", data, place)[0]))
            place += 4
        elif kind == 0x81:
            assert data[place : place + 10] == b"\x01\x00\x00\x00\x00\x00\x09\x00\x26\x04"
            place += 10 + 1 + 2 * data[place + 10]
            found.append(Token("columns"))
        elif kind == 0xD1:
            found.append(Token("row", struct.unpack_from("<i", data, place + 1)[0]))
            place += 5
        elif kind == 0xAE:
            acknowledged = []
            while data[place] != 0xFF:
                (length,) = struct.unpack_from("<I", data, place + 1)
                acknowledged.append((data[place], data[place + 5 : place + 5 + length]))
                place += 5 + length
            place += 1
            found.append(Token("features", acknowledged))
        else:
            raise AssertionError(f"token 0x{kind:02x} at {place}")
    return found
