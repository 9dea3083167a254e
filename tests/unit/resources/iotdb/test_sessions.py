"""What a lost connection means for who asked: a server that fell over a question is not asked the same again."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest

from pipelines import samples
from pipelines.ports import Retry, Skip, Unreachable
from pipelines.timeline import SECOND_NS, Interval
from resources.iotdb import scans, sessions
from resources.iotdb.faults import Fell, TooMuch
from resources.iotdb.session import Disconnected, Node
from resources.iotdb.sessions import Sessions


@dataclass
class Server:
    """Falls over statements with one of `deadly` in it; `up_again` is where it listens after that."""

    deadly: tuple[str, ...]
    port: int = 1
    up_again: int | None = 1
    asked: list[str] = field(default_factory=list)

    def session(self, node: Node, *_: Any) -> Session:
        if node.port != self.port:
            raise Disconnected("nobody")
        return Session(self)

    def take(self, sql: str) -> None:
        self.asked.append(sql)
        if any(word in sql for word in self.deadly):
            self.port = self.up_again or 0
            raise Disconnected("gone")


@dataclass
class Session:
    """One of its sessions."""

    server: Server
    open: bool = True

    def ping(self) -> None:
        return None

    def close(self) -> None:
        self.open = False

    def run(self, sql: str) -> None:
        self.server.take(sql)

    def query(self, sql: str, rows_at_once: int = 0) -> pa.Table:
        self.server.take(sql)
        return pa.table({"x": [1]})


def connected(server: Server, monkeypatch: pytest.MonkeyPatch, **more: Any) -> Sessions:
    monkeypatch.setattr(sessions, "Session", server.session)
    return Sessions(["127.0.0.1:1"], "u", "p", "d", **more)


def test_a_question_that_a_server_fell_over_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(("all",))
    found = connected(server, monkeypatch)
    for _ in range(2):
        with pytest.raises(Fell):
            found.read("all", "reading")
    assert server.asked == ["all"]
    assert found.read("half", "reading").num_rows == 1
    assert found.query("little", "looking").num_rows == 1


def test_who_does_not_come_back_is_unreachable_and_not_asked_the_same_later(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(("all",), up_again=None)
    found = connected(server, monkeypatch)
    with pytest.raises(Unreachable):
        found.read("all", "reading")
    server.port = 1
    with pytest.raises(Fell):
        found.read("all", "reading")
    assert server.asked == ["all"]


def test_what_little_was_asked_when_a_server_went_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(("clock",))
    found = connected(server, monkeypatch)
    with pytest.raises(Unreachable):
        found.query("clock", "reading")
    server.deadly = ()
    assert found.query("clock", "reading").num_rows == 1


def test_a_server_of_ours_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(("all", "load"), up_again=7)
    found = connected(server, monkeypatch, revive=lambda: ["127.0.0.1:7"])
    broken = found.broken
    with pytest.raises(Fell):
        found.read("all", "reading")
    assert found.broken > broken  # it is vouched for again
    assert found.read("half", "reading").num_rows == 1
    with pytest.raises(Retry) as told:  # what must not be said twice is not, and others go on
        found.run_once("load", "LOADing")
    assert not isinstance(told.value, Unreachable)
    assert server.asked == ["all", "half", "load"]


class Falling:
    """Goes away over questions about one point with more than `least_ns` of time."""

    database, where = "d", "IoTDB"

    def __init__(self, error: type[TooMuch], least_ns: int = 0) -> None:
        self.error, self.least_ns, self.falls = error, least_ns, 0

    def read(self, sql: str, doing: str, rows_at_once: int = 0) -> pa.Table:
        start_ns, end_ns = (int(bound) for bound in re.findall(r"time >?<?=? ?(\d+)", sql))
        if "'bad'" in sql and end_ns - start_ns > self.least_ns:
            self.falls += 1
            raise self.error("gone")
        names = ["time", "point", "tie", "value", "text", "code", "quality", "detail", "events", "characters"]
        kinds = {"point": pa.dictionary(pa.int32(), pa.string()), "tie": pa.dictionary(pa.int32(), pa.string())}
        kinds |= {"text": kinds["tie"], "value": pa.float64(), "quality": pa.int32(), "detail": pa.int32()}
        if "GROUP BY" in sql:
            names = ["point", "events", "characters"]
        return pa.table({name: pa.array([], kinds.get(name, pa.int64())) for name in names})


@pytest.mark.parametrize(("error", "most"), [(TooMuch, 40), (Fell, 3)])
def test_a_point_that_a_server_falls_over_is_left_out_and_named(error: type[TooMuch], most: int) -> None:
    """Halves of the points, then of the time, until nothing is left to halve, or it had to be started again twice."""
    falling = Falling(error)
    held = scans.stored_events(falling, "s", ["good", "bad"], Interval(0, SECOND_NS), 1)  # type: ignore[arg-type]
    with pytest.raises(Skip) as told:
        list(held)
    assert told.value.point == "bad"
    assert falling.falls <= most
    good = scans.stored_events(falling, "s", ["good"], Interval(0, SECOND_NS), 1)  # type: ignore[arg-type]
    assert list(good) == [samples.empty()]


def test_a_server_that_falls_over_all_of_a_point_is_asked_for_half() -> None:
    falling = Falling(Fell, SECOND_NS // 2)
    held = scans.stored_events(falling, "s", ["bad"], Interval(0, SECOND_NS), 1)  # type: ignore[arg-type]
    assert list(held) == [samples.empty()]
    assert 0 < falling.falls <= 3
