"""How the report's pictures are drawn: colours, the axis of time, and a chart → inline SVG, without a browser.

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

from pipelines.marts.local_time import ticks
from pipelines.timeline import Interval

Row = dict[str, Any]
Chart = alt.Chart | alt.LayerChart

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
INK, SOFT, RULE, GOOD, MOST, WARN, BAD, NONE, PAPER = (light for light, _ in COLOURS.values())
MS = 1_000_000
"""Nanoseconds in the unit of time of Vega."""
_ID = re.compile(r'(?<= id=")[^"]+')


def rows_of(name: str) -> alt.Chart:
    """A chart over the rows that `svg` is given under this name; so the library need not look at each of them."""
    return alt.Chart(alt.NamedData(name))


def time_axis(field: str, span: Interval, zone: str, most: int) -> alt.X:
    """Time over the whole span, with at most `most` marks at round times of the zone, whatever the machine's is."""
    labels = {str(time_ns // MS): label for time_ns, label in ticks(span, most, zone)}
    return alt.X(
        field,
        title=None,
        scale=alt.Scale(type="utc", domain=[span.start_ns // MS, span.end_ns // MS], nice=False),
        axis=alt.Axis(
            values=[int(each) for each in labels], labelExpr=f"({json.dumps(labels)})[toNumber(datum.value)]",
            grid=False, labelFlush=True, labelOverlap=True,
        ),
    )  # fmt: skip


def legend() -> alt.Legend:
    """Of colours, in a line above the picture."""
    return alt.Legend(title=None, orient="top", direction="horizontal", symbolType="square")


def svg(chart: Chart, rows: Mapping[str, Sequence[Row]], name: str) -> str:
    """The chart over named rows as an <svg> element that scales with the page; ids are `name`'s own, since many share
    one page.

    '' when it cannot be drawn: a report without one picture is better than none.
    """
    chart = chart.configure(
        background="transparent",
        font="sans-serif",
        aria=False,
        padding={"left": 12, "right": 10, "top": 4, "bottom": 2},
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            labelColor=SOFT, labelFontSize=11, domainColor=RULE, tickColor=RULE, gridColor=RULE, gridWidth=1,
        ),
        legend=alt.LegendConfig(labelColor=INK, labelFontSize=11.5, symbolSize=110, offset=8, columnPadding=34),
    )  # fmt: skip
    spec = {**json.loads(chart.to_json(validate=False)), "datasets": {key: list(some) for key, some in rows.items()}}
    drawn: str = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    if "<path" not in drawn:  # the renderer tells a failure to its log only, and gives an empty picture
        return ""
    # The renderer numbers ids through the whole life of the process.
    own = {found: f"{name}-{number}" for number, found in enumerate(dict.fromkeys(_ID.findall(drawn)))}
    if not own:
        return drawn
    every = re.compile(r'(?<=["#])(' + "|".join(map(re.escape, sorted(own, key=len, reverse=True))) + r')(?=[")])')
    return every.sub(lambda match: own[match[1]], drawn)
