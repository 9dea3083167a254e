"""The pictures of the quality report: rows → inline SVG. Drawn without a browser and without the network.

Colours are drawn as the ones of the light scheme; the page's style sheet swaps each for its dark one by its value, so
a picture uses COLOURS and no others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import vl_convert

from pipelines.marts.trends import Trend
from pipelines.timeline import DAY_NS, Interval

Row = dict[str, Any]

COLOURS: Mapping[str, tuple[str, str]] = {
    # name: light, dark
    "ink": ("#1b2733", "#e7ecf1"),
    "soft": ("#5a6876", "#a3b0bd"),
    "rule": ("#dde3e8", "#33404c"),
    "good": ("#14706b", "#46b5a8"),
    "most": ("#7fb5a6", "#2c7a70"),
    "warn": ("#c98a1b", "#e0a93f"),
    "bad": ("#b5432f", "#ec7a63"),
    "none": ("#eaeef1", "#28333e"),
    "paper": ("#ffffff", "#161e26"),
}
_INK, _SOFT, _RULE, _GOOD, _MOST, _WARN, _BAD, _NONE, _PAPER = (light for light, _ in COLOURS.values())
_MS = 1_000_000  # nanoseconds in the unit of time of Vega
_TOP_STATES = 7
_ID = re.compile(r'(?<= id=")[^"]+')


def coverage_picture(rows: Sequence[Row], span: Interval, name: str) -> str:
    """Point groups × time, coloured by how much of it is proved; '' without rows."""
    if not rows:
        return ""
    levels = {
        "proved": _GOOD, "proved but for single points": _MOST, "partly proved": _WARN, "not proved": _BAD,
        "open, or not moved yet": _NONE,
    }  # fmt: skip
    values = [
        {
            "group": row["point_group"], "start": row["opens"] // _MS, "end": row["closes"] // _MS,
            "level": _level(row),
        }
        for row in rows
    ]  # fmt: skip
    groups = sorted({row["point_group"] for row in rows})
    height = max(4, min(22, 520 // len(groups)))
    labelled = groups[:: max(1, -(-10 // height))]
    chart = (
        alt.Chart(alt.InlineData(values))
        .mark_rect(stroke=_PAPER, strokeWidth=0.6)
        .encode(
            x=_time_axis("start:T", span),
            x2="end:T",
            y=alt.Y("group:N", sort=groups, title=None, axis=alt.Axis(values=labelled, domain=False, ticks=False)),
            color=alt.Color(
                "level:N",
                scale=alt.Scale(domain=list(levels), range=list(levels.values())),
                legend=alt.Legend(title=None, orient="top", direction="horizontal", symbolType="square"),
            ),
        )
        .properties(width=960, height=height * len(groups))
    )
    return _svg(chart, name)


def _level(row: Row) -> str:
    if row["open"] or not row["tried"]:
        return "open, or not moved yet"
    # Sums of shares of nanoseconds round: a millionth of a percent is not a gap.
    if row["percent_proved"] >= 100 - 1e-6:
        return "proved"
    if row["percent_proved"] >= 90:
        return "proved but for single points"
    return "partly proved" if row["percent_proved"] > 0 else "not proved"


def rates_picture(rows: Sequence[Row], span: Interval, bin_ns: int, name: str) -> str:
    """Events per bin of time, good ones and others stacked; '' without rows."""
    if not rows:
        return ""
    values = [
        {"start": max(row["opens"], span.start_ns) // _MS, "end": min(row["opens"] + bin_ns, span.end_ns) // _MS,
         "low": low, "high": high, "kind": kind}
        for row in rows
        for kind, low, high in (
            ("good", 0, row["good"]), ("uncertain or bad", row["good"], row["good"] + row["other"]),
        )
    ]  # fmt: skip
    chart = (
        alt.Chart(alt.InlineData(values))
        .mark_rect(stroke=_PAPER, strokeWidth=0.6)
        .encode(
            x=_time_axis("start:T", span),
            x2="end:T",
            y=alt.Y("low:Q", title=None, axis=alt.Axis(format="~s", tickCount=4), scale=alt.Scale(zero=True)),
            y2="high:Q",
            color=alt.Color(
                "kind:N",
                scale=alt.Scale(domain=["good", "uncertain or bad"], range=[_GOOD, _BAD]),
                legend=alt.Legend(title=None, orient="top", direction="horizontal", symbolType="square"),
            ),
        )
        .properties(width=960, height=170)
    )
    return _svg(chart, name)


def trend_picture(trend: Trend, span: Interval, name: str) -> str:
    """A point's curve with its bad time marked, or how long each state held."""
    return _svg(_states(trend, span) if trend.bars else _curve(trend, span), name)


def _curve(trend: Trend, span: Interval) -> alt.LayerChart | alt.FacetChart:
    bad = [{"start": row["start_ns"] // _MS, "end": row["end_ns"] // _MS} for row in trend.bad_spans]
    shade = (
        alt.Chart(alt.InlineData(bad))
        .mark_rect(color=_BAD, opacity=0.28)
        .encode(x=_time_axis("start:T", span), x2="end:T")
    )
    values = [{"t": row["t"] // _MS, "value": row["value"], "part": row["part"]} for row in trend.line]
    line = (
        alt.Chart(alt.InlineData(values))
        .mark_line(
            color=_GOOD, strokeWidth=1.3, interpolate="linear" if trend.linear else "step-after", clip=True,
        )
        .encode(
            x=_time_axis("t:T", span),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False, nice=True), axis=alt.Axis(tickCount=4)),
            detail="part:N",
        )
    )  # fmt: skip
    return alt.layer(shade, line).properties(width=440, height=150)


def _states(trend: Trend, span: Interval) -> alt.Chart:
    held: dict[str, int] = {}
    for row in trend.bars:
        held[row["text"]] = held.get(row["text"], 0) + row["end_ns"] - row["start_ns"]
    shown = sorted(held, key=lambda text: (-held[text], text))[:_TOP_STATES]
    values = [
        {
            "state": row["text"] if row["text"] in shown else "others",
            "start": row["start_ns"] // _MS, "end": row["end_ns"] // _MS, "colour": _BAD if row["bad"] else _GOOD,
        }
        for row in trend.bars
    ]  # fmt: skip
    states = [*shown, *(["others"] if len(held) > len(shown) else [])]
    chart: alt.Chart = (
        alt.Chart(alt.InlineData(values))
        .mark_bar(height={"band": 0.62})
        .encode(
            x=_time_axis("start:T", span),
            x2="end:T",
            y=alt.Y("state:N", sort=states, title=None, axis=alt.Axis(domain=False, ticks=False, labelLimit=120)),
            color=alt.Color("colour:N", scale=None),
        )
        .properties(width=440, height=max(70, min(150, 26 * len(states))))
    )
    return chart


def _time_axis(field: str, span: Interval) -> alt.X:
    """Time in UTC over the whole span, whatever zone this machine is in."""
    return alt.X(
        field,
        title=None,
        scale=alt.Scale(type="utc", domain=[span.start_ns // _MS, span.end_ns // _MS], nice=False),
        axis=alt.Axis(format="%H:%M" if span.length_ns <= DAY_NS else "%d %b" if span.length_ns > 4 * DAY_NS
                      else "%d %b %H:%M", grid=False, tickCount=8, labelFlush=True, labelOverlap=True),
    )  # fmt: skip


def _svg(chart: alt.Chart | alt.LayerChart | alt.FacetChart, name: str) -> str:
    """The chart as an <svg> element that scales with the page; ids are `name`'s own, since many share one page.

    '' when it cannot be drawn: a report without one picture is better than none.
    """
    chart = chart.configure(
        background="transparent",
        font="sans-serif",
        aria=False,
        padding={"left": 2, "right": 10, "top": 4, "bottom": 2},
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            labelColor=_SOFT, labelFontSize=11, domainColor=_RULE, tickColor=_RULE, gridColor=_RULE, gridWidth=1,
        ),
        legend=alt.LegendConfig(labelColor=_INK, labelFontSize=11.5, symbolSize=110, offset=8, columnPadding=18),
    )  # fmt: skip
    svg: str = vl_convert.vegalite_to_svg(json.loads(chart.to_json(validate=False)), allowed_base_urls=[])
    if "<path" not in svg:  # the renderer tells a failure to its log only, and gives an empty picture
        return ""
    # The renderer numbers ids through the whole life of the process.
    for number, found in enumerate(dict.fromkeys(_ID.findall(svg))):
        svg = re.sub(rf"(?<=[\"#]){re.escape(found)}(?=[\")])", f"{name}-{number}", svg)
    return svg
