"""`ferry sync`: one incremental pass, or one long-lived process of them; `ferry sweep`: settled history again."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import click

from cli.options import framed, source, span
from cli.outcome import PROVED, UNPROVED
from cli.session import Session

if TYPE_CHECKING:
    from assets_defs.line import Line
    from pipelines.plant import SourceSettings
    from pipelines.sync import PassResult

_ONE_PASS_S = 3_600.0
_SAY_EVERY_S = 60.0
_AWAY_S = 10.0


@click.command()
@framed
@source
@click.option("--follow", is_flag=True, help="Go on, pass after pass, until Ctrl-C.")
@click.option("--parent", type=int, hidden=True, help="Ends when this process does.")
def sync(session: Session, source_name: str | None, follow: bool, parent: int | None) -> int:
    """Move what is new, fill gaps since the handover, and ask again about what may still change."""
    from assets_defs.backfill import prepare
    from assets_defs.following import alone, sync_pass
    from cli.servers import start

    settings = session.source(source_name)
    with session.line() as line:
        line.urgent = True
        start(session, line)
        if follow:
            return _follow(session, line, settings, parent)
        prepare(line)
        with alone(line, settings), session.screen.busy(f"following {settings.name}"):
            found = sync_pass(line, settings, _ONE_PASS_S)
        _materialize(line, settings, found)
        _tell(session, line, settings, found)
        _tell_holes(session, line, settings)
        session.screen.emit(_as_json(settings, found, line.behind_s(found.up_to_ns)))
    return PROVED if not (found.problems or found.unproved or found.left) else UNPROVED


def _follow(session: Session, line: Line, settings: SourceSettings, parent: int | None) -> int:
    """Passes until Ctrl-C. A server that is away is said once and waited for; credentials end it."""
    from assets_defs.backfill import prepare
    from assets_defs.following import alone, discovery_is_due, sync_pass
    from pipelines.ports import Retry
    from pipelines.sync import PassResult
    from pipelines.timeline import SECOND_NS

    every_s = settings.sync.every / SECOND_NS
    found, away, said_s, asked = PassResult(), "", 0.0, False
    prepare(line)
    try:
        while parent is None or os.getppid() == parent:
            began_s = time.monotonic()
            try:
                if not asked or discovery_is_due(line, settings):
                    line.discover(settings)
                    if not asked:
                        _tell_holes(session, line, settings)
                    asked = True
                with alone(line, settings):
                    found = sync_pass(line, settings, every_s)
                _materialize(line, settings, found)
            except Retry as error:
                if str(error) != away:
                    session.screen.fail(f"{error}; trying again every {_AWAY_S:.0f} s")
                away = str(error)
                line.reconnect()
                time.sleep(_AWAY_S)
                continue
            if away:
                session.screen.note("going on")
            away = ""
            if began_s - said_s >= _SAY_EVERY_S or found.problems:
                said_s = began_s
                _tell(session, line, settings, found)
            time.sleep(max(0.0, began_s + every_s - time.monotonic()))
    except KeyboardInterrupt:
        session.screen.note("stopped; the next pass goes on from here")
    session.screen.emit(_as_json(settings, found, line.behind_s(found.up_to_ns)))
    return PROVED


def _materialize(line: Line, settings: SourceSettings, found: PassResult) -> None:
    from assets_defs.instance import opened_instance
    from assets_defs.materializing import materialize_followed

    with opened_instance() as instance:
        materialize_followed(line, instance, settings, found)


def _tell_holes(session: Session, line: Line, settings: SourceSettings) -> None:
    """What lies before sync's part, and no backfill has moved."""
    from assets_defs.reach import filling, holes

    for hole in holes(line, settings):
        session.screen.note(
            f"nothing fills {hole}, which is before sync's part: `{filling(settings, hole)}`", style="yellow"
        )


def _tell(session: Session, line: Line, settings: SourceSettings, found: PassResult) -> None:
    from cli.progress import duration
    from pipelines.timeline import SECOND_NS, iso

    screen = session.screen
    up_to = iso(found.up_to_ns // SECOND_NS * SECOND_NS)
    behind_s = line.behind_s(found.up_to_ns)
    behind = "which has not come yet" if behind_s is None else f"{duration(behind_s)} behind"
    screen.say(
        f"{settings.name} up to {up_to} ({behind}): {found.events:,} events, {found.looks:,} second "
        f"looks, {found.differing:,} points found changed and pulled again"
    )
    if found.left:
        screen.note(f"{found.left:,} gaps and looks are left for the next pass", style="yellow")
    for problem in found.problems:
        screen.note(problem, style="yellow")
    for point, why in sorted(found.unproved.items())[:5]:
        screen.note(f"unproved: {point}: {why}", style="red")
    if len(found.unproved) > 5:
        screen.note(f"and {len(found.unproved) - 5:,} more unproved points; `ferry status` names them", style="red")


def _as_json(settings: SourceSettings, found: PassResult, behind_s: float | None) -> dict[str, Any]:
    from pipelines.timeline import iso

    return {
        "source": settings.name,
        "up_to": iso(found.up_to_ns),
        "lag_s": None if behind_s is None else round(behind_s, 3),
        "seconds": round(found.seconds, 3),
        "events": found.events,
        "slices": found.slices,
        "looks": found.looks,
        "told": found.told,
        "changed_points": found.differing,
        "left": found.left,
        "waiting": found.waiting,
        "let_go": found.let_go,
        "problems": found.problems,
        "unproved_points": len(found.unproved),
    }


@click.command()
@framed
@source
@span()
@click.option("--deep", is_flag=True, help="Every event of the whole span once, also of what is still open.")
@click.option("--restate", "mend", is_flag=True, help="Pull again what drifted, whatever the plant file's policy is.")
@click.option("--store-only", is_flag=True, help="Compare IoTDB with the landing; ask no source.")
def sweep(
    session: Session,
    source_name: str | None,
    start_ns: int | None,
    end_ns: int | None,
    deep: bool,
    mend: bool,
    store_only: bool,
) -> int:
    """Ask IoTDB and the source again about history that is settled, and name or mend what differs."""
    from assets_defs.backfill import prepare
    from assets_defs.following import alone, check_store
    from assets_defs.following import sweep as run_sweep
    from assets_defs.instance import opened_instance
    from assets_defs.telling import tell_swept
    from cli.servers import start
    from pipelines.sync import SweepResult
    from pipelines.timeline import SECOND_NS

    settings, screen = session.source(source_name), session.screen
    asked = session.span(settings, start_ns, end_ns)
    seconds = float("inf") if deep else settings.sweep.budget / SECOND_NS
    with session.line() as line:
        start(session, line)
        prepare(line)
        with alone(line, settings, "sweep"), screen.busy(f"sweeping {settings.name}"):
            if store_only:
                found = SweepResult(store=check_store(line, settings, seconds, deep=deep, span=asked))
            else:
                found = run_sweep(line, settings, seconds, deep=deep, span=asked, mend=mend or None)
        with opened_instance() as instance:
            tell_swept(line, instance, settings, found)
    drifted = sum(len(points) for points in found.drift.values())
    screen.say(
        f"IoTDB: {found.store.counted:,} group-days counted, {found.store.read_deep:,} read deep, "
        f"{found.store.points_put_back:,} points differed from the landing and were put back"
    )
    if not store_only:
        screen.say(
            f"{settings.name}: {found.counted:,} group-days counted, {found.read_deep:,} read deep, {drifted:,} points "
            f"had drifted, {found.mended:,} were pulled again"
        )
    for (group, day), points in sorted([*found.store.put_back.items(), *found.drift.items()], key=lambda i: i[0][1])[
        :10
    ]:
        screen.note(f"{group} {day}: {', '.join(sorted(points)[:5])}{' …' if len(points) > 5 else ''}", style="yellow")
    for problem in found.problems:
        screen.note(problem, style="yellow")
    if drifted and not found.mended:
        screen.say("`ferry backfill` over these spans pulls the points again, as does `ferry sweep --restate`")
    screen.emit(
        {
            "source": settings.name,
            "counted": found.counted,
            "read_deep": found.read_deep,
            "left": found.left,
            "mended": found.mended,
            "let_go": found.let_go,
            "store": {
                "counted": found.store.counted,
                "read_deep": found.store.read_deep,
                "left": found.store.left,
                "put_back": [
                    {"group": group, "span": str(span), "points": sorted(points)}
                    for (group, span), points in found.store.put_back.items()
                ],
                "never_moved": sorted(found.store.strangers),
            },
            "drift": [
                {"group": group, "span": str(day), "points": sorted(points)}
                for (group, day), points in found.drift.items()
            ],
            "problems": found.problems,
        }
    )  # fmt: skip
    return PROVED if not found.problems and (found.mended or not drifted) else UNPROVED
