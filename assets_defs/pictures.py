"""Small pictures for metadata: an SVG as data, which Dagster's UI shows inside Markdown."""

from __future__ import annotations

import base64
from collections.abc import Sequence

MARKDOWN_MOST = 999
"""Longer Markdown hides behind a link in the UI."""
_TALL = 60


def profile(counts: Sequence[int], what: str) -> str:
    """Markdown of how events spread over time, bin by bin, from left to right; a hole reaches down to the ground.

    `what` names a bin: "events per 20 min". Short enough to stand in the table itself up to about 80 bins.
    """
    most = max(counts, default=0)
    steps = "".join(f"V{_TALL - _height(count, most)}h1" for count in counts)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {len(counts)} {_TALL}" width="320" height="{_TALL}" '
        f'preserveAspectRatio="none"><path fill="#3f7fbf" d="M0 {_TALL}{steps}V{_TALL}"/></svg>'
    )
    holes = sum(1 for count in counts if not count)
    picture = f"![{what}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"
    return f"{picture} {what}: at most {most:,}, {f'none in {holes} of {len(counts)}' if holes else 'never none'}"


def _height(count: int, most: int) -> int:
    return max(round(_TALL * count / most), 1) if count else 0
