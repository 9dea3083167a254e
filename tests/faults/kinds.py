"""The kinds of faults: what is done to the source, the landing, IoTDB, the ledger, the plant file and our processes.

Each takes the plant and the seed's dice, does its worst and says what it did. A kind that strikes *during* a command is
given the running command. Everything that is drawn comes from the dice, so that a seed can be run again.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote

import httpx
import psutil
import psycopg

from pipelines.timeline import SECOND_NS, Interval, iso
from tests.faults.ground import DENSE, SOURCE, Plant
from tests.faults.middleman import MARK, POISONS
from tests.faults.oracle import bits
from tests.faults.warm import Child

Before = Callable[[Plant, random.Random], str]
During = Callable[[Plant, random.Random, Child], str]
NUMERIC = ("UNIT1.TEMP.TI002.PV", "UNIT1.PRESSURE.PI004.PV", "UNIT1.EDGES.TI023.PV", "Установка 2.Температура 17")
ODD = ("UNIT1.MODE.HS008.ST", "UNIT1.BATCH.ID009.TXT", "UNIT1.VALVE.XV007.ST", "UNIT1.BATCH.START010.TM")


BEFORE: dict[str, Before] = {}
DURING: dict[str, During] = {}


def before(function: Before) -> Before:
    BEFORE[function.__name__] = function
    return function


def during(function: During) -> During:
    DURING[function.__name__] = function
    return function


# --- at the source


def _edits(plant: Plant, dice: random.Random, kind: str, count: int, names: tuple[str, ...] = ()) -> str:
    given = {"seed": dice.randrange(1 << 30), "count": count, "kinds": [kind], "start": iso(plant.span.start_ns),
             "end": iso(plant.span.end_ns), "points": _there(plant, names or NUMERIC)}  # fmt: skip
    done = plant.control("edits", given)
    touched = sorted({quote(each["point"], safe="") for each in done.get("edits", [])})
    plant.touched |= set(touched) | {point for point, name in plant.names.items() if quote(name, safe="") in touched}
    return f"{len(done.get('edits', []))} × {kind} at {', '.join(touched)}"


def _there(plant: Plant, names: tuple[str, ...]) -> list[str]:
    """Those that the source still has, by their names of now."""
    renamed = {unquote(point): name for point, name in plant.names.items()}
    return [renamed.get(name, name) for name in names if quote(name, safe="") not in plant.absent]


@before
def edits(plant: Plant, dice: random.Random) -> str:
    return _edits(plant, dice, "change", 4)


@before
def swaps(plant: Plant, dice: random.Random) -> str:
    """Count and sum stay."""
    return _edits(plant, dice, "swap", 4)


@before
def late_events(plant: Plant, dice: random.Random) -> str:
    return _edits(plant, dice, "add", 5)


@before
def removals(plant: Plant, dice: random.Random) -> str:
    return _edits(plant, dice, "remove", 2)


@before
def ties(plant: Plant, dice: random.Random) -> str:
    """More events at the stamps of others, some of them their equals."""
    name = dice.choice(_there(plant, NUMERIC))
    point = next((p for p, n in plant.names.items() if n == name), quote(name, safe=""))
    times = sorted({event[0] for event in plant.truth.now[point] if _within(plant, event[0])})
    at = iso(dice.choice(times))
    values = [dice.choice([1.5, 1.5, -2.25]) for _ in range(3)]
    plant.control("edits", [{"op": "add", "point": name, "time": at, "value": value} for value in values])
    plant.touched.add(point)
    return f"ties {values} of {name} at {at}"


@before
def texts(plant: Plant, dice: random.Random) -> str:
    """Late strings and states of every sort."""
    name = "UNIT1.BATCH.ID009.TXT"
    if not _there(plant, (name,)):
        return "no string point is left"
    given = ["", "null", "été\n\t'\"", "🚰" * 50, "x" * 5_000, "NaN", dice.choice(["a", "b"])]
    plant.control("edits", [
        {"op": "add", "point": plant.name_of(quote(name)), "time": iso(_moment(plant, dice)), "value": value}
        for value in given
    ])  # fmt: skip
    plant.touched.add(quote(name, safe=""))
    return f"{len(given)} strings of {name}"


@before
def poison(plant: Plant, dice: random.Random) -> str:
    """A value that no honest server tells, until the end."""
    kind, name = dice.choice(sorted(POISONS)), dice.choice(NUMERIC[:2])
    at = iso(_moment(plant, dice))
    plant.man.poison = POISONS[kind]
    plant.truth.told = {bits(MARK): ("a", 1)} if kind == "odd state" else {}  # no other can be kept
    plant.control("edits", [{"op": "add", "point": plant.name_of(quote(name, safe="")), "time": at, "value": MARK}])
    plant.touched.add(quote(name, safe=""))
    return f"poison {kind!r} in {name} at {at}"


@before
def lying_counts(plant: Plant, dice: random.Random) -> str:
    """Every count is off by some, until the end."""
    plant.man.lie = dice.choice([1, -1, 3])
    plant.touched |= set(plant.truth.now)
    return f"every count of the source is {plant.man.lie:+} off"


@before
def retype(plant: Plant, dice: random.Random) -> str:
    name = dice.choice(_there(plant, NUMERIC))
    kind = dice.choice(["String", "Int32", "Float64"])
    told = plant.control("points", {"op": "retype", "name": name, "pi_type": kind})
    plant.touched.add(next((p for p, n in plant.names.items() if n == name), quote(name, safe="")))
    return f"{name} is {kind} now {told.get('refused', '')}"


@before
def rename(plant: Plant, dice: random.Random) -> str:
    name = dice.choice(_there(plant, NUMERIC + ODD))
    point = next((p for p, n in plant.names.items() if n == name), quote(name, safe=""))
    new = f"{name}.R{dice.randrange(1000)}"
    plant.control("points", {"op": "rename", "name": name, "to": new})
    plant.names[point] = new
    plant.touched.add(point)
    return f"{name} is called {new}"


@before
def delete_point(plant: Plant, dice: random.Random) -> str:
    name = dice.choice(_there(plant, ODD))
    point = next((p for p, n in plant.names.items() if n == name), quote(name, safe=""))
    plant.control("points", {"op": "delete", "name": name})
    plant.absent.add(point)
    plant.touched.add(point)
    return f"{name} is deleted at the source"


@before
def add_point(plant: Plant, dice: random.Random) -> str:
    name = f"NEW.{dice.randrange(1 << 20)}"
    plant.control("points", {"op": "add", "name": name, "interval_s": 120.0})
    plant.absent.add(quote(name, safe=""))
    plant.touched.add(quote(name, safe=""))
    return f"{name} is new at the source"


@before
def hide_window(plant: Plant, dice: random.Random) -> str:
    """An archive is not mounted, until the end."""
    span = _part(plant, dice)
    plant.control("hide", {"start": iso(span.start_ns), "end": iso(span.end_ns)})
    plant.touched |= set(plant.truth.now)
    return f"{span} is empty at the source"


@before
def hide_points(plant: Plant, dice: random.Random) -> str:
    """A permission is gone: some points are not in the catalogue, until the end."""
    names = dice.sample(_there(plant, NUMERIC + ODD), 3)
    plant.man.hidden = set(names)
    gone = {point for point in plant.truth.now if plant.name_of(point) in names}
    plant.absent |= gone
    plant.touched |= gone
    return f"the login does not see {', '.join(names)}"


@before
def other_guid(plant: Plant, dice: random.Random) -> str:
    """The PI server was restored or moved: the same points under another GUID, until the end."""
    told = httpx.get(f"{plant.man.upstream}/piwebapi/dataservers", timeout=60).json()["Items"][0]["Id"]
    plant.man.guid = (told.encode(), str(uuid.UUID(int=dice.getrandbits(128))).encode())
    plant.touched |= set(plant.truth.now)
    return f"the archive's GUID is another than {told}"


@before
def source_errors(plant: Plant, dice: random.Random) -> str:
    """Some requests fail, are cut off or end too early."""
    kind = dice.choice(["503", "500", "reset", "cut", "truncated", "web_exception"])
    times = dice.randint(1, 6)
    plant.control("faults", {"kind": kind, "times": times, "after": dice.randint(0, 5)})
    return f"{times} requests are answered with {kind}"


# --- at the disk, at IoTDB, at the ledger: by somebody else


@before
def flip_landing(plant: Plant, dice: random.Random) -> str:
    """One bit of a landed file."""
    files = sorted(plant.landing.rglob("*.parquet"))
    if not files:
        return "nothing is landed yet"
    file = dice.choice(files)
    plant.tampered = True
    return f"{_flip(file, dice)} of {file.name}"


@before
def lose_landing(plant: Plant, dice: random.Random) -> str:
    """A landed file, or its manifest, is gone."""
    files = sorted([*plant.landing.rglob("*.parquet"), *plant.landing.rglob("*.json")])
    if not files:
        return "nothing is landed yet"
    file = dice.choice(files)
    file.unlink()
    plant.tampered = True
    return f"{file.name} is gone"


@before
def foreign_delete(plant: Plant, dice: random.Random) -> str:
    """Somebody deletes rows in IoTDB."""
    found = plant.store.rows(f"SELECT DISTINCT point FROM {plant.store.table('samples')}")
    if not found:
        return "nothing is stored yet"
    point, span = dice.choice(sorted(found))[0], _part(plant, dice)
    plant.store.run("FLUSH", *(
        f"DELETE FROM {plant.store.table('samples')} WHERE source = '{SOURCE}' AND point = '{_sql(point)}' "
        f"AND tie = '{tie}' AND time >= {span.start_ns} AND time < {span.end_ns}" for tie in (0, 1)
    ))  # fmt: skip
    plant.tampered = True
    plant.touched.add(point)
    return f"rows of {point} in {span} are deleted in IoTDB"


@before
def foreign_number(plant: Plant, dice: random.Random) -> str:
    """Somebody writes another number over one in IoTDB."""
    rows = plant.store.rows(f"SELECT point, time, value, quality, detail FROM {plant.store.table('samples')} "
                            "WHERE tie = '0' ORDER BY time, point LIMIT 500")  # fmt: skip
    if not rows:
        return "nothing is stored yet"
    point, at, value, quality, detail = dice.choice(rows)
    _insert(plant, "samples", "value", point, at, repr(float(value) + 8), quality, detail)
    return f"{point} at {iso(at)} is {value} + 8 in IoTDB"


@before
def foreign_text(plant: Plant, dice: random.Random) -> str:
    """Somebody writes another text over one in IoTDB, and no count tells."""
    rows = plant.store.rows(f"SELECT point, time, text, code, quality, detail FROM {plant.store.table('states')} "
                            "WHERE tie = '0' ORDER BY time, point LIMIT 500")  # fmt: skip
    if not rows:
        return "nothing is stored yet"
    point, at, text, code, quality, detail = dice.choice(rows)
    _insert(plant, "states", "text, code", point, at, f"'forged', {code}", quality, detail)
    return f"{point} at {iso(at)} is 'forged', no more {text[:20]!r}, in IoTDB"


@before
def foreign_event(plant: Plant, dice: random.Random) -> str:
    """Somebody adds a row of a point that there is, or of one that there never was."""
    point = dice.choice(["UNIT1.TEMP.TI002.PV", "NOBODYS.POINT"])
    if not plant.store.rows(f"SELECT point FROM {plant.store.table('samples')} LIMIT 1"):
        return "nothing is stored yet"
    at = _moment(plant, dice) // 1000 * 1000 + 1
    _insert(plant, "samples", "value", point, at, "1.0", 192, 0)
    return f"a row of {point} at {at} is new in IoTDB"


@before
def wipe(plant: Plant, dice: random.Random) -> str:
    """The database is gone."""
    plant.store.run(f'DROP DATABASE IF EXISTS "{plant.name}"')
    plant.tampered = True
    return "the database is dropped in IoTDB"


@before
def full_disk(plant: Plant, dice: random.Random) -> str:
    """One of our folders has no room left, for one command."""
    if os.geteuid() or shutil.which("mount") is None:
        return "this machine lets nobody mount a small disk"
    folder = plant.state_dir / dice.choice(["landing", "marts", "dagster"])
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder.with_name(f"{folder.name}-kept")
    shutil.copytree(folder, kept, symlinks=True, dirs_exist_ok=True)
    held = sum(file.stat().st_size + 8192 for file in kept.rglob("*"))
    size = held + dice.choice([0, 16, 200]) * 1024 + 65_536
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    shutil.copytree(kept, folder, symlinks=True, dirs_exist_ok=True)
    shutil.rmtree(kept)

    def widen() -> None:
        shutil.copytree(folder, kept, symlinks=True)
        subprocess.run(["umount", str(folder)], check=True)
        shutil.copytree(kept, folder, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(kept)

    plant.after.append(widen)
    plant.expected |= {0, 4} | ({1} if plant.touched else set())
    return f"{folder.name} has room for {(size - held) // 1024} KiB"


# --- in the plant file


@before
def config_groups(plant: Plant, dice: random.Random) -> str:
    plant.write(groups=dice.choice([1, 3, 4]))
    return f"point_groups = {plant.groups}"


@before
def config_window(plant: Plant, dice: random.Random) -> str:
    plant.write(window="month" if plant.config["window"] == "day" else "day")
    return f"window = {plant.config['window']}"


@before
def config_points(plant: Plant, dice: random.Random) -> str:
    names = dice.sample(NUMERIC + ODD, 2)
    plant.write(exclude=[DENSE, *(names if len(plant.config["exclude"]) == 1 else ())])
    return f"exclude = {plant.config['exclude']}"


@before
def config_start(plant: Plant, dice: random.Random) -> str:
    earlier = iso(plant.span.start_ns - 3600 * SECOND_NS * dice.choice([1, 2]))
    plant.write(start=earlier)
    return f"start = {earlier}"


@before
def config_believe(plant: Plant, dice: random.Random) -> str:
    plant.write(believe_shrink=dice.choice([0.001, 0.05, 0.3]))
    return f"believe_shrink = {plant.config['believe_shrink']}"


# --- while a command runs


@during
def kill(plant: Plant, dice: random.Random, child: Child) -> str:
    """kill -9 of the command, or of one of its children."""
    _wait(child, dice.uniform(0.3, 12.0))
    family = _family(child)
    if not family:
        return "it was too quick to be killed"
    victim = family[0] if dice.random() < 0.6 else family[-1]
    with suppress(psutil.NoSuchProcess):
        victim.kill()
    if victim.pid == child.pid:
        child.wait()
        _, alive = psutil.wait_procs(family[1:], timeout=30)
        for each in alive:
            each.kill()
    return f"kill -9 of {'the command' if victim.pid == child.pid else 'its last child'}"


@during
def pause(plant: Plant, dice: random.Random, child: Child) -> str:
    """SIGSTOP of all of it for some seconds, while the ledger ends its connections."""
    _wait(child, dice.uniform(1.0, 10.0))
    family = _family(child)
    for each in family:
        with suppress(psutil.NoSuchProcess):
            each.suspend()
    cut = dice.random() < 0.5
    if cut:
        _cut(plant)
    time.sleep(dice.uniform(0.5, 3.0))  # this is the fault, not a wait
    for each in family:
        with suppress(psutil.NoSuchProcess):
            each.resume()
    return f"{len(family)} processes stood still" + (", and lost the ledger" if cut else "")


@during
def ledger_cut(plant: Plant, dice: random.Random, child: Child) -> str:
    """PostgreSQL ends all of its connections, as at a restart."""
    _wait(child, dice.uniform(1.0, 10.0))
    return f"PostgreSQL ended {_cut(plant)} connections"


@during
def store_stops(plant: Plant, dice: random.Random, child: Child) -> str:
    """IoTDB stands still for some seconds."""
    _wait(child, dice.uniform(0.5, 8.0))
    pids = plant.servers.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(dice.uniform(1.0, 6.0))  # this is the fault
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    return "IoTDB stood still"


@during
def store_dies(plant: Plant, dice: random.Random, child: Child) -> str:
    """kill -9 of IoTDB; it is started again after the command."""
    _wait(child, dice.uniform(0.5, 8.0))
    for pid in plant.servers.pids():
        os.kill(pid, signal.SIGKILL)
    plant.after.append(lambda: plant.servers.iotdb.ensure() and None)
    plant.expected |= {0, 1, 3}
    return "IoTDB was killed"


@during
def flip_staging(plant: Plant, dice: random.Random, child: Child) -> str:
    """One bit of the next file that is staged for LOAD."""
    folder, end_s = plant.servers.iotdb.staging_dir, time.monotonic() + 60
    while child.poll() is None and time.monotonic() < end_s:
        for file in folder.rglob("*.tsfile"):
            with suppress(OSError, ValueError):
                if file.stat().st_size > 200:
                    plant.touched |= set(plant.truth.now)
                    return f"{_flip(file, dice)} of a staged file"
    return "nothing was staged"


@during
def edit_meanwhile(plant: Plant, dice: random.Random, child: Child) -> str:
    """The source is edited while an answer is on its way."""
    plant.edited_meanwhile = True
    kind, said = dice.choice(["change", "add", "remove", "swap"]), []
    plant.man.hold_after, plant.man.hold_answered = dice.randint(0, 6), dice.random() < 0.7
    plant.man.hold = lambda: said.append(_edits(plant, dice, kind, 3))
    child.wait(240)
    plant.man.hold = None
    return said[0] if said else "nothing was pulled"


@during
def another_actor(plant: Plant, dice: random.Random, child: Child) -> str:
    """A second command at once."""
    moved = ("backfill", "--start", iso(plant.span.start_ns), "--end", iso(plant.span.end_ns))
    words = dice.choice([moved, ("sweep", "--restate"), moved, ("status",)])
    _wait(child, dice.uniform(0.0, 3.0))
    other = plant.ferry(*words)
    return f"beside it {other}"


# --- parts


def calm(plant: Plant) -> None:
    """All that stands is over: what is hidden is shown, who lies tells the truth, no value is poisoned any more."""
    plant.absent -= {point for point in plant.truth.now if plant.name_of(point) in plant.man.hidden}
    plant.man.calm()
    plant.truth.told = {}
    plant.control("hide", method="DELETE")
    plant.control("faults", method="DELETE")


def _within(plant: Plant, time_ns: int) -> bool:
    return plant.span.start_ns <= time_ns < plant.span.end_ns


def _moment(plant: Plant, dice: random.Random) -> int:
    return plant.span.start_ns + dice.randrange(plant.span.length_ns // 100) * 100


def _part(plant: Plant, dice: random.Random) -> Interval:
    """An hour or two of the span."""
    start_ns = _moment(plant, dice)
    return Interval(start_ns, min(plant.span.end_ns, start_ns + dice.choice([1, 2]) * 3600 * SECOND_NS))


def _flip(path: Path, dice: random.Random) -> str:
    content = bytearray(path.read_bytes())
    place, bit = dice.randrange(4, len(content) - 8), dice.randrange(8)
    content[place] ^= 1 << bit
    with path.open("r+b") as opened:
        opened.seek(place)
        opened.write(content[place : place + 1])
    return f"bit {bit} of byte {place}"


def _insert(plant: Plant, table: str, fields: str, point: str, at: int, values: str, quality: int, detail: int) -> None:
    plant.store.run(
        f"INSERT INTO {plant.store.table(table)} (time, source, point, tie, {fields}, quality, detail) "
        f"VALUES ({at}, '{SOURCE}', '{_sql(point)}', '0', {values}, {quality}, {detail})",
        "FLUSH",
    )
    plant.tampered = True
    plant.touched.add(point)


def _sql(text: str) -> str:
    return text.replace("'", "''")


def _cut(plant: Plant) -> int:
    with psycopg.connect(plant.servers.postgres.dsn("postgres"), autocommit=True) as connection:
        rows = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (plant.name,)
        ).fetchall()
    return len(rows)


def _wait(child: Child, seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        child.wait(seconds)


def _family(child: Child) -> list[psutil.Process]:
    """The command and its children, those that still run."""
    if child.poll() is not None:
        return []
    with suppress(psutil.NoSuchProcess):
        own = psutil.Process(child.pid)
        return [own, *own.children(recursive=True)]
    return []


def names() -> Iterator[str]:
    yield from sorted([*BEFORE, *DURING])
