"""Progress, redaction, the demo's plant file, restated slices: the parts that need no line."""

from __future__ import annotations

import contextlib
import io
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from cli import demo_plant
from cli.forecast import Pace, pace_of
from cli.outcome import code_of, without_secrets
from cli.progress import Downloads, Moving, duration, percent
from cli.restate import whole_slices
from cli.screen import Screen
from pipelines.plant import load_plant
from pipelines.ports import SliceId, SliceRecord, Stop
from pipelines.timeline import HOUR_NS, SECOND_NS, Interval
from tests.unit.cli.conftest import DAY, PLANT, START

ROOT = Path(__file__).parents[3]


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def slice_event(hour: int, events: int = 1_000) -> dict[str, object]:
    start_ns = START + hour * HOUR_NS
    return {"kind": "slice", "group": "g000", "start_ns": start_ns, "end_ns": start_ns + HOUR_NS, "events": events,
            "state": "verified", "note": "", "seconds": 2.0}  # fmt: skip


def test_plain_progress_is_a_line_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Moving(Screen(), 24 * HOUR_NS, clock) as moving:
        clock.now_s = 30.0  # the run's process starts
        for hour in range(12):
            clock.now_s += 2.0
            moving.take(slice_event(hour))
    lines = shown(capsys)
    assert 3 <= len(lines) <= 6
    assert moving.share == 0.5
    assert moving.events == 12_000
    assert moving.left_s == pytest.approx(24.0)
    assert moving.events_per_s == pytest.approx(500, rel=0.1)
    assert "left" in lines[-1]


def test_progress_names_problems_and_unproved_points(capsys: pytest.CaptureFixture[str]) -> None:
    with Moving(Screen(), HOUR_NS, Clock()) as moving:
        moving.take({"kind": "plan", "pairs": 1, "runs": 1})
        moving.take({"kind": "pair", "group": "g000", "window": "2026-01-01", "events": 5,
                     "unproved": {"a": "why"}, "problems": ["it broke"]})  # fmt: skip
    text = "\n".join(shown(capsys))
    assert "it broke" in text
    assert "1 points unproved" in text


def test_downloads_on_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Downloads(Screen(), clock) as downloads:
        for done in range(0, 101, 10):
            clock.now_s += 1.0
            downloads.update(done << 20, 100 << 20, "a.jar")
    lines = shown(capsys)
    assert len(lines) == 3
    assert lines[-1].endswith("100 of 100 MiB (100 %)")


def test_a_share_is_rounded_down() -> None:
    assert percent(1.0) == "100.0 %"
    assert percent(0.99999) == "99.9 %"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59, "59 s"), (61, "1 min 01 s"), (3_660, "1 h 01 min"), (360_000, "100 h 00 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_secrets_are_hidden_and_short_words_are_not() -> None:
    text = "abc said hunter22 to http://user:word@host/x, then http://host/y@z"
    clean = without_secrets(text, {"hunter22", "abc", ""})
    assert "hunter22" not in clean
    assert "word" not in clean
    assert "abc said" in clean
    assert "http://host/y@z" in clean


def test_the_worst_of_several_errors_decides() -> None:
    assert code_of(BaseExceptionGroup("many", [Stop("a"), MemoryError()])) == 4


def test_json_mode_keeps_stdout_to_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(as_json=True)
    with screen.guarded():
        print("a library talks")
        screen.say("a result for people")
        screen.emit({"n": 1, "name": "Ölstand"})
        screen.emit({"n": 2})
    out, err = capsys.readouterr()
    assert out == '{"n": 1, "name": "Ölstand"}\n'
    assert "a library talks" in err
    assert "a result for people" in err


def test_tables_survive_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().table("", ("point", "events"), [("[red]x[/]", 1_000), ("y", None)])
    out = capsys.readouterr().out
    assert "[red]x[/]" in out
    assert "1,000" in out
    assert "?" in out


def record(start: int, end: int, state: str = "verified", at_s: float = 0.0, events: int = 10) -> SliceRecord:
    span = Interval(START + start * HOUR_NS, START + end * HOUR_NS)
    return SliceRecord(SliceId("pi1", "g000", span), state, "g", "r", events, 1,
                       recorded_ns=START + int(at_s * SECOND_NS))  # fmt: skip


def test_slices_are_reopened_whole() -> None:
    history = [record(0, 4), record(4, 8), record(8, 24)]
    inside = Interval(START + 3 * HOUR_NS, START + 5 * HOUR_NS)
    assert whole_slices(history, inside, DAY) == Interval(START, START + 8 * HOUR_NS)
    assert whole_slices([], inside, DAY) == inside
    assert whole_slices([*history, record(0, 24, "planned")], inside, DAY) == Interval(START, START + 8 * HOUR_NS)


def of_run(run: str, *at_s: float, events: int = 100) -> list[SliceRecord]:
    """What a run moved, newest first: an hour and 100 events at each of these seconds."""
    return [replace(record(0, 1, at_s=each, events=events), run_id=run) for each in reversed(at_s)]


def test_pace_counts_from_the_end_of_what_ended_together_first() -> None:
    # Three at once: what the first wave took is not in the ledger, and 300 events came in no time.
    pace = pace_of(of_run("a", 100, 100, 100, 110, 110, 110, 120, 120, 120), 3)
    assert pace is not None
    assert (pace.events, pace.seconds, pace.slice_ns, pace.runs) == (600, 20.0, 6 * HOUR_NS, 1)
    assert pace.events_per_s == 30.0


def test_pace_is_of_the_last_runs_without_what_lies_between() -> None:
    runs = [of_run(f"{number}", *(number * 10_000 + each for each in (0, 10))) for number in range(9)]
    newest_first = [each for run in reversed(runs) for each in run]
    pace = pace_of(newest_first, 1)
    assert pace is not None
    assert (pace.runs, pace.events, pace.seconds) == (5, 500, 50.0)
    slow = [*of_run("slow", 200_000, 201_000), *newest_first]
    assert pace_of(slow, 1) == Pace(500, 5 * HOUR_NS, 1_040.0, 5)


def test_too_little_shows_no_pace() -> None:
    assert pace_of([], 1) is None
    assert pace_of(of_run("a", 1, 2, 3), 3) is None
    assert pace_of(of_run("a", 1, 1.2), 1) is None
    assert pace_of(of_run("a", 1, 9, events=0), 1) is None


@pytest.fixture
def plant_file(tmp_path: Path) -> Path:
    path = tmp_path / "ferry.toml"
    path.write_text((ROOT / "ferry.toml").read_text(encoding="utf-8"), encoding="utf-8")
    return path


def demo(path: Path, points: int | None = None, hours: int | None = None) -> Path:
    return demo_plant.demo_file(path, load_plant(path), points, hours)


def test_a_demo_as_the_plant_file_says_uses_it(plant_file: Path) -> None:
    assert demo(plant_file) == plant_file
    assert demo(plant_file, 2_000, 24) == plant_file
    assert demo(plant_file) == plant_file


def test_a_demo_of_another_size_has_a_plant_file_of_its_own(plant_file: Path) -> None:
    made = demo(plant_file, 50, 30)
    small, full = load_plant(made), load_plant(plant_file)
    assert small.state_dir == full.state_dir
    source, usual = small.source[0], full.source[0]
    assert source.simulate is not None
    assert (source.simulate.points, source.simulate.hours) == (50, 30)
    assert source.end == usual.start + 30 * HOUR_NS
    assert source.auth == usual.auth
    assert demo(plant_file, 50, 30) == made
    assert demo(plant_file) == made, "the demo that is there goes on"


def test_two_sizes_never_share_a_state_folder(plant_file: Path) -> None:
    demo(plant_file)
    made = demo(plant_file, 50, 2)
    plant = load_plant(plant_file)
    assert load_plant(made).state_dir == plant.state_dir / "demos" / "p50-h2"
    assert demo_plant.nested(plant) == [made]
    assert demo(plant_file) == plant_file


def test_the_demo_needs_a_stand_in(tmp_path: Path) -> None:
    path = tmp_path / "ferry.toml"
    path.write_text(PLANT, encoding="utf-8")
    with pytest.raises(Stop, match="simulate"):
        demo(path)


def test_toml_goes_there_and_back() -> None:
    text = (ROOT / "ferry.toml").read_text(encoding="utf-8")
    raw = tomllib.loads(text)
    raw["source"][0]["exclude"] = ['quote " and \\ and Ü', "*"]
    assert tomllib.loads(demo_plant.to_toml(raw)) == raw


def test_who_holds_the_source_and_that_it_stops_are_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    holder = "run 1a2b3c4d of backfill_pi1 (process 4711 on plant-pc)"
    with Moving(Screen(), HOUR_NS) as moving:
        for _ in range(2):
            moving.take({"kind": "waiting", "holders": [holder]})
        moving.take({"kind": "stopping"})
    said = capsys.readouterr().err
    assert said.count(holder) == 1
    assert "stopping…" in said


def test_a_live_bar_moves() -> None:
    from rich.console import Console

    screen = Screen()
    screen.aside = Console(file=io.StringIO(), force_terminal=True, width=120)  # type: ignore[misc]
    with contextlib.closing(screen.aside.file):
        with Moving(screen, 2 * HOUR_NS) as moving:
            moving.take(slice_event(0))
            moving._bar.refresh()
            assert "1,000 events" in screen.aside.file.getvalue()
        with screen.busy("waiting") as tell:
            tell("for g000")
        with Downloads(screen) as downloads:
            downloads.update(1 << 20, 2 << 20, "a.jar")
            downloads.update(2 << 20, 2 << 20, "b.jar")
