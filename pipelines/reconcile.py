"""Source vs landing vs store: what agrees is proved, what differs is drift."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.ports import PROOF_SCHEMA, SourceTally
from pipelines.samples import NO_CODE, TALLY_SCHEMA, UNCERTAIN, same_sum, tally, written
from pipelines.samples.events import codes_of

Row = dict[str, Any]
_NOTHING: Row = {
    "events": 0, "numbers": 0, "finite": 0, "good": 0, "first_ns": 0, "last_ns": 0,
    "total": 0.0, "magnitude": 0.0, "number_digest": 0, "digest": 0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Drift:
    """A difference found: one point, what each side holds (events), and in which respect they differ."""

    point: str
    source: int | None
    landed: int
    stored: int | None
    what: str


def rows_of(table: pa.Table) -> dict[str, Row]:
    """A tally table by point."""
    names = table.column_names
    columns = [_listed(table[name].combine_chunks()) for name in names]
    place = names.index("point")
    return {values[place]: dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)}


def usable_totals(events: pa.Table, *, coded: bool = False) -> dict[str, tuple[float, float] | None]:
    """Per point the sum of finite values that are not bad, and of their absolutes: what PI's Total adds up.

    None for a point with a usable event that is no number here, such as an integer beyond 2^53: what the source adds
    up is not in our sum. With `coded` the numbers of states are values like others, as the SUM of a discrete has them.
    """
    if coded:
        numbered = pc.if_else(pc.greater(events["code"], NO_CODE), events["code"], None).cast(pa.float64())
        values = pc.coalesce(events["value"], numbered)
        events = events.set_column(events.column_names.index("value"), "value", values)
    events = events.select(["point", "value", "quality"])  # a filter copies every column
    sound = pc.greater_equal(events["quality"], UNCERTAIN)
    usable = events.filter(pc.and_(pc.is_finite(events["value"]), sound))
    states = events.filter(pc.and_(pc.is_null(events["value"]), sound))
    codes, ids = codes_of(usable)
    values = np.asarray(usable["value"].combine_chunks())
    totals = np.bincount(codes, weights=values, minlength=len(ids))
    scales = np.bincount(codes, weights=np.abs(values), minlength=len(ids))
    sums: dict[str, tuple[float, float] | None] = dict(
        zip(ids, zip(totals.tolist(), scales.tolist(), strict=True), strict=True)
    )
    return sums | dict.fromkeys(pc.unique(states["point"].cast(pa.string())).to_pylist())


def written_totals(events: pa.Table, said: SourceTally) -> dict[str, float]:
    """The sums of the texts of the same values, of points whose numbers have fewer bits than a double: who adds them up
    may add up either."""
    if "bits" not in said.table.column_names:
        return {}
    found: dict[str, float] = {}
    events = events.select(["point", "value", "quality"])
    usable = events.filter(pc.and_(pc.is_finite(events["value"]), pc.greater_equal(events["quality"], UNCERTAIN)))
    codes, ids = codes_of(usable)
    values = np.asarray(usable["value"].combine_chunks())
    bits = {row["point"]: row["bits"] or 0 for row in said.table.select(["point", "bits"]).to_pylist()}
    of_codes = np.array([bits.get(name, 0) for name in ids] or [0])[codes]
    for precision in {*of_codes.tolist()} - {0}:
        mine = of_codes == precision
        texts = np.bincount(codes[mine], weights=written(values[mine], precision), minlength=len(ids))
        found |= {ids[code]: float(texts[code]) for code in np.unique(codes[mine])}
    return found


def needs_deep(landed: Mapping[str, Row], share: float, salt: str) -> set[str]:
    """Points that counting cannot prove: with states, or numbers that the digest of numbers cannot tell, such as
    non-finite ones; and a seeded share of the rest."""
    threshold = int(share * 2**32)
    return {
        point
        for point, row in landed.items()
        if row["numbers"] != row["events"] or row["number_digest"] is None or _draw(point, salt) < threshold
    }


def against_store(landed: Mapping[str, Row], stored: Mapping[str, Row], points: Iterable[str]) -> list[Drift]:
    """Landing and store must agree in events, numbers, good, first and last time, and a digest: of all that was read
    back, or the one of the numbers that the store computed."""
    found = []
    for point in points:
        mine, its = landed.get(point, _NOTHING), stored.get(point, _NOTHING)
        what = next((key for key in ("events", "numbers") if mine[key] != its[key]), None)
        if what is None and mine["events"]:
            told = [key for key in ("good", "first_ns", "last_ns") if its[key] is not None]
            what = next((key for key in told if mine[key] != its[key]), None)
        if what is None and mine["finite"] == mine["numbers"]:
            what = None if same_sum(mine["total"], its["total"], mine["magnitude"], mine["finite"]) else "total"
        if what is None and mine["events"]:
            digest = "number_digest" if its["digest"] is None else "digest"
            what = None if its[digest] is not None and mine[digest] == its[digest] else "digest"
        if what is not None:
            found.append(Drift(point, None, mine["events"], its["events"], what))
    return found


def against_source(
    landed: Mapping[str, Row], events: pa.Table, said: SourceTally, points: Iterable[str]
) -> list[Drift]:
    """Source and landing must agree in what the source could tell: events, and where it told, sum, good, digest.

    `landed` is the tally of `events`.
    """
    found = []
    source = rows_of(said.table)
    totals, texts = usable_totals(events), written_totals(events, said)
    coded = usable_totals(events, coded=True) if "coded" in said.table.column_names else {}
    for point in points:
        mine, its = landed.get(point, _NOTHING), source.get(point)
        if its is None:
            continue  # the source could not tell; the point stays without a proof
        what = None
        if mine["events"] != its["events"]:
            what = "events"
        elif its.get("digest") is not None:
            keys = [key for key in ("good", "digest") if its.get(key) is not None]
            what = next((key for key in keys if mine["events"] and mine[key] != its[key]), None)
        elif its.get("total") is not None and its.get("origin", said.origin) == "independent":
            summed = (coded if its.get("coded") else totals).get(point, (0.0, 0.0))
            if summed is not None:
                ours = (summed[0], texts.get(point, summed[0]))
                same = any(same_sum(each, its["total"], summed[1], mine["finite"]) for each in ours)
                what = None if same else "total"
        if what is not None:
            found.append(Drift(point, its["events"], mine["events"], None, what))
    return found


def proofs(
    points: Sequence[str],
    landed: Mapping[str, Row],
    stored: Mapping[str, Row],
    said: SourceTally,
    deep: set[str],
    unproved: set[str],
) -> pa.Table:
    """One row of PROOF_SCHEMA a point. A point that the source said nothing of is unproved, whatever is stored."""
    source = rows_of(said.table)
    mine = [landed.get(point, _NOTHING) for point in points]
    origins = [source[point].get("origin", said.origin) if point in source else "none" for point in points]
    columns: dict[str, list[Any]] = {
        "point": list(points),
        "proof": [
            ("deep" if point in deep else "counted") if origin != "none" and point not in unproved else "none"
            for point, origin in zip(points, origins, strict=True)
        ],
        "origin": origins,
        "source_events": [source[point]["events"] if point in source else None for point in points],
        "stored_events": [stored.get(point, _NOTHING)["events"] for point in points],
        **{name: [row[name] for row in mine] for name in ("events", "good", "first_ns", "last_ns", "digest")},
        "total": [row["total"] if math.isfinite(row["total"]) else 0.0 for row in mine],
    }
    return pa.table([pa.array(columns[field.name], field.type) for field in PROOF_SCHEMA], schema=PROOF_SCHEMA)


def extras(stored: pa.Table, landed: pa.Table) -> pa.Table:
    """The stored events whose key (point, time, tie, number or state) the landing lacks."""
    keys = ["point", "time", "tie", "number"]
    theirs, ours = _keyed(stored), _keyed(landed).select(keys)
    found = theirs.join(ours, keys=keys, join_type="left anti")
    return stored.take(found["row"]).combine_chunks()


def landed_rows(events: pa.Table) -> dict[str, Row]:
    """The landing's side of a comparison with the store: tallies with both digests, by point."""
    return rows_of(tally(events, number_digest=True))


def deep_rows(tables: Iterable[pa.Table]) -> dict[str, Row]:
    """Tallies with digests of events that were read back, by point."""
    found: dict[str, Row] = {}
    for table in tables:
        found.update(rows_of(tally(table)))
    return found


def replaced(events: pa.Table, points: Iterable[str], fresh: pa.Table) -> pa.Table:
    """`events` with everything of `points` taken out and `fresh` put in; to be ordered by the caller."""
    gone = pa.array(sorted(points), pa.string())
    kept = events.filter(pc.invert(pc.is_in(events["point"].cast(pa.string()), value_set=gone)))
    return pa.concat_tables([kept, fresh]).unify_dictionaries()


def no_tally() -> pa.Table:
    """A tally of nothing."""
    return TALLY_SCHEMA.empty_table()


def _keyed(events: pa.Table) -> pa.Table:
    return pa.table(
        {
            "point": events["point"].cast(pa.string()),
            "time": events["time"].cast(pa.int64()),
            "tie": events["tie"],
            "number": pc.is_valid(events["value"]),
            "row": pa.array(np.arange(len(events))),
        }
    )


def _draw(point: str, salt: str) -> int:
    """A uniform 32-bit number of a point and a salt: the same points are drawn again for the same slice."""
    return int.from_bytes(hashlib.blake2b(f"{salt}\0{point}".encode(), digest_size=4).digest(), "big")


def with_silent(events: pa.Table, points: Iterable[str]) -> pa.Table:
    """The tally of events with a row of zeros for every one of `points` that has none."""
    table = tally(events)
    silent = sorted(set(points) - set(table["point"].to_pylist()))
    rows = pa.Table.from_pylist([{**_NOTHING, "point": point} for point in silent], schema=TALLY_SCHEMA)
    return pa.concat_tables([table, rows])


def added(parts: Sequence[SourceTally]) -> SourceTally:
    """Tallies of consecutive spans as one: counts and digests add up, first and last reach over all."""
    rows: dict[str, Row] = {}
    failed: dict[str, str] = {}
    for part in parts:
        failed.update(part.failed)
        for point, row in rows_of(part.table).items():
            rows[point] = _sum_rows(rows[point], row) if point in rows else row
    kept = [row for point, row in rows.items() if point not in failed]
    marks = [part.flagged for part in parts if part.flagged is not None]
    return SourceTally(
        pa.Table.from_pylist(kept, schema=TALLY_SCHEMA), "re-read", failed, pa.concat_tables(marks) if marks else None
    )


def _sum_rows(one: Row, two: Row) -> Row:
    if not one["events"] or not two["events"]:
        return one if one["events"] else two
    summed: Row = {key: one[key] + two[key] for key in ("events", "numbers", "finite", "good", "total", "magnitude")}
    digest = (one["digest"] + two["digest"] + 2**63) % 2**64 - 2**63
    return {
        **summed,
        "number_digest": None,
        "point": one["point"],
        "digest": digest,
        "first_ns": min(one["first_ns"], two["first_ns"]),
        "last_ns": max(one["last_ns"], two["last_ns"]),
    }


def _listed(column: pa.Array) -> list[Any]:
    """Python values; by way of numpy where nothing is null, which is many times faster than to_pylist."""
    if column.null_count or pa.types.is_string(column.type):
        return list(column.to_pylist())
    return list(np.asarray(column).tolist())
