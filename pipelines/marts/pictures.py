"""The pictures of the quality report over all points: rows → inline SVG."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import altair as alt

from pipelines.marts.drawing import (
    BAD,
    GOOD,
    MOST,
    MS,
    NONE,
    PAPER,
    WARN,
    Row,
    legend,
    rows_of,
    svg,
    time_axis,
)
from pipelines.timeline import Interval

_WIDTH = 960
_MARKS = 10
_COVERAGE = {
    "proved": GOOD, "proved but for single points": MOST, "partly proved": WARN, "not proved": BAD,
    "open, or not moved yet": NONE,
}  # fmt: skip
_HEAT = {"always good": GOOD, "mostly good": MOST, "partly good": WARN, "mostly bad": BAD, "no event": NONE}
_NEARLY = 1e-6
"""Percent: sums of shares of nanoseconds round."""


def coverage_picture(rows: Sequence[Row], span: Interval, name: str, zone: str = "UTC") -> str:
    """Point groups × time, coloured by how much of it is proved; '' without rows."""
    cells = [
        {"row": row["point_group"], "start": row["opens"], "end": row["closes"], "level": _coverage_level(row)}
        for row in rows
    ]
    return _cells_picture(cells, _COVERAGE, span, name, zone, 22)


def heat_picture(rows: Sequence[Row], names: Sequence[str], span: Interval, name: str, zone: str = "UTC") -> str:
    """Points × time, coloured by the share of good time; '' without rows.

    `names`: of the points from the top; a row's `place` is one of them.
    """
    labels = _told_apart(names)
    cells = [
        {"row": labels[row["place"]], "start": row["opens"], "end": row["closes"], "level": _heat_level(row)}
        for row in rows
    ]
    return _cells_picture(cells, _HEAT, span, name, zone, 16, labels)


def rates_picture(rows: Sequence[Row], span: Interval, bin_ns: int, name: str, zone: str = "UTC") -> str:
    """Events per bin of time, good ones and others stacked; '' without rows."""
    if not rows:
        return ""
    values = [
        {"start": max(row["opens"], span.start_ns) // MS, "end": min(row["opens"] + bin_ns, span.end_ns) // MS,
         "low": low, "high": high, "kind": kind}
        for row in rows
        for kind, low, high in (
            ("good", 0, row["good"]), ("uncertain or bad", row["good"], row["good"] + row["other"]),
        )
    ]  # fmt: skip
    chart = (
        rows_of("rates")
        .mark_rect(stroke=PAPER, strokeWidth=0.6)
        .encode(
            x=time_axis("start:T", span, zone, _MARKS),
            x2="end:T",
            y=alt.Y("low:Q", title=None, axis=alt.Axis(format="~s", tickCount=4), scale=alt.Scale(zero=True)),
            y2="high:Q",
            color=alt.Color(
                "kind:N", scale=alt.Scale(domain=["good", "uncertain or bad"], range=[GOOD, BAD]), legend=legend(),
            ),
        )
        .properties(width=_WIDTH, height=170)
    )  # fmt: skip
    return svg(chart, {"rates": values}, name)


def days_picture(rows: Sequence[Row], span: Interval, name: str, zone: str = "UTC") -> str:
    """Percent of the time without good data, a day, mean over the points; '' for less than two days."""
    told = [row for row in rows if row["percent_good_time"] is not None]
    if len(told) < 2:
        return ""
    values = [
        {"start": row["opens"] // MS, "end": row["closes"] // MS, "none": 0, "share": 100 - row["percent_good_time"]}
        for row in told
    ]
    chart = (
        rows_of("days")
        .mark_rect(stroke=PAPER, strokeWidth=1, color=BAD)
        .encode(
            x=time_axis("start:T", span, zone, _MARKS),
            x2="end:T",
            y=alt.Y("none:Q", title=None, axis=alt.Axis(tickCount=4, labelExpr="datum.label + ' %'"),
                    scale=alt.Scale(zero=True, nice=True)),
            y2="share:Q",
        )
        .properties(width=_WIDTH, height=120)
    )  # fmt: skip
    return svg(chart, {"days": values}, name)


def _cells_picture(
    cells: Sequence[Row], levels: dict[str, str], span: Interval, name: str, zone: str, most_height: int,
    order: Sequence[str] | None = None,
) -> str:  # fmt: skip
    """Rows × time, coloured by level; neighbours of one level are drawn as one. '' without cells."""
    if not cells:
        return ""
    order = order or sorted({cell["row"] for cell in cells})
    height = max(4, min(most_height, 640 // len(order)))
    labelled = order[:: max(1, -(-10 // height))]
    chart = (
        rows_of("cells")
        .mark_rect(stroke=PAPER, strokeWidth=0.6)
        .encode(
            x=time_axis("start:T", span, zone, _MARKS),
            x2="end:T",
            y=alt.Y(
                "row:N", sort=list(order), title=None,
                axis=alt.Axis(values=list(labelled), domain=False, ticks=False, labelLimit=170),
            ),
            color=alt.Color(
                "level:N", scale=alt.Scale(domain=list(levels), range=list(levels.values())), legend=legend()
            ),
        )
        .properties(width=_WIDTH, height=height * len(order))
    )  # fmt: skip
    return svg(chart, {"cells": _joined(cells)}, name)


def _joined(cells: Sequence[Row]) -> list[Row]:
    """Cells that touch and are alike as one, in the unit of time of Vega."""
    joined: list[Row] = []
    ranked = sorted(cells, key=lambda cell: (cell["row"], cell["start"]))
    for (row, level), some in itertools.groupby(ranked, key=lambda cell: (cell["row"], cell["level"])):
        for cell in some:
            last = joined[-1] if joined else None
            if last and (last["row"], last["level"], last["end"]) == (row, level, cell["start"] // MS):
                last["end"] = cell["end"] // MS
            else:
                joined.append({"row": row, "level": level, "start": cell["start"] // MS, "end": cell["end"] // MS})
    return joined


def _coverage_level(row: Row) -> str:
    if row["open"] or not row["tried"]:
        return "open, or not moved yet"
    if row["percent_proved"] >= 100 - _NEARLY:
        return "proved"
    if row["percent_proved"] >= 90:
        return "proved but for single points"
    return "partly proved" if row["percent_proved"] > 0 else "not proved"


def _heat_level(row: Row) -> str:
    if row["percent_good"] is None:
        return "no event"
    if row["percent_good"] >= 100 - _NEARLY:
        return "always good"
    if row["percent_good"] >= 95:
        return "mostly good"
    return "partly good" if row["percent_good"] >= 50 else "mostly bad"


def _told_apart(names: Sequence[str]) -> list[str]:
    """The names, with a number behind one that stood there before."""
    seen: dict[str, int] = {}
    labels = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        labels.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return labels
