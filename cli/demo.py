"""`ferry demo`: everything at once on a simulated plant, and the proof at the end."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import framed
from cli.outcome import PROVED, UNPROVED
from cli.screen import Screen
from cli.session import Session

if TYPE_CHECKING:
    from assets_defs.backfill import BackfillSummary
    from assets_defs.line import Line
    from cli.demo_plcs import PlcsRead
    from pipelines.evidence import Evidence
    from pipelines.plant import SourceSettings
    from pipelines.timeline import Interval


_NOTHING = "nothing to do, it is all there"
_OUTPUTS = "demo_outputs.json"


@click.command(short_help="Everything at once on a simulated plant.")
@framed
@click.option("--points", type=click.IntRange(1, 1_000_000), help="How many points the simulated plant has.")
@click.option("--hours", type=click.IntRange(min=1), help="How many hours of history it has.")
def demo(session: Session, points: int | None, hours: int | None) -> int:
    """Everything at once on a simulated plant: servers, backfill, marts, report, proof."""
    from assets_defs.attributes import read_attributes
    from cli.backfill import figures, move, proved
    from cli.demo_plant import simulated
    from cli.proofs import is_proved, show_doubts
    from cli.servers import start

    screen, began_s = session.screen, time.monotonic()
    session = _placed(session, points, hours)
    settings = simulated(session.plant)
    asked = session.span(settings, None, None)
    steps = _Steps(screen)
    with session.line() as line:
        with steps.step("servers up") as done:
            start(session, line)
            done.append(", ".join(each.name for each in line.outside.statuses()))
        with steps.step("points discovered") as done:
            done.append(f"{line.discover(settings).points:,} points")
            read_attributes(line, settings)
        with steps.step("history moved") as done:
            summary = move(session, line, settings, asked, ())
            done.append(f"{summary.events:,} events in {summary.slices:,} slices" if summary.slices else _NOTHING)
        with steps.step("marts, report, exports") as done:
            outputs = _outputs(session, line, settings, asked, fresh=bool(summary.slices))
            done.append("aggregates, quality figures, Parquet" if summary.slices else _NOTHING)
        with steps.step("proof") as done:
            evidence = proved(session, line, settings, asked, None)
            _recounted(session, line, settings, asked, evidence)
            done.append("source, landing and IoTDB counted once more")
        plcs = _plcs(steps, line)
    found = [evidence.found, *([plcs.recount] if plcs else [])]
    good = all(is_proved(each) for each in found) and not summary.problems
    _show(session, settings, asked, evidence, plcs, summary, outputs, time.monotonic() - began_s)
    for each in found:
        show_doubts(screen, each)
    screen.emit(
        {
            **evidence.found.as_json(settings.name), **figures(summary),
            "report": str(outputs[0]), "exports": str(outputs[1]),
            "plcs": plcs and {**plcs.recount.as_json(plcs.settings.name), "cycles": plcs.cycles, "missed": plcs.missed},
        }
    )  # fmt: skip
    return PROVED if good else UNPROVED


class _Steps:
    """The checklist: a line for every step when it is through, with its time."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    @contextmanager
    def step(self, what: str) -> Iterator[list[str]]:
        """The body appends what the line should add."""
        began_s, said = time.monotonic(), list[str]()
        try:
            yield said
        except BaseException:
            self._screen.say(f"✘ {what}", style="red")
            raise
        self._screen.say(f"✔ {what:<24} {time.monotonic() - began_s:6.1f} s   {'; '.join(said)}")


def _placed(session: Session, points: int | None, hours: int | None) -> Session:
    """The session on the demo's plant file; written where there is none."""
    from cli.demo_plant import demo_file, packaged

    screen, file = session.screen, session.plant_file
    if not session.chosen and not file.exists():
        shutil.copyfile(packaged(), file)
        screen.note(f"no plant file here: wrote the demo's to {file}, a model to copy for a real plant")
    chosen = demo_file(file, session.plant, points, hours)
    if chosen == file:
        return session
    screen.note(f"this demo's plant file is {_near(chosen)}: give it to further commands with --plant or FERRY_PLANT")
    return Session(chosen, screen)


def _outputs(session: Session, line: Line, settings: SourceSettings, asked: Interval, fresh: bool) -> tuple[Path, Path]:
    """The report's path and the exports' folder; made again when something was moved or they are gone."""
    from cli.marts import make_missing
    from cli.outputs import make_report

    memory = session.plant.state_dir / _OUTPUTS
    if not fresh and (known := _remembered(memory)):
        return known
    make_missing(session, line, settings, asked)
    report = make_report(session, line, settings, asked)
    found = report, session.plant.exports_dir
    memory.write_text(json.dumps([str(each) for each in found]) + "\n", encoding="utf-8")
    return found


def _remembered(memory: Path) -> tuple[Path, Path] | None:
    try:
        report, exports = (Path(each) for each in json.loads(memory.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return (report, exports) if report.exists() and exports.exists() else None


def _plcs(steps: _Steps, line: Line) -> PlcsRead | None:
    """Some seconds of the stand-in PLCs, where the plant has some and no collector of ours reads them."""
    from cli.demo_plcs import SECONDS, plcs_of, read_plcs

    settings = plcs_of(line)
    if settings is None:
        return None
    with steps.step("PLCs read") as done:
        found = read_plcs(line, settings)
        if found is None:
            done.append("a collector reads them already: left alone")
            return None
        done.append(
            f"{found.tags} tags ({found.recount.points} points with elements of arrays and clocks) of "
            f"{len(settings.connection)} PLCs for {SECONDS} s: {found.cycles} cycles, {found.missed} missed"
        )
    return found


def _recounted(session: Session, line: Line, settings: SourceSettings, asked: Interval, evidence: Evidence) -> None:
    """Asks all three sides once more, now; what differs joins what the ledger says."""
    with session.screen.busy("counting source, landing and store once more"):
        now = line.verify(settings, asked, deep=False)
    found = evidence.found
    found.source_events, found.landed_events, found.stored_events = (
        now.source_events, now.landed_events, now.stored_events,
    )  # fmt: skip
    found.drift.update(now.drift)
    found.damaged += now.damaged
    found.unproved.update({point: why for point, why in now.unproved.items() if point not in found.unproved})
    found.counted -= set(found.unproved)
    found.deep -= set(found.unproved)


def _show(
    session: Session, settings: SourceSettings, asked: Interval, evidence: Evidence, plcs: PlcsRead | None,
    summary: BackfillSummary, outputs: tuple[Path, Path], seconds: float,
) -> None:  # fmt: skip
    from cli.backfill import rate_of
    from cli.progress import duration
    from cli.proofs import show_counts

    screen = session.screen
    screen.say()
    show_counts(screen, settings.name, asked, evidence.found, evidence.origins)
    screen.say()
    if plcs:
        show_counts(screen, plcs.settings.name, plcs.span, plcs.recount, {"spool": plcs.recount.points})
        screen.say()
    if summary.slices:
        screen.say(f"  moved and proved at {rate_of(summary):,.0f} events/s; the whole demo took {duration(seconds)}")
    else:
        screen.say(f"  Nothing was changed: all of it was there and proved. Looked after in {duration(seconds)}.")
    plant = f" --plant {_near(session.plant_file)}" if session.chosen else ""
    ui = f"FERRY_PLANT={_near(session.plant_file)} make ui" if session.chosen else "make ui"
    screen.say(f"  quality report    {_near(outputs[0])}")
    screen.say(f"  exports           {_near(outputs[1])}")
    screen.say(f"  open the UI       {ui}")
    for each in (settings, *([plcs.settings] if plcs else [])):
        screen.say(f"  prove it again    ferry verify --deep --source {each.name}{plant}")
    screen.say(f"  stop the servers  ferry down{plant}")


def _near(path: Path) -> Path:
    """The path from here, where that is shorter to read and to type."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
