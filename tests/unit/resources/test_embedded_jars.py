"""The jar cache: a jar counts when its SHA-256 is the lock's, and never before."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from resources.embedded import NoRoom, ServerNotReady
from resources.embedded import jars as jars_module
from resources.embedded.jars import LOCK_FILE, Jar, default_cache, ensure_jars, read_lock

CONTENT = {f"jar{number}": f"content of {number} ".encode() * 100 for number in range(12)}
JARS = tuple(
    Jar("org.example", name, "1.0", "", hashlib.sha256(content).hexdigest(), len(content))
    for name, content in CONTENT.items()
)


class Shop:
    """Stands for Maven Central: counts, and can deliver badly."""

    def __init__(self) -> None:
        self.fetched: list[str] = []
        self.bad: dict[str, list[bytes | Exception]] = {}
        self._lock = threading.Lock()

    def fetch(self, jar: Jar, folder: Path) -> Path:
        with self._lock:
            self.fetched.append(jar.artifact)
            faults = self.bad.get(jar.artifact, [])
            got: bytes | Exception = faults.pop(0) if faults else CONTENT[jar.artifact]
        path = folder / "deep" / f"{jar.artifact}.jar"
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(got, Exception):
            path.write_bytes(CONTENT[jar.artifact][:50])  # what a broken connection leaves
            raise got
        path.write_bytes(got)
        return path


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setattr(jars_module, "_WAIT_S", 0.0)
    return Shop()


def test_the_committed_lock_is_whole_and_slim() -> None:
    jars = read_lock(LOCK_FILE.read_text(encoding="utf-8"))
    names = {jar.artifact for jar in jars}
    assert {"iotdb-server", "iotdb-confignode", "ratis-server", "tsfile", "logback-classic", "zstd-jni"} <= names
    assert "slf4j-reload4j" not in names
    assert len({jar.file_name for jar in jars}) == len(jars)
    assert sum(jar.size_bytes for jar in jars) < 100 << 20


def test_a_lock_line_with_a_classifier() -> None:
    (jar,) = read_lock(f"# comment\n\norg.x:native:linux-x86_64:1.2 {'AB' * 32} 7 # why\n")
    assert (jar.classifier, jar.version, jar.file_name) == ("linux-x86_64", "1.2", "native-1.2-linux-x86_64.jar")
    assert jar.sha256 == "ab" * 32


@pytest.mark.parametrize("line", ["a:b:1", f"a:b {'0' * 64} 5", f"a:b:1 {'0' * 63} 5", f"a:b:c:d:e {'0' * 64} 5"])
def test_a_bad_lock_line_is_named(line: str) -> None:
    with pytest.raises(ValueError, match="line 2"):
        read_lock(f"# fine\n{line}\n")


def test_a_jar_named_twice_is_refused() -> None:
    line = f"a:b:1 {'0' * 64} 5\n"
    with pytest.raises(ValueError, match="second time"):
        read_lock(line + line)


def test_everything_is_fetched_once_and_progress_adds_up(tmp_path: Path, shop: Shop) -> None:
    told: list[tuple[int, int, str]] = []
    paths = ensure_jars(tmp_path, JARS, lambda *said: told.append(said), shop.fetch)
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())
    assert sorted(shop.fetched) == sorted(CONTENT)
    total = sum(map(len, CONTENT.values()))
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1][:2] == (total, total)
    assert ensure_jars(tmp_path, JARS, None, shop.fetch) == paths
    assert len(shop.fetched) == len(JARS)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in paths} | {".lock"}


@pytest.mark.parametrize("damage", [lambda b: b[:-1] + b"!", lambda b: b[: len(b) // 2], lambda _: b""])
def test_a_damaged_jar_in_the_cache_is_fetched_again_and_only_that(tmp_path: Path, shop: Shop, damage: object) -> None:
    paths = ensure_jars(tmp_path, JARS, None, shop.fetch)
    shop.fetched.clear()
    paths[3].write_bytes(damage(paths[3].read_bytes()))  # type: ignore[operator]
    ensure_jars(tmp_path, JARS, None, shop.fetch)
    assert shop.fetched == ["jar3"]
    assert paths[3].read_bytes() == CONTENT["jar3"]


def test_a_truncated_or_broken_download_does_not_count_and_is_tried_again(tmp_path: Path, shop: Shop) -> None:
    shop.bad = {"jar1": [CONTENT["jar1"][:100]], "jar2": [ConnectionError("reset"), CONTENT["jar2"][:-1]]}
    paths = ensure_jars(tmp_path, JARS, None, shop.fetch)
    assert paths[1].read_bytes() == CONTENT["jar1"]
    assert paths[2].read_bytes() == CONTENT["jar2"]
    assert shop.fetched.count("jar2") == 3


def test_what_cannot_be_had_is_named_and_the_rest_is_kept(tmp_path: Path, shop: Shop) -> None:
    shop.bad = {"jar5": [ConnectionError("no route to host")] * 99}
    with pytest.raises(ServerNotReady, match=r"1 of .* 12 jars .*org\.example:jar5:1\.0: no route to host"):
        ensure_jars(tmp_path, JARS, None, shop.fetch)
    assert not (tmp_path / "jar5-1.0.jar").exists()
    assert not (tmp_path / ".incoming").exists()
    shop.bad, shop.fetched = {}, []
    ensure_jars(tmp_path, JARS, None, shop.fetch)
    assert shop.fetched == ["jar5"]


def test_leftovers_of_a_killed_download_do_no_harm(tmp_path: Path, shop: Shop) -> None:
    left = tmp_path / ".incoming" / "jar0-1.0.jar.1" / "deep" / "jar0.jar"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    paths = ensure_jars(tmp_path, JARS, None, shop.fetch)
    assert paths[0].read_bytes() == CONTENT["jar0"]
    assert not (tmp_path / ".incoming").exists()


def test_two_at_once_fetch_each_jar_once(tmp_path: Path, shop: Shop) -> None:
    threads = [threading.Thread(target=ensure_jars, args=(tmp_path, JARS, None, shop.fetch)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(shop.fetched) == sorted(CONTENT)


def test_a_full_disk_is_said_before_anything_is_fetched(
    tmp_path: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jars_module, "_SPARE_BYTES", 1 << 60)
    with pytest.raises(NoRoom, match="FERRY_CACHE"):
        ensure_jars(tmp_path, JARS, None, shop.fetch)
    assert not shop.fetched


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRY_CACHE", str(tmp_path / "shared"))
    assert default_cache() == tmp_path / "shared"
    monkeypatch.delenv("FERRY_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_cache().is_relative_to(tmp_path)
    assert default_cache().name == "historian-ferry"
