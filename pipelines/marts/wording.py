"""How the quality report says things: numbers, times, verdicts. Pure functions of figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipelines.evidence import Evidence
from pipelines.marts.local_time import moment
from pipelines.samples import Quality
from pipelines.timeline import SECOND_NS

Row = dict[str, Any]
Tone = Literal["good", "warn", "bad"]

_PROOFS = {"counted": "Counted", "deep": "Deep", "none": "Not proved"}
_ORIGINS = {
    "independent": "asked the source by another question",
    "re-read": "read the source again",
    "spool": "compared with the collector's spool",
}
_QUALITIES = {
    Quality.BAD_CONFIG: "configuration error",
    Quality.BAD_NOT_CONNECTED: "not connected",
    Quality.BAD_DEVICE: "device failure",
    Quality.BAD_SENSOR: "sensor failure",
    Quality.BAD_COMM: "communication failure",
    Quality.BAD_OUT_OF_SERVICE: "out of service",
}
_WHOLE = 1e9
_SHARES = (
    # label, from (inclusive), up to (exclusive) percent of the time
    ("always good", 100.0, float("inf")),
    ("99.9 – 100 %", 99.9, 100.0),
    ("99 – 99.9 %", 99.0, 99.9),
    ("95 – 99 %", 95.0, 99.0),
    ("50 – 95 %", 50.0, 95.0),
    ("under 50 %", -1.0, 50.0),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The headline: whether the promise holds over the span."""

    tone: Tone
    title: str
    text: str


def verdict(evidence: Evidence, zone: str = "UTC") -> Verdict:
    """What the proofs add up to."""
    found, open_points = evidence.found, len(evidence.found.unproved)
    if not evidence.slices:
        return Verdict("bad", "Nothing was moved yet", "Nothing of this span was moved, so there is nothing to prove.")
    landed = f"{count(found.landed_events)} {_plural(found.landed_events, 'event')}"
    newest = _open(evidence, zone)
    if not open_points:
        if not found.landed_events:
            text = "The source holds no event in this span, and neither does the store."
        else:
            text = (
                f"{landed} of {count(found.points)} {_plural(found.points, 'point')}: what the source holds for this "
                "span is in the store exactly once."
            )
        return Verdict("good", "Proved", text + newest)
    if open_points >= found.points:
        return Verdict("bad", "Not proved", f"{landed} landed, and no point is proved over all of the span.{newest}")
    return Verdict(
        "warn",
        f"Proved, except for {count(open_points)} {_plural(open_points, 'point')}",
        "They are named below with the reason. For every other point, what the source holds is in the store exactly "
        f"once.{newest}",
    )


def _open(evidence: Evidence, zone: str) -> str:
    """What has just happened at a source that is followed, and is not late."""
    edges = [each.open[0].start_ns for each in evidence.standings if each.open]
    return (
        f" It is open from {moment(min(edges) // SECOND_NS * SECOND_NS)} on: the next pass moves that." if edges else ""
    )


def distribution(points: Sequence[Row]) -> list[Row]:
    """How many points had good data how much of the time: rows of label, points, tone; silent points apart."""
    told = [row["percent_good_time"] for row in points if row["events"] and row["percent_good_time"] is not None]
    rows: list[Row] = [
        {"label": label, "points": sum(low <= share < high for share in told), "tone": _tone(low)}
        for label, low, high in _SHARES
    ]
    return [*rows, {"label": "no event at all", "points": len(points) - len(told), "tone": "none"}]


def count(number: int | None) -> str:
    """12345 → 12,345 with a thin space; — for what is not known."""
    return "—" if number is None else f"{number:,}".replace(",", "\u202f")


def percent(share: float | None) -> str:
    """A share that is not all never reads 100 %, one that is not nothing never 0 %; — for what is not known."""
    if share is None:
        return "—"
    if share >= 100:
        return "100 %"
    if share <= 0:
        return "0 %"
    for digits in (1, 2, 3):
        text = f"{share:.{digits}f}"
        if 0 < float(text) < 100:
            return f"{text} %"
    return "> 99.999 %" if share > 50 else "< 0.001 %"


def duration(seconds: float | None) -> str:
    """Seconds → two units at most: 4 h 12 min; — for what is not known."""
    if seconds is None:
        return "—"
    if seconds < 1:
        return f"{seconds:.2g} s" if seconds else "0 s"
    whole = round(seconds)
    for size, name, small_size, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small_size
            return f"{whole // size} {name}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def quality(code: int | None) -> str:
    """An OPC classic quality in words, for bad numbers without a text of their own."""
    if code is None:
        return "bad"
    known = [each for each in _QUALITIES if each <= code]
    return f"{_QUALITIES[max(known)] if known else 'bad'} (quality {code})"


def proof(kind: str) -> str:
    """The kind of a proof, for people."""
    return _PROOFS.get(kind, kind)


def origins(evidence: Evidence) -> str:
    """Where the source's side of the proofs came from, for people."""
    said = [f"{_ORIGINS.get(each, each)} for {count(points)}" for each, points in evidence.origins.items() if points]
    if evidence.followed_events:
        said.append(f"by the passes of sync for {count(evidence.followed_events)} events that are not settled yet")
    return "; ".join(said)


def number(value: float) -> str:
    """A measured number as people write it: 12,345.7 with thin spaces, small and huge ones with an exponent."""
    if value == int(value) and abs(value) < _WHOLE:
        return count(int(value))
    return f"{value:.4g}"


def _plural(number: int, noun: str) -> str:
    return noun if number == 1 else f"{noun}s"


def _tone(low: float) -> str:
    return "good" if low >= 99 else "warn" if low >= 50 else "bad"
