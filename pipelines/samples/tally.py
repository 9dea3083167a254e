"""The tally of events per point: what two sides must agree on, and the order-independent digest.

The digest of a point is the sum modulo 2^64 of a mixed hash of each event's (time, value, text, code, quality,
detail); it ignores `tie` and order and counts duplicates, and moves with every bit of a float.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.samples.events import codes_of, is_number, times_ns
from pipelines.samples.quality import GOOD_FLOOR

TALLY_SCHEMA = pa.schema(
    [
        pa.field("point", pa.string(), nullable=False),
        pa.field("events", pa.int64(), nullable=False),
        pa.field("numbers", pa.int64(), nullable=False),  # of them with a number, finite or not
        pa.field("finite", pa.int64(), nullable=False),  # of them with a finite number
        pa.field("good", pa.int64(), nullable=False),  # of all with quality ≥ 192
        pa.field("first_ns", pa.int64(), nullable=False),  # 0 where there are no events
        pa.field("last_ns", pa.int64(), nullable=False),
        pa.field("total", pa.float64(), nullable=False),  # sum of finite values
        pa.field("magnitude", pa.float64(), nullable=False),  # sum of their absolutes: the scale of rounding
        pa.field("digest", pa.int64()),  # null where the events were not read
    ]
)

_U64 = np.uint64
_MIX = (_U64(0x9E3779B97F4A7C15), _U64(0xBF58476D1CE4E5B9), _U64(0x94D049BB133111EB))


def tally(table: pa.Table) -> pa.Table:
    """Events in SCHEMA → one row per point that has events, in TALLY_SCHEMA, sorted by point."""
    codes, ids = codes_of(table)
    points = len(ids)
    number = is_number(table)
    raw_values = table["value"].combine_chunks()
    values = np.asarray(raw_values.fill_null(0.0) if raw_values.null_count else raw_values)
    finite = number & np.isfinite(values)
    kept = np.where(finite, values, 0.0)
    times = times_ns(table)
    quality = np.asarray(table["quality"].combine_chunks())
    detail = np.asarray(table["detail"].combine_chunks())
    events = np.bincount(codes, minlength=points)
    first = np.full(points, np.iinfo(np.int64).max)
    last = np.full(points, np.iinfo(np.int64).min)
    edges = np.flatnonzero(np.concatenate(([True], np.diff(codes) != 0))) if len(codes) else np.array([], int)
    if len(edges):
        run_points = codes[edges]
        np.minimum.at(first, run_points, np.minimum.reduceat(times, edges))
        np.maximum.at(last, run_points, np.maximum.reduceat(times, edges))
    hashes = _event_hashes(times, values, number, quality, detail, table)
    digests = np.zeros(points, dtype=_U64)
    if len(edges):
        with np.errstate(over="ignore"):
            np.add.at(digests, run_points, np.add.reduceat(hashes, edges))
    result = pa.table(
        [
            pa.array(ids, pa.string()),
            pa.array(events, pa.int64()),
            pa.array(np.bincount(codes[number], minlength=points), pa.int64()),
            pa.array(np.bincount(codes[finite], minlength=points), pa.int64()),
            pa.array(np.bincount(codes[quality >= GOOD_FLOOR], minlength=points), pa.int64()),
            pa.array(first, pa.int64()),
            pa.array(last, pa.int64()),
            pa.array(np.bincount(codes, weights=kept, minlength=points), pa.float64()),
            pa.array(np.bincount(codes, weights=np.abs(kept), minlength=points), pa.float64()),
            pa.array(digests.view(np.int64), pa.int64()),
        ],
        schema=TALLY_SCHEMA,
    )
    return result.filter(pa.array(events > 0)).sort_by("point")


def _event_hashes(
    times: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    number: npt.NDArray[np.bool_],
    quality: npt.NDArray[np.int32],
    detail: npt.NDArray[np.int32],
    table: pa.Table,
) -> npt.NDArray[np.uint64]:
    """One 64-bit hash an event; every NaN counts as one NaN, -0.0 and 0.0 differ."""
    bits = np.where(np.isnan(values), np.float64("nan"), values).view(_U64)
    marks = (quality.astype(np.int64) << 32 | (detail.astype(np.int64) & 0xFFFFFFFF)).view(_U64)
    with np.errstate(over="ignore"):
        mixed = _mix(times.view(_U64) + _MIX[0])
        mixed = _mix(mixed ^ bits)
        mixed = _mix(mixed + marks * _MIX[1] + number.astype(_U64))
        if not number.all():
            mixed = _mix_states(mixed, number, table)
    return mixed


def _mix_states(
    mixed: npt.NDArray[np.uint64], number: npt.NDArray[np.bool_], table: pa.Table
) -> npt.NDArray[np.uint64]:
    states = table.select(["text", "code"]).filter(pa.array(~number)).combine_chunks()
    texts = states["text"].combine_chunks().dictionary_encode()
    known = np.array([_text_hash(text or "") for text in texts.dictionary.to_pylist()] or [0], dtype=_U64)
    codes = np.asarray(states["code"].combine_chunks().fill_null(0)).view(_U64)
    mixed = mixed.copy()
    mixed[~number] = _mix(mixed[~number] ^ known[np.asarray(texts.indices.fill_null(0))]) + codes * _MIX[2]
    mixed[~number] = _mix(mixed[~number])
    return mixed


def _mix(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """splitmix64's finaliser (Steele, Lea, Flood 2014): a bijection that spreads every bit."""
    words = (words ^ (words >> _U64(30))) * _MIX[1]
    words = (words ^ (words >> _U64(27))) * _MIX[2]
    return words ^ (words >> _U64(31))


def _text_hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
