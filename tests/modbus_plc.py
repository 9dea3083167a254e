"""Modbus TCP servers as a process of its own, so that it can be killed: `python -m tests.modbus_plc PORT…`.

Holding registers from 1, 100 for each word order (ABCD, CDAB, BADC, DCBA) with the values of VALUES, four registers a
value; texts at 501, five numbers at 511; register 601 counts up with every answer. Coils: every third is set.
"""

from __future__ import annotations

import asyncio
import struct
import sys

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

VALUES = {
    "INT": ("h", -1234),
    "UINT": ("H", 54_321),
    "DINT": ("i", -123_456_789),
    "UDINT": ("I", 3_123_456_789),
    "LINT": ("q", -1_234_567_890_123_456_789),
    "ULINT": ("Q", 12_345_678_901_234_567_890),
    "REAL": ("f", 3.1415927410125732),
    "LREAL": ("d", 2.718281828459045),
}
ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")
REGISTERS = 2_000


def registers() -> list[int]:
    """All holding registers."""
    found = [0] * REGISTERS
    for place, order in enumerate(ORDERS):
        for number, (code, value) in enumerate(VALUES.values()):
            words = _words(struct.pack(f">{code}", value), order)
            at = 100 * place + 4 * number
            found[at : at + len(words)] = words
    found[500:502] = _words(struct.pack(">2f", float("nan"), float("inf")), "ABCD")[:2]
    found[502:504] = _words(struct.pack(">f", float("inf")), "ABCD")
    found[510:515] = [1, 2, 3, 4, 5]
    return found


def _words(raw: bytes, order: str) -> list[int]:
    pairs = [raw[at : at + 2] for at in range(0, len(raw), 2)]
    if order in ("CDAB", "DCBA"):
        pairs.reverse()
    if order in ("BADC", "DCBA"):
        pairs = [pair[::-1] for pair in pairs]
    return [int.from_bytes(pair, "big") for pair in pairs]


async def serve_all(ports: list[int]) -> None:
    """Until killed; says so when each listens."""
    await asyncio.gather(*(serve(port) for port in ports))


async def serve(port: int) -> None:
    """Until killed."""
    bits = [place % 3 == 0 for place in range(64)]
    device = SimDevice(
        id=1,
        simdata=(
            [SimData(0, values=bits, datatype=DataType.BITS)],
            [SimData(0, values=bits, datatype=DataType.BITS)],
            [SimData(0, values=registers(), datatype=DataType.REGISTERS)],
            [SimData(0, values=registers(), datatype=DataType.REGISTERS)],
        ),
    )
    server = ModbusTcpServer([device], address=("127.0.0.1", port))
    await server.serve_forever(background=True)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve_all([int(port) for port in sys.argv[1:]]))
