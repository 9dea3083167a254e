"""TsBlocks as a server may send them, taken apart by columns."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.iotdb.blocks import read_block

WIRE = {"INT32": (1, 1, ">i4"), "INT64": (2, 2, ">i8"), "DOUBLE": (4, 2, ">f8"), "FLOAT": (3, 1, ">f4")}


def bits(flags: Sequence[bool]) -> bytes:
    return np.packbits(np.array(flags, bool)).tobytes()


def column(kind: str, values: Sequence[object]) -> tuple[int, int, bytes]:
    """Type, encoding and bytes of a column, as the server lays it out."""
    nulls = [value is None for value in values]
    head = b"\1" + bits(nulls) if any(nulls) else b"\0"
    present = [value for value in values if value is not None]
    if kind == "STRING":
        texts = [str(text).encode() for text in present]
        return 5, 3, head + b"".join(struct.pack(">i", len(text)) + text for text in texts)
    if kind == "BOOLEAN":
        return 0, 0, head + bits([bool(value) for value in values])
    number, encoding, wire = WIRE[kind]
    return number, encoding, head + np.array(present, wire).tobytes()


def run_length(kind: str, value: object) -> tuple[int, int, bytes]:
    number, encoding, body = column(kind, [value])
    return number, 4, bytes([encoding]) + body


def block(rows: int, *columns: tuple[int, int, bytes]) -> bytes:
    times = column("INT64", list(range(rows)))
    head = struct.pack(">i", len(columns)) + bytes(number for number, _, _ in columns) + struct.pack(">i", rows)
    encodings = bytes([times[1], *(encoding for _, encoding, _ in columns)])
    return head + encodings + times[2] + b"".join(body for _, _, body in columns)


def read(kind: str, rows: int, *columns: tuple[int, int, bytes]) -> list[list[object]]:
    return [
        array.to_pylist() for array in read_block(block(rows, *columns), [kind] * len(columns), range(len(columns)))
    ]


@given(st.lists(st.one_of(st.none(), st.text(max_size=5)), max_size=30))
def test_texts_of_any_length(texts: list[str | None]) -> None:
    assert read("STRING", len(texts), column("STRING", texts)) == [texts]


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False)), max_size=30))
def test_doubles(values: list[float | None]) -> None:
    assert read("DOUBLE", len(values), column("DOUBLE", values)) == [values]


@given(st.lists(st.one_of(st.none(), st.booleans()), max_size=30))
def test_booleans(values: list[bool | None]) -> None:
    assert read("BOOLEAN", len(values), column("BOOLEAN", values)) == [values]


@pytest.mark.parametrize("kind", ["INT32", "INT64"])
def test_integers_at_their_ends(kind: str) -> None:
    size = 31 if kind == "INT32" else 63
    values = [0, -1, 2**size - 1, -(2**size), None]
    assert read(kind, 5, column(kind, values)) == [values]


def test_every_bit_of_a_double_counts() -> None:
    values = [float("nan"), float("inf"), -0.0, 5e-324]
    (array,) = read_block(block(4, column("DOUBLE", values)), ["DOUBLE"], [0])
    assert np.asarray(array).tobytes() == np.array(values).tobytes()


@pytest.mark.parametrize("text", ["", "0", "Öl", "x" * 70_000])
def test_a_tag_is_the_same_in_every_row(text: str) -> None:
    plain, repeated = read("STRING", 3, column("STRING", [text] * 3), run_length("STRING", text))
    assert plain == repeated == [text] * 3


def test_lengths_that_agree_by_accident() -> None:
    # the second text begins with the bytes of a length, where the third would be looked for
    texts = ["ab", "\0\0\0\2\0\0", "ab"]
    assert read("STRING", 3, column("STRING", texts)) == [texts]


@pytest.mark.parametrize(("kind", "value"), [("INT32", 7), ("DOUBLE", 1.5), ("BOOLEAN", True), ("STRING", None)])
def test_run_lengths(kind: str, value: object) -> None:
    assert read(kind, 4, run_length(kind, value)) == [[value] * 4]


def test_columns_in_the_order_of_the_result() -> None:
    data = block(2, column("INT32", [1, 2]), column("DOUBLE", [0.5, 1.5]))
    found = read_block(data, ["DOUBLE", "INT64", "INT32"], [1, -1, 0])
    assert [array.to_pylist() for array in found] == [[0.5, 1.5], [0, 1], [1, 2]]


def test_no_rows() -> None:
    assert read("STRING", 0, column("STRING", [])) == [[]]


def test_an_unknown_encoding_is_an_error() -> None:
    with pytest.raises(ValueError, match="encoding 9"):
        read_block(block(1, (2, 9, b"\0" + bytes(8))), ["INT64"], [0])


def test_a_string_column_is_a_dictionary() -> None:
    (array,) = read_block(block(2, run_length("STRING", "P1")), ["STRING"], [0])
    assert array.type == pa.dictionary(pa.int32(), pa.string())
