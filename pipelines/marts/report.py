"""The quality report: one HTML file that opens from disk, prints, and asks nothing of any network.

Everything that comes from a plant is escaped by the template. The same context gives the same bytes, given the same
fonts on the machine (they decide the width of axis labels).
"""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from pipelines.evidence import Evidence
from pipelines.landing import Piece
from pipelines.marts import wording
from pipelines.marts.events import opened
from pipelines.marts.figures import Figures, find_figures
from pipelines.marts.files import appearing
from pipelines.marts.pictures import COLOURS, coverage_picture, rates_picture, trend_picture
from pipelines.marts.trends import choose, find_trends
from pipelines.points import NUMERIC_KINDS, Point, point_name
from pipelines.timeline import Interval

Row = dict[str, Any]

MOST_ROWS = 50
"""Of the tables of exceptions; the page says how many more there are."""
MOST_WORST = 20
MOST_BAD_STATES = 12
MOST_SILENT = 120


@dataclass(frozen=True)
class ReportContext:
    """What a report tells about.

    `evidence`: how it is proved. `points`: the catalogue, of every group.
    `marts`: the folder that build_aggregates and build_quality were given. `pieces`: current landed files, for the
    pictures of single points; none is fine. `generated_at` is aware; it is the only thing that a clock decides.
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


def render_report(context: ReportContext, destination: Path) -> Path:
    """Writes the report as `destination`, whole or not at all, and returns it. Raises DamagedLanding, NoRoom."""
    with tempfile.TemporaryDirectory(prefix="ferry-report-") as folder:
        scratch = Path(folder)
        with opened(context.memory_bytes, scratch) as database:
            figures = find_figures(
                database, context.span, context.evidence, context.points, context.marts, context.source
            )
        chosen = choose(context.points, figures.points)
        trends = find_trends(chosen, context.pieces, context.span, context.memory_bytes, scratch)
    page = _environment().get_template("report.html.j2").render(
        context=context,
        figures=figures,
        verdict=wording.verdict(context.evidence),
        colours=COLOURS,
        css=_template_text("report.css"),
        coverage=coverage_picture(figures.coverage, context.span, "coverage"),
        rates=rates_picture(figures.rates, context.span, figures.rate_bin_ns, "rates"),
        trends=[
            (trend, trend_picture(trend, context.span, f"trend{index}"))
            for index, trend in enumerate(trends)
        ],
        origins=wording.origins(context.evidence),
        distribution=wording.distribution(figures.points),
        exceptions=_exceptions(context),
        worst=_worst(figures),
        longest_gaps=_longest(figures, "longest_gap_s"),
        stuck=_longest(figures, "stuck_s"),
        silent=[row["name"] for row in figures.points if not row["events"]],
        sums={
            column: sum(row[column] for row in figures.points)
            for column in ("events", "bad", "uncertain", "substituted", "ties", "non_finite", "out_of_limits")
        },
        generated_at=context.generated_at.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        limits={
            "rows": MOST_ROWS, "worst": MOST_WORST, "bad_states": MOST_BAD_STATES, "silent": MOST_SILENT,
        },
    )  # fmt: skip
    with appearing(destination) as part:
        part.write_text(page, encoding="utf-8")
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


def _worst(figures: Figures) -> list[Row]:
    """Points with events, least good time first; among equals the longest gap, then the name."""
    told = [row for row in figures.points if row["events"] and row["percent_good_time"] < 100]
    told.sort(key=lambda row: (row["percent_good_time"], -row["longest_gap_s"], row["name"]))
    return told[:MOST_WORST]


def _longest(figures: Figures, column: str) -> list[Row]:
    """Numeric points only: a batch number rightly stays the same for hours, and comes when it comes."""
    told = [row for row in figures.points if row["events"] and row[column] > 0 and row["kind"] in NUMERIC_KINDS]
    told.sort(key=lambda row: (-row[column], row["name"]))
    return told[: MOST_WORST // 2]


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipelines.marts", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "count": wording.count,
        "percent": wording.percent,
        "duration": wording.duration,
        "moment": wording.moment,
        "quality": wording.quality,
        "proof": wording.proof,
    }
    environment.filters.update(filters)
    return environment


def _template_text(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")
