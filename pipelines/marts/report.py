"""The quality report: one HTML file that opens from disk, prints, and asks nothing of any network.

Everything that comes from a plant is escaped by the template. The same context gives the same bytes, given the same
fonts on the machine (they decide the width of axis labels).
"""

from __future__ import annotations

import base64
import datetime as dt
import functools
import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from pipelines.evidence import Evidence
from pipelines.landing import Piece
from pipelines.marts import kept_reports, ranking, wording
from pipelines.marts.drawing import COLOURS
from pipelines.marts.events import opened
from pipelines.marts.figures import MOST_HEAT, Figures, find_figures
from pipelines.marts.files import appearing
from pipelines.marts.local_time import moment
from pipelines.marts.part_days import make_parts
from pipelines.marts.pictures import coverage_picture, days_picture, heat_picture, rates_picture
from pipelines.marts.trend_pictures import outside, trend_picture
from pipelines.marts.trends import choose, find_trends
from pipelines.points import NUMERIC_KINDS, Point, point_name
from pipelines.timeline import MINUTE_NS, Interval, from_datetime

Row = dict[str, Any]

MOST_ROWS = 50
"""Of the tables of exceptions; the page says how many more there are."""
MOST_WORST = 20
MOST_BAD_STATES = 12
MOST_SILENT = 120
MOST_POINTS = 5_000
"""Of the table of all points: more make a page that a browser is slow with."""
MOST_CHANGES = 12


@dataclass(frozen=True)
class ReportContext:
    """What a report tells about.

    `evidence`: how it is proved. `points`: the catalogue, of every group.
    `marts`: the folder that build_aggregates and build_quality were given. `pieces`: current landed files of the span,
    for the parts of days at its ends and the pictures of single points; `before`: of the time before it, for what still
    held when it began; none is fine. `generated_at` is aware; it is the only thing that a clock decides. `zone`: an
    IANA name; all times on the page are in it.
    """

    source: str
    span: Interval
    evidence: Evidence
    points: Sequence[Point]
    marts: Path
    pieces: Sequence[Piece]
    generated_at: dt.datetime
    plant: str = ""
    memory_bytes: int = 512 << 20
    before: Sequence[Piece] = ()
    zone: str = "UTC"


def render_report(context: ReportContext, destination: Path) -> Path:
    """Writes the report as `destination`, whole or not at all, and returns it; a copy is kept (kept_reports).

    Raises DamagedLanding, NoRoom.
    """
    with tempfile.TemporaryDirectory(prefix="ferry-report-") as folder:
        scratch = Path(folder)
        pieces = [*context.before, *context.pieces]
        parts = make_parts(context.span, context.points, pieces, context.memory_bytes, scratch)
        with opened(context.memory_bytes, scratch) as database:
            figures = find_figures(
                database, context.span, context.evidence, context.points, context.marts, context.source, parts
            )
        chosen = choose(context.points, figures.points)
        trends = find_trends(chosen, context.pieces, context.span, context.memory_bytes, scratch)
    span, zone = context.span, context.zone
    now = kept_reports.told(context.generated_at, span, figures.points)
    last = kept_reports.last_before(destination, now)
    script = _template_text("report.js")
    page = _environment(zone).get_template("report.html.j2").render(
        context=context,
        figures=figures,
        verdict=wording.verdict(context.evidence, zone),
        origins=wording.origins(context.evidence),
        colours=COLOURS,
        css=_template_text("report.css"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        coverage=coverage_picture(figures.coverage, span, "coverage", zone),
        rates=rates_picture(figures.rates, span, figures.rate_bin_ns, "rates", zone),
        heat=heat_picture(figures.heat, [row["name"] for row in figures.worst[:MOST_HEAT]], span, "heat", zone),
        days=days_picture(figures.days, span, "days", zone),
        trends=[
            (trend, trend_picture(trend, span, f"trend{index}", zone), outside(trend))
            for index, trend in enumerate(trends)
        ],
        distribution=wording.distribution(figures.points),
        exceptions=_exceptions(context),
        score_explained=ranking.EXPLAINED,
        everything=sorted(figures.points, key=lambda row: (-row["score"], row["name"])),
        longest_gaps=_longest(figures, "longest_gap_s"),
        stuck=_longest(figures, "stuck_s"),
        silent=[row["name"] for row in figures.points if not row["events"]],
        changes=kept_reports.changes(last, now) if last and figures.known else None,
        sums={
            column: sum(row[column] for row in figures.points) if figures.known else None
            for column in ("events", "bad", "uncertain", "substituted", "ties", "non_finite", "out_of_limits")
        },
        generated_ns=from_datetime(context.generated_at) // MINUTE_NS * MINUTE_NS,
        limits={
            "rows": MOST_ROWS, "worst": MOST_WORST, "bad_states": MOST_BAD_STATES, "silent": MOST_SILENT,
            "points": MOST_POINTS, "heat": MOST_HEAT, "changes": MOST_CHANGES,
        },
    )  # fmt: skip
    with appearing(destination) as part:
        part.write_text(page, encoding="utf-8")
    kept_reports.keep(destination, page, now)
    return destination


def _exceptions(context: ReportContext) -> list[Row]:
    """The ledger's open point exceptions that touch the span, by name and time."""
    names = {point.id: point.name for point in context.points}
    rows = [
        {"name": names.get(each.point) or point_name(each.point), "group": each.group, "span": each.span,
         "reason": each.reason}
        for standing in context.evidence.standings
        for each in standing.exclusions
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (row["name"], row["span"]))


def _longest(figures: Figures, column: str) -> list[Row]:
    """Numeric points only: a batch number rightly stays the same for hours, and comes when it comes."""
    told = [row for row in figures.points if row["events"] and row[column] > 0 and row["kind"] in NUMERIC_KINDS]
    told.sort(key=lambda row: (-row[column], row["name"]))
    return told[: MOST_WORST // 2]


def _environment(zone: str) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipelines.marts", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "number": wording.number,
        "count": wording.count,
        "percent": wording.percent,
        "duration": wording.duration,
        "moment": functools.partial(moment, zone=zone),
        "quality": wording.quality,
        "proof": wording.proof,
    }
    environment.filters.update(filters)
    return environment


def _template_text(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")
