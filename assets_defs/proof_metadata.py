"""What the ledger and the landing say of one window, as metadata that a person reads in the UI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from assets_defs.landed import pieces
from assets_defs.line import Line
from assets_defs.markdown import table
from assets_defs.pictures import profile
from pipelines.evidence import Evidence
from pipelines.landing import DamagedLanding, Piece, checked
from pipelines.plant import SourceSettings
from pipelines.timeline import DAY_NS, HOUR_NS, MINUTE_NS, Interval

_PICTURE_EVENTS = 3_000_000
"""Above it no picture: it is drawn from the landed times, and memory is bounded."""


def proof_metadata(line: Line, settings: SourceSettings, group: str, window: Interval) -> dict[str, Any]:
    """What the window holds now and how that was proved, whoever moved it and when. Raises what the ledger raises."""
    evidence = line.evidence(settings, window, group=group)
    found, standing = evidence.found, evidence.standings[0]
    metadata: dict[str, Any] = {
        "dagster/row_count": dg.MetadataValue.int(standing.landed_events),
        "events": dg.MetadataValue.int(standing.landed_events),
        "proved_events": dg.MetadataValue.int(evidence.proved_events),
        "points": dg.MetadataValue.int(found.points),
        "proof": dg.MetadataValue.md(_proof_table(evidence)),
        "counts": dg.MetadataValue.md(
            table(
                ["source", "landing", "IoTDB"],
                [[f"{found.source_events:,}", f"{found.landed_events:,}", f"{found.stored_events:,}"]],
            )
        ),
    }
    if evidence.followed_events:
        metadata["followed_events"] = dg.MetadataValue.int(evidence.followed_events)
    if 0 < standing.landed_events <= _PICTURE_EVENTS:
        try:
            metadata["picture"] = dg.MetadataValue.md(_picture(pieces(line, settings, group, window), window))
        except DamagedLanding as error:
            metadata["picture"] = dg.MetadataValue.text(str(error))
    report = report_file(line, settings)
    if report.exists():
        metadata["report"] = dg.MetadataValue.path(report)
    return metadata


def report_file(line: Line, settings: SourceSettings) -> Path:
    """Where the quality report of the source is, once it was made."""
    return line.plant.state_dir / "reports" / f"{settings.name}.html"


def _proof_table(evidence: Evidence) -> str:
    """How many points are proved in which way; what sync proved and has not settled yet counts as counted."""
    found = evidence.found
    origins = ", ".join(evidence.origins) or ("sync, kept point by point when it settles" if found.counted else "")
    rows = [
        (proof, f"{len(points):,}", origins)
        for proof, points in (("deep", found.deep), ("counted", found.counted))
        if points
    ]
    if found.unproved:
        rows.append(("none", f"{len(found.unproved):,}", "unproved, or not covered to the end of the window"))
    return table(["proof", "points", "the source's side"], rows)


def _picture(landed: list[Piece], window: Interval) -> str:
    step_ns, what = (20 * MINUTE_NS, "20 min") if window.length_ns <= DAY_NS else (12 * HOUR_NS, "12 h")
    counts = np.zeros(-(-window.length_ns // step_ns), dtype=np.int64)
    for piece in landed:
        counts += _histogram(piece, window, step_ns, len(counts))
    return profile(counts.tolist(), f"events per {what}")


def _histogram(piece: Piece, window: Interval, step_ns: int, bins: int) -> npt.NDArray[np.int64]:
    times = pq.read_table(pa.BufferReader(checked(piece.path)), columns=["time"])["time"].cast(pa.int64()).to_numpy()
    times = times[(times >= piece.span.start_ns) & (times < piece.span.end_ns)]
    return np.bincount((times - window.start_ns) // step_ns, minlength=bins)
