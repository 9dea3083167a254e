"""Small pictures for metadata: an SVG as data, which Dagster's UI shows inside Markdown."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT, _TOP, _BOTTOM = 640, 120, 18, 18
_INK, _BAR, _NONE = "#6b7280", "#3f7fbf", "#d97706"


def bars(counts: Sequence[int], caption: str, first: str, last: str) -> str:
    """Markdown of a bar chart; bins without any event stand out. `first` and `last` label the ends of the axis."""
    most = max(counts, default=0)
    width = _WIDTH / max(len(counts), 1)
    room = _HEIGHT - _TOP - _BOTTOM
    base = _HEIGHT - _BOTTOM
    marks = []
    for index, count in enumerate(counts):
        tall = max(round(room * count / most, 1), 1.0) if count else 2.0
        marks.append(
            f'<rect x="{index * width:.1f}" y="{base - tall:.1f}" width="{max(width - 1, 0.5):.1f}" '
            f'height="{tall:.1f}"' + ("" if count else f' fill="{_NONE}"') + "/>"
        )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" font-family="sans-serif" '
        f'font-size="11"><g fill="{_INK}"><text y="11">{escape(caption)}, most {most:,}</text>'
        f'<text y="{_HEIGHT - 5}">{escape(first)}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT - 5}" text-anchor="end">{escape(last)}</text></g>'
        f'<g fill="{_BAR}">{"".join(marks)}</g></svg>'
    )
    empty = sum(1 for count in counts if not count)
    words = f"{caption}: most {most:,}, {empty} of {len(counts)} without any"
    return f"![{words}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"
