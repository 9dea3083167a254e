"""Jars: named by a committed lock file, fetched by coordinate, kept in a shared cache.

The lock makes resolving unnecessary: every jar has its SHA-256, so a jar is either the right one or fetched again.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from jgo.maven import MavenContext
from tenacity import Retrying, stop_after_attempt, wait_random_exponential

from resources.embedded.errors import NoRoom, ServerNotReady
from resources.embedded.lock import locked

Progress = Callable[[int, int, str], None]
"""Called with bytes done, bytes in all, and what is being fetched."""

Fetch = Callable[["Jar", Path], Path]
"""Brings a jar into a folder and returns its path; may leave half a file and may raise anything."""

LOCK_FILE = Path(__file__).with_name("iotdb-jars.lock")

_THREADS = 8
_ATTEMPTS = 4
_WAIT_S = 0.2  # before the second attempt at most this, then at most twice as long each time
_LOCK_DEADLINE_S = 900.0  # another process may be fetching everything over a slow line
_SPARE_BYTES = 64 << 20
_REQUEST_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock: a Maven coordinate with the checksum and size of its jar."""

    group: str
    artifact: str
    version: str
    classifier: str
    sha256: str
    size_bytes: int

    @property
    def file_name(self) -> str:
        """Name in the cache, unique in a lock because the coordinate is in it."""
        classifier = f"-{self.classifier}" if self.classifier else ""
        return f"{self.artifact}-{self.version}{classifier}.jar"


def read_lock(text: str) -> tuple[Jar, ...]:
    """The jars of a lock: lines of `group:artifact:[classifier:]version sha256 size_bytes`, `#` comments.

    Raises ValueError naming the line that isn't one, or two jars of one file name.
    """
    jars: dict[str, Jar] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        parts = words[0].split(":")
        if len(words) != 3 or len(parts) not in {3, 4} or len(words[1]) != 64:
            raise ValueError(f"line {number} of the jar lock is not one: {line!r}")
        classifier = parts[2] if len(parts) == 4 else ""
        jar = Jar(parts[0], parts[1], parts[-1], classifier, words[1].lower(), int(words[2]))
        if jar.file_name in jars:
            raise ValueError(f"line {number} of the jar lock names {jar.file_name} a second time")
        jars[jar.file_name] = jar
    return tuple(jars.values())


def default_cache() -> Path:
    """$FERRY_CACHE, else the platform's cache folder. Works without a home folder, in the temporary folder then."""
    chosen = os.environ.get("FERRY_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    try:
        home = Path.home()
    except RuntimeError:  # no HOME and no passwd entry, as in some containers
        home = Path(tempfile.gettempdir()) / f"ferry-{os.getuid()}"
    if sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return (base / "historian-ferry").absolute()


def from_maven(jar: Jar, folder: Path) -> Path:
    """Fetch one jar by its coordinate with jgo, which knows where Maven Central is and needs no mvn."""
    context = MavenContext(repo_cache=folder, local_repos=[], timeout=_REQUEST_TIMEOUT_S)
    component = context.project(jar.group, jar.artifact).at_version(jar.version)
    return Path(component.artifact(classifier=jar.classifier).resolve())


def ensure_jars(
    folder: Path, jars: Iterable[Jar], progress: Progress | None = None, fetch: Fetch = from_maven
) -> tuple[Path, ...]:
    """Have every jar in `folder`, checked by SHA-256, and return their paths in the lock's order.

    Only what is missing or wrong is fetched, so an interrupted download goes on where it was. Safe in several
    processes at once. Raises NoRoom, or ServerNotReady with the jars that could not be had.
    """
    wanted = tuple(jars)
    if _missing(folder, wanted):  # a whole cache is only read: it may lie in a read-only image
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder / ".lock", _LOCK_DEADLINE_S):
                _fetch_all(folder, wanted, _missing(folder, wanted), progress, fetch)
        except OSError as error:
            raise ServerNotReady(
                f"the jars of {folder.name} can't be kept in {folder}: {error}. Set FERRY_CACHE to a folder of yours"
            ) from error
    return tuple(folder / jar.file_name for jar in wanted)


def _missing(folder: Path, jars: tuple[Jar, ...]) -> tuple[Jar, ...]:
    with ThreadPoolExecutor(_THREADS) as threads:
        good = list(threads.map(lambda jar: _is_whole(folder / jar.file_name, jar), jars))
    return tuple(jar for jar, whole in zip(jars, good, strict=True) if not whole)


def _is_whole(path: Path, jar: Jar) -> bool:
    try:
        if path.stat().st_size != jar.size_bytes:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except OSError:
        return False


def _fetch_all(
    folder: Path, jars: tuple[Jar, ...], missing: tuple[Jar, ...], progress: Progress | None, fetch: Fetch
) -> None:
    needed_bytes = sum(jar.size_bytes for jar in missing)
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes + _SPARE_BYTES:
        raise NoRoom(
            f"{folder} has {free_bytes >> 20} MiB free; the jars of {folder.name} need "
            f"{(needed_bytes + _SPARE_BYTES) >> 20} MiB. Make room or set FERRY_CACHE to a folder elsewhere"
        )
    total_bytes = sum(jar.size_bytes for jar in jars)
    done_bytes = total_bytes - needed_bytes
    incoming = folder / ".incoming"  # ours alone under the lock; what a killed process left in it is worthless
    shutil.rmtree(incoming, ignore_errors=True)
    failed: list[str] = []
    try:
        with ThreadPoolExecutor(_THREADS) as threads:
            running = {threads.submit(_fetch_one, folder, incoming, jar, fetch): jar for jar in missing}
            for future in as_completed(running):
                jar, error = running[future], future.exception()
                if error is not None:
                    failed.append(f"{jar.group}:{jar.artifact}:{jar.version}: {error}")
                    continue
                done_bytes += jar.size_bytes
                if progress is not None:
                    progress(done_bytes, total_bytes, jar.file_name)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    if failed:
        raise ServerNotReady(
            f"{len(failed)} of the {len(jars)} jars of {folder.name} could not be fetched from Maven Central, "
            f"first {failed[0]}. Check the network and its proxy settings and try again: what is in {folder} stays"
        )


def _fetch_one(folder: Path, incoming: Path, jar: Jar, fetch: Fetch) -> None:
    for attempt in Retrying(
        stop=stop_after_attempt(_ATTEMPTS), wait=wait_random_exponential(multiplier=_WAIT_S, max=5), reraise=True
    ):
        with attempt:
            place = incoming / f"{jar.file_name}.{attempt.retry_state.attempt_number}"
            place.mkdir(parents=True, exist_ok=True)
            got = fetch(jar, place)
            if not _is_whole(got, jar):
                raise ValueError(f"{got.stat().st_size} bytes came that don't have the lock's SHA-256")
            # Into the cache under its name only when whole, in one step: half a jar never counts.
            got.replace(folder / jar.file_name)
            shutil.rmtree(place, ignore_errors=True)
