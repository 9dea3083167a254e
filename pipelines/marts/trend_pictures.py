"""The picture of one point: its curve with limits and bad time, or how long each state held."""

from __future__ import annotations

import json

import altair as alt

from pipelines.marts.drawing import BAD, GOOD, INK, MS, SOFT, WARN, Row, rows_of, svg, time_axis
from pipelines.marts.trends import LANES, Trend
from pipelines.timeline import Interval

_WIDTH, _HEIGHT = 440, 150
_MARKS = 6
_PALEST, _SHADE = 0.25, 0.34
_NEAR = 0.09


def trend_picture(trend: Trend, span: Interval, name: str, zone: str = "UTC") -> str:
    """A point's curve with its bad time marked, or how long each state held."""
    if trend.bars:
        return svg(_states(trend, span, zone), {"bars": _bars(trend)}, name)
    rows = {
        "bad": [
            {"start": row["start_ns"] // MS, "end": row["end_ns"] // MS, "shade": _SHADE * max(row["share"], _PALEST)}
            for row in trend.bad_spans
        ],
        "line": [{"t": row["t"] // MS, "value": row["value"], "part": row["part"]} for row in trend.line],
        "levels": levels(trend),
        "words": _words(trend),
    }
    return svg(_curve(trend, span, zone), rows, name)


def levels(trend: Trend) -> list[Row]:
    """The lines of reference that fit into the picture: rows of value, what (median, low limit, high limit), colour.

    A limit is shown where the curve still takes a third of the height beside it.
    """
    told = trend.numbers
    if told is None:
        return []
    rows = [{"value": told["median"], "what": "median", "colour": SOFT}]
    reach = (told["greatest"] - told["least"]) or abs(told["median"]) * 0.1
    for what, limit in (("low limit", trend.low), ("high limit", trend.high)):
        if limit is not None and told["least"] - reach <= limit <= told["greatest"] + reach:
            rows.append({"value": limit, "what": what, "colour": WARN})
    return rows


def _words(trend: Trend) -> list[Row]:
    """The names of the lines of reference; those so near that their names would cover each other share one."""
    told: list[Row] = []
    ranked = sorted(levels(trend), key=lambda row: row["value"])
    values = [row["value"] for row in ranked]
    if trend.numbers:
        values += [trend.numbers["least"], trend.numbers["greatest"]]
    near = (max(values, default=0.0) - min(values, default=0.0)) * _NEAR
    for row in ranked:
        if told and row["value"] - told[-1]["value"] <= near:
            told[-1]["what"] += f", {row['what']}"
        else:
            told.append({"value": row["value"], "what": row["what"]})
    return told


def outside(trend: Trend) -> list[Row]:
    """The limits that do not fit into the picture: rows of value and what; a picture of states has none."""
    if trend.numbers is None:
        return []
    shown = {row["what"] for row in levels(trend)}
    limits = (("low limit", trend.low), ("high limit", trend.high))
    return [{"what": what, "value": limit} for what, limit in limits if limit is not None and what not in shown]


def _curve(trend: Trend, span: Interval, zone: str) -> alt.LayerChart:
    time = time_axis("start:T", span, zone, _MARKS)
    shade = (
        rows_of("bad").mark_rect(color=BAD).encode(
            x=time, x2="end:T", opacity=alt.Opacity("shade:Q", scale=None, legend=None)
        )
    )  # fmt: skip
    level = (
        rows_of("levels")
        .mark_rule(strokeDash=[4, 3], strokeWidth=1)
        .encode(y=alt.Y("value:Q", title=None), color=alt.Color("colour:N", scale=None))
    )
    line = (
        rows_of("line")
        .mark_line(color=GOOD, strokeWidth=1.3, interpolate="linear" if trend.linear else "step-after", clip=True)
        .encode(
            x=time_axis("t:T", span, zone, _MARKS),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False, nice=True), axis=alt.Axis(tickCount=4)),
            detail="part:N",
        )
    )
    words = (
        rows_of("words")
        .mark_text(align="right", baseline="bottom", dx=-2, dy=-1, fontSize=10)
        .encode(x=alt.value(_WIDTH), y="value:Q", text="what:N", color=alt.value(INK))
    )
    chart: alt.LayerChart = alt.LayerChart(layer=[shade, level, line, words], width=_WIDTH, height=_HEIGHT)
    return chart


def _states(trend: Trend, span: Interval, zone: str) -> alt.Chart:
    texts = {row["lane"]: row["text"] for row in trend.bars}
    labels = {str(lane): _label(trend, lane, texts[lane]) for lane in sorted(texts)}
    axis = alt.Axis(
        domain=False, ticks=False, labelLimit=120, labelExpr=f"({json.dumps(labels)})[datum.value]",
    )  # fmt: skip
    chart: alt.Chart = (
        rows_of("bars")
        .mark_bar(height={"band": 0.62})
        .encode(
            x=time_axis("start:T", span, zone, _MARKS),
            x2="end:T",
            y=alt.Y("lane:N", sort=list(labels), title=None, axis=axis),
            color=alt.Color("colour:N", scale=None),
            opacity=alt.Opacity("shade:Q", scale=None, legend=None),
        )
        .properties(width=_WIDTH, height=max(70, min(_HEIGHT, 26 * len(labels))))
    )
    return chart


def _bars(trend: Trend) -> list[Row]:
    return [
        {
            "lane": str(row["lane"]), "start": row["start_ns"] // MS, "end": row["end_ns"] // MS,
            "colour": BAD if row["bad"] else GOOD, "shade": max(row["share"] ** 0.5, _PALEST),
        }
        for row in trend.bars
    ]  # fmt: skip


def _label(trend: Trend, lane: int, text: str | None) -> str:
    if lane == LANES and trend.other_states:
        return f"{trend.other_states} others"
    return text or "(no text)"
