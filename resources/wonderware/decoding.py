"""Rows of History as the driver gives them → events."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.points import Point
from pipelines.ports import Stop
from pipelines.samples import NO_CODE, number_ties, samples_table
from pipelines.timeline import Interval, iso
from resources.wonderware.quality import NO_OPC, made_up, opc_quality
from resources.wonderware.texts import MOST_BYTES, no_text, texts_of

NUMBERS, TEXTS = "numbers", "texts"
"""The statements of sql/wonderware/history.sql, and which kinds of points each is for."""
_SHOWN = 300
"""So many characters say why an event cannot be kept."""
_STATES = 2.0**53
"""Numbers below are whole and exact in a double."""
Ints = npt.NDArray[np.int64]


def statement_for(point: Point) -> str:
    """Which statement reads this point: strings have no Value (facts/historians.md 2.2)."""
    return TEXTS if point.kind == "string" else NUMBERS


def decode(points: Sequence[Point], rows: pa.Table, span: Interval, asked: Interval) -> pa.Table:
    """Rows of one statement over points of one kind → events of the half-open span, SCHEMA, by point and time.

    Raises Stop when rows lie outside of what was `asked` for: then the server understood the times otherwise.
    """
    rows = rows.combine_chunks()
    owners, times = _owners(points, rows), _ints(rows, "TimeNs")
    _check_zone(times, asked)
    quality, detail = _ints(rows, "Quality"), _ints(rows, "QualityDetail")
    keep = (owners >= 0) & (times >= span.start_ns) & (times < span.end_ns) & ~made_up(quality, detail)
    order = np.flatnonzero(keep)
    order = order[np.lexsort((times[order], owners[order]))]
    rows, places, times = rows.take(pa.array(order)), owners[order].astype(np.int32), times[order]
    ids = pa.array([point.id for point in points], pa.string())
    values = rows.column(2).combine_chunks()
    has_value = np.asarray(pc.is_valid(values))
    columns: dict[str, pa.Array] = {
        "point": pa.DictionaryArray.from_arrays(pa.array(places), ids),
        "time": pa.array(times),
        "tie": pa.array(number_ties(places, times)),
        "quality": pa.array(opc_quality(quality[order], detail[order], _ints(rows, "OPCQuality", NO_OPC), has_value)),
        "detail": pa.array(detail[order].astype(np.int32)),
    }
    return samples_table(columns | _values(points, places, values, has_value))


def unkept(points: Sequence[Point], rows: pa.Table, span: Interval) -> dict[str, str]:
    """The points, by id, with a text in the span that cannot be kept as it is, and why: the first one's bytes."""
    if "TextBytes" not in rows.column_names:
        return {}
    rows = rows.combine_chunks()
    texts = rows["Text"].combine_chunks()
    cut = _ints(rows, "TextBytes") > MOST_BYTES
    places = np.flatnonzero(no_text(texts) | cut)
    if not len(places):
        return {}
    owners, times = _owners(points, rows), _ints(rows, "TimeNs")
    found: dict[str, str] = {}
    for place in places[np.argsort(times[places], kind="stable")].tolist():
        if owners[place] >= 0 and span.start_ns <= times[place] < span.end_ns:
            what = f"of more than {MOST_BYTES // 2:,} characters" if cut[place] else "no Unicode text"
            why = f"its event at {iso(int(times[place]))} cannot be kept ({what}): UTF-16 {texts[place].as_py().hex()}"
            found.setdefault(points[owners[place]].id, why[:_SHOWN])
    return found


def _values(
    points: Sequence[Point], owners: npt.NDArray[np.int32], values: pa.Array, has_value: npt.NDArray[np.bool_]
) -> dict[str, pa.Array]:
    """The columns value, text and code. A row without a value is a state with neither text nor number."""
    if pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type):
        return {"text": texts_of(values).fill_null(""), "code": pa.array(np.full(len(values), NO_CODE))}
    numbers = np.asarray(values.cast(pa.float64()).fill_null(0.0))
    # The number of a state is a whole one; what else a discrete may hold stays a value.
    whole = (numbers >= 0) & (numbers < _STATES) & (numbers == np.floor(numbers))
    discrete = np.array([point.kind == "digital" for point in points], np.bool_)[owners] & (whole | ~has_value)
    state = discrete | ~has_value
    codes = np.where(discrete & has_value, numbers, NO_CODE).astype(np.int64)
    # Messages by point and state; what is neither 0 nor 1, or null, has the text at the end of its point's three.
    words = [text for point in points for text in (*messages_of(point), "")]
    places = owners.astype(np.int64) * 3 + np.where(discrete & ((codes == 0) | (codes == 1)), codes, 2)
    return {
        "value": pa.array(numbers, mask=state),
        "text": pa.array(words, pa.string()).take(pa.array(np.where(state, places, 0), mask=~state)),
        "code": pa.array(codes, mask=~state),
    }


def messages_of(point: Point) -> tuple[str, str]:
    """Texts of a discrete's states 0 and 1; '' where the tag has none."""
    return point.attributes.get("message0", ""), point.attributes.get("message1", "")


def by_name(names: Sequence[str]) -> dict[str, int]:
    """Places of names, also as SQL Server may spell them: it compares without case."""
    places = {name.casefold(): place for place, name in reversed(list(enumerate(names)))}
    return places | {name: place for place, name in enumerate(names)}


def place_of(places: dict[str, int], name: str) -> int:
    """The place of a name that the server gave; -1 for one that was not asked for.

    A collation that takes ü for u gives another tag's rows, too.
    """
    return places.get(name, places.get(name.casefold(), -1))


def _owners(points: Sequence[Point], rows: pa.Table) -> Ints:
    """The place in `points` of each row's tag, -1 for a tag that is none of them."""
    coded = rows["TagName"].combine_chunks().dictionary_encode()
    places = by_name([point.address for point in points])
    found = [place_of(places, name) for name in coded.dictionary.to_pylist()]
    owners: Ints = np.array(found or [0], np.int64)[np.asarray(coded.indices)]
    return owners


def _ints(rows: pa.Table, name: str, null: int = 0) -> Ints:
    column = rows[name].combine_chunks()
    return np.asarray(column.fill_null(null) if column.null_count else column).astype(np.int64)


def _check_zone(times: Ints, asked: Interval) -> None:
    if not len(times):
        return
    first, last = int(times.min()), int(times.max())
    if first < asked.start_ns or last > asked.end_ns:
        odd = first if first < asked.start_ns else last
        raise Stop(
            f"the Historian was asked for {asked} in UTC and gave an event at {iso(odd)}: its criteria do not follow "
            "wwTimeZone. Nothing of it was taken"
        )
