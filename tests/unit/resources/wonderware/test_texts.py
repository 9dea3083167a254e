"""Bytes of nvarchar as texts: exactly what Python's own decoder says, whole columns at once."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from resources.wonderware.texts import no_text, text_of, texts_of

ANY = st.lists(st.none() | st.text(st.characters(exclude_categories=()), max_size=6).map(
    lambda text: text.encode("utf-16-le", "surrogatepass")) | st.binary(max_size=5), max_size=12)  # fmt: skip


def python_says(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode("utf-16-le")


def is_text(raw: bytes | None) -> bool:
    try:
        python_says(raw)
    except UnicodeDecodeError:
        return False
    return True


@given(ANY, st.integers(0, 3))
def test_texts_and_what_is_none(values: list[bytes | None], skipped: int) -> None:
    raw = pa.array([b"ab", b"\x00\xd8", None, *values], pa.binary())[skipped:]
    listed = raw.to_pylist()
    assert no_text(raw).tolist() == [not is_text(each) for each in listed]
    sound = [each if is_text(each) else None for each in listed]
    assert texts_of(pa.array(sound, pa.binary())).to_pylist() == [python_says(each) for each in sound]


def test_halves_of_two_texts_are_no_pair() -> None:
    assert no_text(pa.array([b"\x00\xd8", b"\x00\xdc", b"\x00\xd8\x00\xdc"], pa.binary())).tolist() == [
        True,
        True,
        False,
    ]


def test_one_text() -> None:
    assert text_of(None) == ""
    assert text_of(b"a\x00\x00\xd8") == "a\ufffd"
    assert text_of(b"a\x00\x00\xd8", lenient=False) == "a\ud800"
