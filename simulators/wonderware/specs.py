"""What a tag is, and the plant's default mix: number (wwTagKey) → specification, the same for a seed everywhere.

The first tags each show one thing that real Historians hold and naive clients lose; the rest are the ordinary mass:
about 60 % analog, 25 % discrete, 15 % string; 1 % dense (one row a second), 20 % sparse, 2 % silent, the others every
30 s to 10 min.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Literal

from simulators.wonderware.events import MILLISECOND_NS, TICK_NS

Kind = Literal["analog", "discrete", "string"]
TAG_TYPES: dict[Kind, int] = {"analog": 1, "discrete": 2, "string": 3}  # facts 2.8
DENSE_S, SPARSE_S, SILENT_S = 1.0, 21_600.0, 0.0
NAME_CHARACTERS = 256
NOT_ACQUIRED, IO_SERVER, SYSTEM_DRIVER = 0, 1, 3  # AcquisitionType (HIST/1220349)
STRUCTURE, EVENT, SUMMARY = 4, 5, 7  # TagTypes that have no rows in History
CYCLIC, DELTA, NOT_STORED = 1, 2, 17  # StorageType (facts 2.8)


@dataclass(frozen=True, slots=True)
class Spec:
    """One tag: what the catalogue says of it, and how its rows come about.

    `interval_s` is the mean time between rows, seconds (0: never any); `step_ns` what its stamps are whole multiples
    of; `role` the oddity that it shows, '' for none.
    """

    number: int
    name: str
    kind: Kind
    interval_s: float
    step_ns: int = MILLISECOND_NS
    role: str = ""
    unit: str = ""
    description: str | None = ""
    low: float = 0.0
    high: float = 100.0
    decimals: int = 4
    messages: tuple[str, str] | None = None  # of 0 and of 1
    storage_type: int = DELTA
    deleted: bool = False
    acquisition: int = IO_SERVER
    other_type: int = 0  # TagType, of a tag that is neither analog, discrete nor string

    @property
    def tag_type(self) -> int:
        """TagType of Tag and TagRef."""
        return self.other_type or TAG_TYPES[self.kind]

    @property
    def is_system(self) -> bool:
        """True for the Historian's own tags; a plant's may have names like theirs."""
        return self.acquisition == SYSTEM_DRIVER


OPEN = ("Closed", "Open")
MESSAGES = (("Off", "On"), OPEN, ("Stopped", "Running"), ("Normal", "Störung ⚠"), ("", "Alarm"))

_SPECIAL: tuple[tuple[str, Kind, float, str], ...] = (
    # name, kind, interval in s, role
    ("UNIT1.FLOW.FI001.PV", "analog", DENSE_S, ""),
    ("UNIT1.TEMP.TI002.PV", "analog", 60.0, ""),
    ("UNIT1.VALVE.XV003.ST", "discrete", 300.0, ""),
    ("UNIT1.BATCH.ID004.TXT", "string", 600.0, ""),
    ("UNIT1.TIES.TI005.PV", "analog", 300.0, "ties"),
    ("UNIT1.SILENT.XI006.PV", "analog", SILENT_S, ""),
    ("UNIT1.TROUBLE.TI007.PV", "analog", 60.0, "trouble"),
    ("UNIT1.TROUBLE.XV008.ST", "discrete", 120.0, "trouble"),
    ("UNIT1.TROUBLE.ID009.TXT", "string", 300.0, "trouble"),
    ("UNIT1.BIG.QI010.PV", "analog", 300.0, "big"),
    ("UNIT1.REPLICA.TI011.PV", "analog", 60.0, "replica"),
    ("UNIT1.EDGES.TI012.PV", "analog", 120.0, "edges"),
    ("UNIT1.REPEAT.TI013.PV", "analog", 30.0, "repeat"),
    ("UNIT1.EDITED.TI014.PV", "analog", 120.0, "edited"),
    ("UNIT1.NULLS.TI015.PV", "analog", 120.0, "nulls"),
    ("UNIT1.UNCERTAIN.TI016.PV", "analog", 120.0, "uncertain"),
    ("UNIT1.NOOPC.TI017.PV", "analog", 120.0, "no opc"),
    ("UNIT1.SPARSE.XI018.PV", "analog", SPARSE_S, ""),
    ("UNIT1.TIES.ID019.TXT", "string", 600.0, "ties"),
    ("UNIT1.TIES.XV020.ST", "discrete", 600.0, "ties"),
    ("Reactor[21].Temp.PV", "analog", 60.0, ""),
    ("$Area_022.Level$", "analog", 90.0, ""),
    ('He said "go", it\'s 23', "discrete", 120.0, ""),
    ("O''Brien's pump; DROP TABLE Tag;-- 24", "analog", 120.0, ""),
    ("25_%_load", "analog", 120.0, ""),
    ("25XYZload", "analog", 120.0, ""),  # what LIKE '25_%_load' takes for the one above
    ("Установка 2.Температура 27", "analog", 60.0, ""),
    ("Überlauf Pumpe 28 (°C)", "analog", 60.0, ""),
    ("Pump 🚰 29", "discrete", 300.0, "trouble"),
    ("[bracketed 30]", "string", 600.0, ""),
    ("LONG031." + "abcdefgh." * 27 + "PV.PV", "analog", 120.0, ""),
    ("SELECT * FROM [Tag] WHERE 1=1 -- 32", "string", 600.0, "trouble"),
    ("../area/33?x=1;y=*&z=\\", "analog", 120.0, ""),
    ("UNIT1.NOMESSAGE.XV034.ST", "discrete", 300.0, ""),
    ("UNIT1.DELETED.XI035.PV", "analog", 300.0, "deleted"),
    ("UNIT1.NOTSTORED.XI036.PV", "analog", SILENT_S, "not stored"),
    ("SysTimeSec", "analog", DENSE_S, "heartbeat"),
    ("SysPulse", "discrete", 60.0, "heartbeat"),
    ("SysPerfCPUTotal", "analog", 10.0, ""),
    ("SysStatusText", "string", SPARSE_S, ""),
    ("System2.Pump.FI041.PV", "analog", 60.0, ""),  # a plant's own, whatever it is called
    ("SysStatusEvent", "analog", SILENT_S, "event"),
    ("UNIT1.RECIPE.043", "string", SILENT_S, "structure"),
    ("UNIT1.TEMP.TI002.PV.Hourly", "analog", SILENT_S, "summary"),
    ("UNIT1.VALVE.XV003.ST.Shifts", "analog", SILENT_S, "summary"),
)
SPECIAL_COUNT = len(_SPECIAL)
_OTHER_TYPES = {"structure": STRUCTURE, "event": EVENT, "summary": SUMMARY}
_SYSTEM = range(37, 41)  # their numbers
_SILENT_MESSAGES = ("UNIT1.NOMESSAGE.XV034.ST", "UNIT1.TROUBLE.XV008.ST")

_AREAS = (
    ("FLOW", "m³/h", 0.0, 250.0, 3),
    ("TEMP", "°C", -20.0, 220.0, 2),
    ("PRESSURE", "bar", 0.0, 16.0, 5),
    ("LEVEL", "%", 0.0, 100.0, 1),
    ("POWER", "kW", 0.0, 1_800.0, 0),
    ("ANALYSIS", "ppm", 0.0, 50.0, 17),
)
UNITS = ("None", *(unit for _, unit, *_ in _AREAS), "s")
_RATES = (30.0,) * 10 + (60.0,) * 25 + (90.0,) * 25 + (120.0,) * 20 + (300.0,) * 12 + (600.0,) * 8


def _hash(seed: int, number: int, salt: str) -> int:
    text = struct.pack("<qq", seed, number) + salt.encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def special_spec(number: int) -> Spec:
    """One of the first SPECIAL_COUNT tags."""
    name, kind, interval_s, role = _SPECIAL[number - 1]
    return Spec(
        number=number,
        name=name,
        kind=kind,
        interval_s=interval_s,
        step_ns=TICK_NS if role == "replica" else MILLISECOND_NS,
        role="" if role in ("deleted", "not stored", *_OTHER_TYPES) else role,
        unit="°C" if kind == "analog" else "",
        description=None if number == 17 else f"stand-in tag {number}: {role or kind}",
        decimals={"repeat": 0, "heartbeat": 0}.get(role, 17 if number == 2 else 4),
        messages=OPEN if kind == "discrete" and name not in _SILENT_MESSAGES else None,
        storage_type=_storage_type(interval_s, role),
        deleted=role == "deleted",
        acquisition=SYSTEM_DRIVER if number in _SYSTEM else NOT_ACQUIRED if role in _OTHER_TYPES else IO_SERVER,
        other_type=_OTHER_TYPES.get(role, 0),
    )


def usual_spec(number: int, seed: int) -> Spec:
    """One of the ordinary mass; rates follow from the number alone, so that totals hold for every seed."""
    area, unit, low, high, decimals = _AREAS[_hash(seed, number, "area") % len(_AREAS)]
    interval_s = _RATES[(number * 37) % len(_RATES)]
    if number % 100 == 50:
        interval_s = DENSE_S
    elif number % 50 == 13:
        interval_s = SILENT_S
    elif number % 5 == 1:
        interval_s = SPARSE_S
    draw = _hash(seed, number, "kind") % 1_000
    kind: Kind = "analog" if draw < 600 or interval_s == DENSE_S else "discrete" if draw < 850 else "string"
    if kind == "string" and 0 < interval_s < 300:
        interval_s = 300.0
    messages = MESSAGES[_hash(seed, number, "message") % len(MESSAGES)]
    return Spec(
        number=number,
        name=f"Unit{2 + number // 200:02d}.{area.title()}_{number:06d}.PV",
        kind=kind,
        interval_s=interval_s,
        step_ns=TICK_NS if _hash(seed, number, "step") % 50 == 0 else MILLISECOND_NS,
        role="replica" if _hash(seed, number, "step") % 50 == 0 else "",
        unit=unit if kind == "analog" else "",
        description=None if number % 40 == 7 else f"{area.lower()} {number}",
        low=low,
        high=high,
        decimals=decimals,
        messages=messages if kind == "discrete" and number % 9 else None,
        storage_type=_storage_type(interval_s, ""),
    )


def default_spec(number: int, seed: int) -> Spec:
    """The tag with this number (from 1) in a plant of this seed."""
    return special_spec(number) if number <= SPECIAL_COUNT else usual_spec(number, seed)


def _storage_type(interval_s: float, role: str) -> int:
    if role == "not stored":
        return NOT_STORED
    return CYCLIC if interval_s == DENSE_S or role == "heartbeat" else DELTA
