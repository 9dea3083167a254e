"""What a point is, and the plant's default mix of points: number → specification, the same for a seed everywhere.

The first points each show one thing that real historians hold and naive clients lose; the rest are the ordinary
mass. About 1 % are dense (one event a second), 20 % sparse (a few a day), 2 % silent, the others every 30 s to 10 min.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, replace

PI_TYPES = ("Int16", "Int32", "Float16", "Float32", "Float64", "Digital", "String", "Timestamp", "Blob")
DENSE_S, SPARSE_S = 1.0, 21_600.0
SILENT_S = 0.0


@dataclass(frozen=True, slots=True)
class Spec:
    """One point: what the catalogue says of it, and how its events come about.

    `interval_s` is the mean time between events, seconds (0: never any); `digits` the digits of its times' fraction
    (0 or 7, or -1 for both); `role` the oddity that it shows, '' for none.
    """

    number: int  # the point's id in the Data Archive
    name: str
    pi_type: str
    interval_s: float
    digits: int = 7
    role: str = ""
    digital_set: str = ""
    unit: str = ""
    description: str = ""
    zero: float = 0.0
    span: float = 100.0
    decimals: int = 5  # of the values' decimal text
    step: bool = False
    future: bool = False


def _hash(seed: int, number: int, salt: str) -> int:
    text = struct.pack("<qq", seed, number) + salt.encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


_SPECIAL: tuple[tuple[str, str, float, int, str], ...] = (
    # name, type, interval in s, digits, role
    ("UNIT1.FLOW.FI001.PV", "Float32", DENSE_S, 7, ""),
    ("UNIT1.TEMP.TI002.PV", "Float32", 60.0, 7, ""),
    ("UNIT1.LEVEL.LI003.PV", "Float16", 60.0, 7, "range"),
    ("UNIT1.PRESSURE.PI004.PV", "Float64", 90.0, 7, ""),
    ("UNIT1.COUNTER.KI005.PV", "Int32", 120.0, 0, "limits"),
    ("UNIT1.COUNTER.KI006.PV", "Int16", 120.0, 0, "limits"),
    ("UNIT1.VALVE.XV007.ST", "Digital", 300.0, 7, "Valve"),
    ("UNIT1.MODE.HS008.ST", "Digital", 120.0, -1, "Modes"),
    ("UNIT1.BATCH.ID009.TXT", "String", 600.0, 7, ""),
    ("UNIT1.BATCH.START010.TM", "Timestamp", 600.0, 7, ""),
    ("UNIT1.SPECTRUM.AI011.BLOB", "Blob", 1_800.0, 7, ""),
    ("UNIT1.TIES.TI012.PV", "Float32", 300.0, 7, "ties"),
    ("UNIT1.SILENT.XI013.PV", "Float32", SILENT_S, 7, ""),
    ("UNIT1.FORECAST.FC014.PV", "Float32", 900.0, 0, "future"),
    ("UNIT1.TROUBLE.TI015.PV", "Float32", 60.0, -1, "trouble"),
    ("UNIT1.BIG.QI016.PV", "Float64", 300.0, 7, "big"),
    ("Установка 2.Температура 17", "Float32", 60.0, 7, ""),
    ("Überlauf Pumpe 18 (°C)", "Float32", 60.0, 0, ""),
    ("Pump 🚰 19", "Digital", 300.0, 7, "Pump"),
    ("50% load + 3 | A#1 & B.20", "Float32", 120.0, 7, ""),
    ('He said "go", it\'s 21', "Int32", 120.0, 7, ""),
    ("UNIT1.SPARSE.XI022.PV", "Float32", SPARSE_S, 7, ""),
    ("UNIT1.EDGES.TI023.PV", "Float32", 120.0, -1, "edges"),
    ("UNIT1.ERRORS.AI024.PV", "Float64", 300.0, 7, "errors"),
    ("UNIT1.CLASH.HS025.ST", "Digital", 600.0, 0, "Clash"),
    ("../area/26?x=1;y=*", "Float32", 120.0, 7, ""),
)
SPECIAL_COUNT = len(_SPECIAL)

_AREAS = (
    ("FLOW", "m3/h", 0.0, 250.0, 4),
    ("TEMP", "°C", -20.0, 220.0, 4),
    ("PRESSURE", "bar", 0.0, 16.0, 6),
    ("LEVEL", "%", 0.0, 100.0, 5),
    ("POWER", "kW", 0.0, 1_800.0, 3),
    ("ANALYSIS", "ppm", 0.0, 50.0, 5),
)
_RATES = (30.0,) * 10 + (60.0,) * 25 + (90.0,) * 25 + (120.0,) * 20 + (300.0,) * 12 + (600.0,) * 8
_TYPES = (
    ("Float32", 600),
    ("Float64", 720),
    ("Int32", 800),
    ("Float16", 860),
    ("Int16", 900),
    ("Digital", 975),
    ("String", 990),
    ("Timestamp", 1_000),
)


def special_spec(number: int) -> Spec:
    """One of the first SPECIAL_COUNT points."""
    name, pi_type, interval_s, digits, role = _SPECIAL[number - 1]
    digital = pi_type == "Digital"
    return Spec(
        number=number,
        name=name,
        pi_type=pi_type,
        interval_s=interval_s,
        digits=digits,
        role="" if digital else role,
        digital_set=role if digital else "",
        unit="" if pi_type in ("Digital", "String", "Timestamp", "Blob") else "°C",
        description=f"stand-in point {number}: {role or pi_type}",
        decimals=17 if number == 4 else 5,  # number 4 has every digit of a double
        step=pi_type not in ("Float16", "Float32", "Float64"),
        future=role == "future",
    )


def usual_spec(number: int, seed: int) -> Spec:
    """One of the ordinary mass; rates follow from the number alone, so that totals hold for every seed."""
    area, unit, zero, span, decimals = _AREAS[_hash(seed, number, "area") % len(_AREAS)]
    if number % 100 == 50:
        interval_s = DENSE_S
    elif number % 50 == 13:
        interval_s = SILENT_S
    elif number % 5 == 1:
        interval_s = SPARSE_S
    else:
        interval_s = _RATES[(number * 37) % len(_RATES)]
    draw = _hash(seed, number, "type") % 1_000
    if interval_s == DENSE_S:
        draw %= 860  # numbers only: a string point with an event a second is no plant
    pi_type = next(name for name, below in _TYPES if draw < below)
    if pi_type in ("String", "Timestamp") and 0 < interval_s < 300:
        interval_s = 300.0
    digital = pi_type == "Digital"
    sets = ("OnOff", "Valve", "Pump", "Modes")
    return Spec(
        number=number,
        name=f"UNIT{2 + number // 200}.{area}.{area[0]}I{number:06d}.PV",
        pi_type=pi_type,
        interval_s=interval_s,
        digits=(7, 7, 0, -1)[_hash(seed, number, "digits") % 4],
        digital_set=sets[_hash(seed, number, "set") % len(sets)] if digital else "",
        unit="" if digital or pi_type in ("String", "Timestamp") else unit,
        description=f"{area.lower()} {number}",
        zero=0.0 if pi_type == "Int16" else zero,
        span=span,
        decimals=(decimals, 17)[pi_type == "Float64" and number % 2],
        step=digital or pi_type in ("String", "Timestamp"),
    )


def default_spec(number: int, seed: int, every_s: float = 0.0) -> Spec:
    """The point with this number (from 1) in a plant of this seed; with `every_s` the ordinary ones are numbers that
    come so often."""
    if number <= SPECIAL_COUNT:
        return special_spec(number)
    spec = usual_spec(number, seed)
    if not every_s:
        return spec
    return replace(spec, pi_type="Float32", digital_set="", step=False, interval_s=every_s)
