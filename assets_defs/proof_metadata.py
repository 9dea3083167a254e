"""What the ledger and the landing say of one window, as metadata that a person reads in the UI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets_defs.line import Line
from assets_defs.markdown import table
from assets_defs.marts_line import pieces
from assets_defs.pictures import profile
from pipelines.landing import Piece
from pipelines.ledger import current
from pipelines.plant import SourceSettings
from pipelines.timeline import DAY_NS, HOUR_NS, MINUTE_NS, Interval

_PICTURE_EVENTS = 3_000_000
"""Above it no picture: it is drawn from the landed times, and memory is bounded."""
_PROOFS = ("counted", "deep", "none")


def proof_metadata(line: Line, settings: SourceSettings, group: str, window: Interval) -> dict[str, Any]:
    """What the window holds now and how that was proved, whoever moved it and when. Raises what the ledger raises."""
    proofs = line.ledger.proofs(settings.name, window, group)
    landed = proofs["events"]
    followed = _followed(line, settings, group, window)
    events = _sum(landed) + followed
    metadata: dict[str, Any] = {
        "dagster/row_count": dg.MetadataValue.int(events),
        "events": dg.MetadataValue.int(events),
        "points": dg.MetadataValue.int(
            len(line.by_group(settings)[group]) if followed else len(pc.unique(proofs["point"]))
        ),
        "proof": dg.MetadataValue.md(_proof_table(proofs, followed)),
        "counts": dg.MetadataValue.md(
            table(
                ["source", "landing", "IoTDB"],
                [
                    [
                        f"{_sum(pc.coalesce(proofs['source_events'], landed)) + followed:,}",
                        f"{events:,}",
                        f"{_sum(pc.coalesce(proofs['stored_events'], landed)) + followed:,}",
                    ]
                ],
            )
        ),
    }
    if followed:
        metadata["followed_events"] = dg.MetadataValue.int(followed)
    if 0 < events <= _PICTURE_EVENTS:
        metadata["picture"] = dg.MetadataValue.md(_picture(pieces(line, settings, group, window), window))
    report = report_file(line, settings)
    if report.exists():
        metadata["report"] = dg.MetadataValue.path(report)
    return metadata


def report_file(line: Line, settings: SourceSettings) -> Path:
    """Where the quality report of the source is, once it was made."""
    return line.plant.state_dir / "reports" / f"{settings.name}.html"


def _followed(line: Line, settings: SourceSettings, group: str, window: Interval) -> int:
    """Events of slices that sync has proved and whose proofs are kept once they settle."""
    history = line.ledger.history(settings.name, group, window)
    return sum(each.record.events for each in current(history, window) if each.provisional)


def _sum(column: pa.ChunkedArray) -> int:
    return int(pc.sum(column).as_py() or 0)


def _proof_table(proofs: pa.Table, followed: int) -> str:
    rows = [("by sync", "all", f"{followed:,}", "kept point by point when it settles")] if followed else []
    for proof in _PROOFS:
        mine = proofs.filter(pc.equal(proofs["proof"], proof))
        if len(mine):
            origins = ", ".join(sorted(pc.unique(mine["origin"]).to_pylist()))
            rows.append((proof, f"{len(pc.unique(mine['point'])):,}", f"{_sum(mine['events']):,}", origins))
    return table(["proof", "points", "events", "the source's side"], rows)


def _picture(landed: list[Piece], window: Interval) -> str:
    step_ns, what = (20 * MINUTE_NS, "20 min") if window.length_ns <= DAY_NS else (12 * HOUR_NS, "12 h")
    counts = np.zeros(-(-window.length_ns // step_ns), dtype=np.int64)
    for piece in landed:
        counts += _histogram(piece, window, step_ns, len(counts))
    return profile(counts.tolist(), f"events per {what}")


def _histogram(piece: Piece, window: Interval, step_ns: int, bins: int) -> npt.NDArray[np.int64]:
    times = pq.read_table(piece.path, columns=["time"])["time"].cast(pa.int64()).to_numpy()
    times = times[(times >= piece.span.start_ns) & (times < piece.span.end_ns)]
    return np.bincount((times - window.start_ns) // step_ns, minlength=bins)
