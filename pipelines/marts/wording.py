"""How the quality report says things: numbers, times, verdicts. Pure functions of figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipelines.marts.figures import Figures
from pipelines.samples import Quality

Row = dict[str, Any]
Tone = Literal["good", "warn", "bad"]

_PROOFS = {"counted": "Counted", "deep": "Deep", "none": "Not proved"}
_ORIGINS = {
    "independent": "asked the source by another question",
    "re-read": "read the source again",
    "spool": "compared with the collector's spool",
    "none": "sides differ, or the source was not asked",
}
_QUALITIES = {
    Quality.BAD_CONFIG: "configuration error",
    Quality.BAD_NOT_CONNECTED: "not connected",
    Quality.BAD_DEVICE: "device failure",
    Quality.BAD_SENSOR: "sensor failure",
    Quality.BAD_COMM: "communication failure",
    Quality.BAD_OUT_OF_SERVICE: "out of service",
}
_FEW = 3  # points without a story are named up to this many, then counted
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


def verdict(figures: Figures) -> Verdict:
    """What the proofs add up to."""
    totals, open_points = figures.totals, len(figures.unproved)
    if not totals["points"]:
        return Verdict("bad", "Nothing is proved", "No proof is recorded for this span: nothing was verified yet.")
    landed = f"{count(totals['landed_events'])} {_plural(totals['landed_events'], 'event')}"
    if not open_points:
        if not totals["landed_events"]:
            return Verdict("good", "Proved", "The source holds no event in this span, and neither does the store.")
        return Verdict(
            "good",
            "Proved",
            f"{landed} of {count(totals['points'])} {_plural(totals['points'], 'point')}: what the source holds for "
            "this span is in the store exactly once.",
        )
    if all(row["proof"] == "none" for row in figures.proof_kinds):
        return Verdict("bad", "Not proved", f"{landed} landed, and for no point was agreement with the source proved.")
    whole = len({row["point"] for row in figures.unproved if not row["proved_ns"]})
    return Verdict(
        "warn",
        f"Proved, except for {count(open_points)} {_plural(open_points, 'point')}",
        f"They are named below with the reason; {count(whole)} of them {'is' if whole == 1 else 'are'} unproved over "
        "the whole span. For every other point, what the source holds is in the store exactly once.",
    )


def unproved(figures: Figures, span_ns: int) -> list[Row]:
    """Rows of name and reason: points with a story of their own first, then what was just never tried, by group."""
    named = [row for row in figures.unproved if row["reason"] or row["slices"]]
    rest: dict[tuple[str, int], list[Row]] = {}
    for row in figures.unproved:
        if not (row["reason"] or row["slices"]):
            rest.setdefault((row["point_group"] or "", row["proved_ns"]), []).append(row)
    rows = [{"name": row["name"], "reason": _reason(row, span_ns)} for row in named]
    for (group, proved_ns), alike in sorted(rest.items()):
        why = f"{_missing(proved_ns, span_ns)}: no slice was tried there"
        if len(alike) <= _FEW:
            rows += [{"name": row["name"], "reason": why} for row in alike]
        else:
            whose = f"of {group}" if group else "of no known point group"
            rows.append({"name": f"{count(len(alike))} points {whose}", "reason": why})
    return rows


def _reason(row: Row, span_ns: int) -> str:
    said = []
    if row["reason"]:
        said.append(row["reason"])
    elif row["differing"]:
        sides = (("source", row["source_events"]), ("landed", row["events"]), ("stored", row["stored_events"]))
        said.append("counts differ: " + ", ".join(f"{name} {count(events)}" for name, events in sides))
    elif row["slices"]:
        said.append(f"not proved in {count(row['slices'])} {_plural(row['slices'], 'slice')}")
    if row["proved_ns"] < span_ns:
        said.append(_missing(row["proved_ns"], span_ns))
    return "; ".join(said)


def _missing(proved_ns: int, span_ns: int) -> str:
    if not proved_ns:
        return "unproved over the whole span"
    return f"unproved over {percent(100 * (1 - proved_ns / span_ns))} of the span"


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


def origin(kind: str) -> str:
    """Where the source's side of a proof came from, for people."""
    return _ORIGINS.get(kind, kind)


def number(value: float) -> str:
    """A measured number as people write it: 12,345.7 with thin spaces, small and huge ones with an exponent."""
    if value == int(value) and abs(value) < _WHOLE:
        return count(int(value))
    return f"{value:.4g}"


def _plural(number: int, noun: str) -> str:
    return noun if number == 1 else f"{noun}s"


def _tone(low: float) -> str:
    return "good" if low >= 99 else "warn" if low >= 50 else "bad"
