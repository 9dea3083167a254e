"""nvarchar as the bytes that it is: UTF-16, in which SQL Server keeps also what is no Unicode text.

A driver that is asked for characters puts others in the place of a lone surrogate, or none, and says nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

MOST_BYTES = 8_000
"""Of what a statement asks for; a text that has more would come without its end."""
_ENCODING = "utf-16-le"
Bools = npt.NDArray[np.bool_]


def text_of(raw: bytes | None, *, lenient: bool = True) -> str:
    """One text, '' for null. A lone surrogate becomes U+FFFD, or stays what it is where not `lenient`."""
    return (raw or b"").decode(_ENCODING, "replace" if lenient else "surrogatepass")


def no_text(raw: pa.Array) -> Bools:
    """Which of the values (binary) are no Unicode text: a surrogate without its other half, or half a character."""
    offsets, data = _content(raw)
    bad: Bools = np.diff(offsets) % 2 != 0
    if bad.any():
        return bad | no_text(pc.if_else(pa.array(bad), None, raw))
    units = np.frombuffer(data, "<u2")
    lone = np.flatnonzero(_lone(units, offsets[:-1] // 2))
    bad[np.searchsorted(offsets, 2 * lone, side="right") - 1] = True
    return bad


def texts_of(raw: pa.Array) -> pa.Array:
    """Values (binary) that are all texts, or null, as strings."""
    offsets, data = _content(raw)
    units = np.frombuffer(data, "<u2")
    # Bytes of UTF-8 that each unit becomes: of a pair of surrogates each half has two of the four.
    widths = 1 + (units >= 0x80).astype(np.int64) + ((units >= 0x800) & ((units & 0xF800) != 0xD800))
    ends = np.zeros(len(units) + 1, np.int64)
    np.cumsum(widths, out=ends[1:])
    buffers = [None, pa.py_buffer(ends[offsets // 2]), pa.py_buffer(data.decode(_ENCODING).encode())]
    texts = pa.Array.from_buffers(pa.large_string(), len(raw), buffers).cast(pa.string())
    return pc.if_else(raw.is_valid(), texts, None) if raw.null_count else texts


def _lone(units: npt.NDArray[np.uint16], begins: npt.NDArray[np.int64]) -> Bools:
    """Which units are half of a pair whose other half is not beside them, in the same text."""
    high, low = (units & 0xFC00) == 0xD800, (units & 0xFC00) == 0xDC00
    lone: Bools = high | low
    if not lone.any():
        return lone
    first = np.zeros(len(units) + 1, np.bool_)
    first[begins] = True
    paired = high[:-1] & low[1:] & ~first[1:-1]
    lone[:-1] &= ~paired
    lone[1:] &= ~paired
    return lone


def _content(raw: pa.Array) -> tuple[npt.NDArray[np.int64], bytes]:
    """Offsets from 0, and the bytes of all values one behind the other; nulls have none."""
    values = raw.cast(pa.large_binary()).fill_null(b"")
    _, ends, data = values.buffers()
    offsets = np.frombuffer(ends, np.int64)[values.offset : values.offset + len(values) + 1]
    whole = b"" if data is None else bytes(memoryview(data)[offsets[0] : offsets[-1]])
    return offsets - offsets[0], whole
