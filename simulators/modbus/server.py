"""The server: holding registers with REALs that rise and fall, coils that turn, and a counter of seconds.

Unit 1, big-endian words. Holding register 1 + 2 i: signal i, REAL. After the last of them: seconds since 1970, UDINT.
Coils 1 to 16: coil i is on for i seconds, then off for i.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import math
import signal
import struct
import sys
import time
from functools import cache

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

COILS = 16
_READ_COILS, _READ_HOLDING = 1, 3
_MOST_POINTS = 30_000


def value_of(number: int, seed: int, now_s: float) -> float:
    """A signal at a time: a sine of its own period around a level of its own."""
    level, period_s = _drawn(number, seed)
    return level * (1 + 0.2 * math.sin(2 * math.pi * now_s / period_s))


@cache
def _drawn(number: int, seed: int) -> tuple[float, float]:
    digest = hashlib.blake2b(f"{seed} {number}".encode(), digest_size=8).digest()
    level, period = struct.unpack(">II", digest)
    return 10 + level % 1_000, 20 + period % 600


def registers(points: int, seed: int, now_s: float) -> list[int]:
    """All holding registers at a time."""
    values = struct.pack(f">{points}fI", *(value_of(number, seed, now_s) for number in range(points)), int(now_s))
    return list(struct.unpack(f">{len(values) // 2}H", values))


def coils(now_s: float) -> list[bool]:
    """All coils at a time."""
    return [int(now_s) // (place + 1) % 2 == 0 for place in range(COILS)]


async def serve(port: int, points: int, seed: int) -> None:
    """Until SIGTERM."""

    async def refreshed(
        function: int, start: int, _address: int, _count: int, current: list[int], _wanted: object
    ) -> None:
        now_s = time.time()
        if function == _READ_HOLDING:
            current[:] = registers(points, seed, now_s)[start : start + len(current)]
        elif function == _READ_COILS:
            current[:] = [int(each) for each in coils(now_s)][start : start + len(current)]

    now_s = time.time()
    bits = [SimData(0, values=coils(now_s), datatype=DataType.BITS)]
    words = [SimData(0, values=registers(points, seed, now_s), datatype=DataType.REGISTERS)]
    device = SimDevice(id=1, simdata=(bits, bits, words, words), action=refreshed)
    server = ModbusTcpServer([device], address=("127.0.0.1", port))
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await server.serve_forever(background=True)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    await stopped.wait()
    await server.shutdown()  # type: ignore[no-untyped-call]


def main() -> int:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--points", type=int, default=20)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    if not 1 <= given.points <= _MOST_POINTS:
        options.error(f"--points {given.points}: Modbus has room for 1 to {_MOST_POINTS:,} of them")
    asyncio.run(serve(given.port, given.points, given.seed))
    return 0
