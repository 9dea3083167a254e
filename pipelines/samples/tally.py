"""The tally of events per point: what two sides must agree on, and the order-independent digest.

The digest of a point is the sum modulo 2^64 of a mixed hash of each event's (time, value, text, code, quality,
detail); it ignores `tie` and order and counts duplicates, and moves with every bit of a float. A store can't compute
it; of the events with a number it can compute another (number_digest), which tells them apart without reading them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.samples.events import codes_of, is_number, times_ns
from pipelines.samples.number_digest import MOST_EVENTS, number_words, tellable
from pipelines.samples.quality import GOOD_FLOOR

TALLY_SCHEMA = pa.schema(
    [
        pa.field("point", pa.string(), nullable=False),
        pa.field("events", pa.int64(), nullable=False),
        pa.field("numbers", pa.int64(), nullable=False),  # of them with a number, finite or not
        pa.field("finite", pa.int64()),  # of them with a finite number; null where the side cannot tell
        pa.field("good", pa.int64()),  # of all with quality ≥ 192; null where the side cannot tell
        pa.field("first_ns", pa.int64(), nullable=False),  # 0 where there are no events
        pa.field("last_ns", pa.int64(), nullable=False),
        pa.field("total", pa.float64(), nullable=False),  # sum of finite values
        pa.field("magnitude", pa.float64(), nullable=False),  # sum of their absolutes: the scale of rounding
        pa.field("number_digest", pa.int64()),  # of all with a number; null where not asked for or not tellable
        pa.field("digest", pa.int64()),  # null where the events were not read
    ]
)

_SUMS = ("events", "numbers", "finite", "good", "total", "magnitude")
_U64 = np.uint64
_MIX = (_U64(0x9E3779B97F4A7C15), _U64(0xBF58476D1CE4E5B9), _U64(0x94D049BB133111EB))
_BLOCK_ROWS = 16_384  # hashing goes over the same words a dozen times: blocks of them stay in the core's cache

_Words = npt.NDArray[np.uint64]


def tally(table: pa.Table, *, number_digest: bool = False) -> pa.Table:
    """Events in SCHEMA → one row per point that has events, in TALLY_SCHEMA, sorted by point.

    `number_digest` is for what a store is to be compared with, and null without.
    """
    codes, ids = codes_of(table)
    if not len(codes):
        return TALLY_SCHEMA.empty_table()
    points = len(ids)
    number = is_number(table)
    raw_values = table["value"].combine_chunks()
    values = np.asarray(raw_values.fill_null(0.0) if raw_values.null_count else raw_values)
    finite = number & np.isfinite(values)
    kept = values if finite.all() else np.where(finite, values, 0.0)
    times = times_ns(table)
    quality = np.asarray(table["quality"].combine_chunks())
    detail = np.asarray(table["detail"].combine_chunks())
    hashes = _event_hashes(times, values, number, quality, detail, table)
    # Events come in long runs of one point: a run is added up at once, then the few runs of each point.
    edges = np.flatnonzero(np.concatenate(([True], codes[1:] != codes[:-1])))
    owners = codes[edges]
    first = np.full(points, np.iinfo(np.int64).max)
    last = np.full(points, np.iinfo(np.int64).min)
    np.minimum.at(first, owners, np.minimum.reduceat(times, edges))
    np.maximum.at(last, owners, np.maximum.reduceat(times, edges))
    digests = np.zeros(points, dtype=_U64)
    with np.errstate(over="ignore"):
        np.add.at(digests, owners, np.add.reduceat(hashes, edges))
    events = _counts(np.ones(len(codes), np.bool_), edges, owners, points)
    numbers = _counts(number, edges, owners, points)
    places = codes.astype(np.intp)
    told = pa.nulls(points, pa.int64())
    if number_digest:
        told = _number_digests(times, values, number, quality, detail, edges, owners, numbers)
    result = pa.table(
        [
            pa.array(ids, pa.string()),
            pa.array(events),
            pa.array(numbers),
            pa.array(_counts(finite, edges, owners, points)),
            pa.array(_counts(quality >= GOOD_FLOOR, edges, owners, points)),
            pa.array(first, pa.int64()),
            pa.array(last, pa.int64()),
            pa.array(np.bincount(places, weights=kept, minlength=points), pa.float64()),
            pa.array(np.bincount(places, weights=np.abs(kept), minlength=points), pa.float64()),
            told,
            pa.array(digests.view(np.int64), pa.int64()),
        ],
        schema=TALLY_SCHEMA,
    )
    return result.filter(pa.array(events > 0)).sort_by("point")


def merged(tallies: Iterable[pa.Table], points: Sequence[str]) -> pa.Table:
    """Tallies (TALLY_SCHEMA) of parts of the time → one row a point of `points`, of zeros where it has no events."""
    rows = pa.concat_tables([TALLY_SCHEMA.empty_table(), *tallies])
    rows = rows.filter(pc.is_in(rows["point"], pa.array(points, pa.string()))).combine_chunks()
    places = {point: place for place, point in enumerate(points)}
    owners = np.array([places[name] for name in rows["point"].to_pylist()], dtype=np.int64)
    columns: dict[str, np.ndarray] = {}
    for name in _SUMS:
        kind = np.float64 if name in ("total", "magnitude") else np.int64
        columns[name] = np.zeros(len(points), dtype=kind)
        np.add.at(columns[name], owners, np.asarray(rows[name]))
    digests = np.zeros(len(points), dtype=np.uint64)
    with np.errstate(over="ignore"):  # a digest is a sum modulo 2^64
        np.add.at(digests, owners, np.asarray(rows["digest"]).astype(np.int64).view(np.uint64))
    columns["digest"] = digests.view(np.int64)
    first = np.full(len(points), np.iinfo(np.int64).max)
    last = np.full(len(points), np.iinfo(np.int64).min)
    np.minimum.at(first, owners, np.asarray(rows["first_ns"]))
    np.maximum.at(last, owners, np.asarray(rows["last_ns"]))
    held = columns["events"] > 0
    columns["first_ns"], columns["last_ns"] = np.where(held, first, 0), np.where(held, last, 0)
    names = pa.array(points, pa.string())
    untold = pa.nulls(len(points), pa.int64())
    arrays = [pa.array(columns[field.name], field.type) if field.name in columns else untold for field in TALLY_SCHEMA]
    return pa.table([names, *arrays[1:]], schema=TALLY_SCHEMA)


def _number_digests(
    times: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    number: npt.NDArray[np.bool_],
    quality: npt.NDArray[np.int32],
    detail: npt.NDArray[np.int32],
    edges: npt.NDArray[np.intp],
    owners: npt.NDArray[np.int32],
    numbers: npt.NDArray[np.int64],
) -> pa.Array:
    """The number digest of each point; null where it has a value, or so many, that it cannot tell."""
    words = np.empty(len(times), np.int64)
    dumb = np.zeros(len(times), np.bool_)
    for low in range(0, len(times), _BLOCK_ROWS):
        rows = slice(low, low + _BLOCK_ROWS)
        told = tellable(values[rows])
        dumb[rows] = ~told
        asked = values[rows] if told.all() else np.where(told, values[rows], 0.0)
        words[rows] = number_words(times[rows], asked, quality[rows], detail[rows])
    if not number.all():
        words[~number] = 0  # states have none; their values are 0.0 here
    sums = np.zeros(len(numbers), np.int64)
    np.add.at(sums, owners, np.add.reduceat(words, edges))
    untold = (_counts(dumb, edges, owners, len(numbers)) > 0) | (numbers > MOST_EVENTS)
    return pa.array(sums, pa.int64(), mask=untold)


def _counts(
    marked: npt.NDArray[np.bool_], edges: npt.NDArray[np.intp], owners: npt.NDArray[np.int32], points: int
) -> npt.NDArray[np.int64]:
    """How many of each point's events are marked; runs of one point begin at `edges`."""
    counts = np.zeros(points, np.int64)
    np.add.at(counts, owners, np.add.reduceat(marked, edges, dtype=np.int64))
    return counts


def _event_hashes(
    times: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    number: npt.NDArray[np.bool_],
    quality: npt.NDArray[np.int32],
    detail: npt.NDArray[np.int32],
    table: pa.Table,
) -> _Words:
    """One 64-bit hash an event; every NaN counts as one NaN, -0.0 and 0.0 differ."""
    mixed = np.empty(len(times), _U64)
    spare = np.empty(_BLOCK_ROWS, _U64)
    with np.errstate(over="ignore"):
        for low in range(0, len(times), _BLOCK_ROWS):
            rows = slice(low, low + _BLOCK_ROWS)
            words = mixed[rows]
            room = spare[: len(words)]
            np.add(times[rows].view(_U64), _MIX[0], out=words)
            _mix(words, room)
            words ^= _bits(values[rows])
            _mix(words, room)
            np.left_shift(quality[rows], 32, out=room.view(np.int64), dtype=np.int64)
            room |= detail[rows].view(np.uint32)
            room *= _MIX[1]
            words += room
            words += number[rows]
            _mix(words, room)
        if not number.all():
            _mix_states(mixed, number, table)
    return mixed


def _bits(values: npt.NDArray[np.float64]) -> _Words:
    """The doubles as words; every NaN has the same one."""
    odd = np.isnan(values)
    return (np.where(odd, np.nan, values) if odd.any() else values).view(_U64)


def _mix_states(mixed: _Words, number: npt.NDArray[np.bool_], table: pa.Table) -> None:
    """Text and code of the events without a number go into their hashes, in place."""
    states = table.select(["text", "code"]).filter(pa.array(~number)).combine_chunks()
    texts = states["text"].combine_chunks().dictionary_encode()
    known = np.array([_text_hash(text or "") for text in texts.dictionary.to_pylist()] or [0], dtype=_U64)
    codes = np.asarray(states["code"].combine_chunks().fill_null(0)).view(_U64)
    words = mixed[~number]
    spare = np.empty_like(words)
    words ^= known[np.asarray(texts.indices.fill_null(0))]
    _mix(words, spare)
    words += codes * _MIX[2]
    _mix(words, spare)
    mixed[~number] = words


def _mix(words: _Words, spare: _Words) -> None:
    """splitmix64's finaliser (Steele, Lea, Flood 2014) in place: a bijection that spreads every bit."""
    np.right_shift(words, _U64(30), out=spare)
    words ^= spare
    words *= _MIX[1]
    np.right_shift(words, _U64(27), out=spare)
    words ^= spare
    words *= _MIX[2]
    np.right_shift(words, _U64(31), out=spare)
    words ^= spare


def _text_hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
