from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.tds import Column, datetime2, encode
from tests.unit.simulators.tds.decoder import rows_of

DAY_NS = 86_400 * 10**9
# No lone surrogates: Arrow's strings are UTF-8.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
INT64 = st.integers(-(2**63), 2**63 - 1)
VALUES: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "bit": (pa.bool_(), st.booleans()),
    "tinyint": (pa.uint8(), st.integers(0, 255)),
    "smallint": (pa.int16(), st.integers(-(2**15), 2**15 - 1)),
    "int": (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "bigint": (pa.int64(), INT64),
    "real": (pa.float32(), st.floats(width=32, allow_nan=False)),
    "float": (pa.float64(), st.floats(allow_nan=False)),
    "datetime2": (pa.timestamp("ns", "UTC"), INT64),
    "nvarchar": (pa.string(), TEXTS),
    "varbinary": (pa.binary(), st.binary(max_size=12)),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Column], list[list[Any]], pa.Table]:
    count = draw(st.integers(0, 8))
    columns, values, arrays = [], [], []
    for kind in draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=6)):
        form, one = VALUES[kind]
        nullable = draw(st.booleans())
        size = draw(st.integers(0, 7)) if kind == "datetime2" else draw(st.sampled_from((0, 24)))
        column = Column("c", kind, size if kind in ("datetime2", "nvarchar", "varbinary") else 0, nullable)
        cells = draw(st.lists(st.none() | one if nullable else one, min_size=count, max_size=count))
        if kind == "datetime2":
            array = pa.array(cells, pa.int64())
            array = array.cast(form) if draw(st.booleans()) else array
        else:
            array = pa.array(cells, form)
            if kind == "nvarchar" and draw(st.booleans()):
                array = array.dictionary_encode()
        columns.append(column)
        values.append(cells)
        arrays.append(array)
    table = pa.table(arrays, names=[str(place) for place in range(len(arrays))])
    low = draw(st.integers(0, count))
    table = table.slice(low)  # arrays that begin elsewhere than at 0
    if draw(st.booleans()):
        table = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    return columns, [cells[low:] for cells in values], table


@settings(max_examples=300, deadline=None)
@given(tables())
def test_what_is_encoded_decodes_to_the_same(given_: tuple[list[Column], list[list[Any]], pa.Table]) -> None:
    columns, values, table = given_
    encoded = encode(columns, table)
    rows, places = rows_of(columns, encoded.data)
    assert rows == [
        [_expected(column, cell) for column, cell in zip(columns, row, strict=True)]
        for row in zip(*values, strict=True)
    ]
    assert encoded.offsets.tolist() == places
    assert encoded.offsets.dtype == np.int64


def _expected(column: Column, cell: Any) -> Any:
    if column.kind == "datetime2" and cell is not None:
        day, rest = divmod(cell, DAY_NS)
        return day + 719_162, rest // 10 ** (9 - column.size)
    return cell


def test_rows_beyond_one_chunk_keep_their_order() -> None:
    columns = [Column("a", "int"), Column("b", "nvarchar", 9)]
    count = 150_001
    numbers = pa.array(np.arange(count, dtype=np.int32), mask=np.arange(count) % 7 == 0)
    texts = pa.DictionaryArray.from_arrays(pa.array(np.arange(count, dtype=np.int32) % 3), ["я", "bb", "😀"])
    encoded = encode(columns, pa.table([numbers, texts], names=["a", "b"]))
    rows, places = rows_of(columns, encoded.data)
    assert rows == [[None if n % 7 == 0 else n, ("я", "bb", "😀")[n % 3]] for n in range(count)]
    assert encoded.offsets.tolist() == places


def test_blocks_are_whole_rows_and_all_of_them() -> None:
    columns = [Column("b", "nvarchar", 100)]
    encoded = encode(columns, pa.table({"b": ["x" * (n % 90) for n in range(500)]}))
    blocks = list(encoded.blocks(3, 401, block_bytes=1_000))
    rows = [row for block in blocks for row in rows_of(columns, bytes(block.data))[0]]
    assert rows == [["x" * (n % 90)] for n in range(3, 401)]
    assert sum(block.rows for block in blocks) == 398
    assert all(len(block.data) <= 1_000 for block in blocks)
    assert [block.rows for block in encoded.blocks(0, 3, block_bytes=1)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("column", "array"),
    [
        (Column("a", "int", nullable=False), pa.array([1, None], pa.int32())),
        (Column("a", "smallint"), pa.array([40_000], pa.int32())),
        (Column("a", "tinyint"), pa.array([-1], pa.int32())),
        (Column("a", "nvarchar", 2), pa.array(["😀a"])),
        (Column("a", "varbinary", 2), pa.array([b"abc"])),
        (Column("a", "nvarchar", 2), pa.array(["abc"]).dictionary_encode()),
    ],
)
def test_what_does_not_fit_is_refused(column: Column, array: pa.Array) -> None:
    with pytest.raises(ValueError, match=r"column 'a'|out of range|not in range|out of bounds"):
        encode([column], pa.table({"a": array}))


@pytest.mark.parametrize(
    ("column", "array"),
    [
        (datetime2("a"), pa.array([1], pa.timestamp("us"))),
        (Column("a", "int"), pa.array(["1"])),
        (Column("a", "nvarchar"), pa.array([1])),
        (Column("a", "varbinary"), pa.array(["1"])),
    ],
)
def test_arrow_types_that_a_kind_cannot_hold_are_refused(column: Column, array: pa.Array) -> None:
    with pytest.raises(TypeError, match="column 'a'"):
        encode([column], pa.table({"a": array}))


def test_sizes_that_a_kind_cannot_have_are_refused() -> None:
    for kind, size in (("nvarchar", 4_001), ("varbinary", 8_001), ("datetime2", 8), ("int", 4), ("nvarchar", -1)):
        with pytest.raises(ValueError, match="cannot have the size"):
            Column("a", kind, size)
