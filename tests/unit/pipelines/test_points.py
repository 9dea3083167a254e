"""Who is who in a catalogue that was read again."""

from __future__ import annotations

import pytest

from pipelines.points import Kind, Point, may_vanish, merge_catalogue, point_id, rebound, rekeyed


def of(key: str, name: str, kind: Kind = "number", identifier: str = "") -> Point:
    return Point(identifier or point_id(name), name, kind, source_key=key)


def ids(points: list[Point]) -> dict[str, str]:
    return {point.source_key: point.id for point in points}


@pytest.mark.parametrize(
    ("points", "share", "most"), [(0, 0.01, 0), (1, 0.5, 0), (2, 0.01, 1), (7, 0.01, 1), (300, 0.01, 3), (4, 0.99, 3)]
)
def test_few_may_vanish_at_once_and_never_all(points: int, share: float, most: int) -> None:
    assert may_vanish(points, share) == most


def test_another_numbering_of_the_same_points_is_seen() -> None:
    known = [of(f"a:{number}", f"P{number}") for number in range(5)]
    moved = [of(f"b:{number}", f"P{number}") for number in range(5)]
    assert rekeyed(known, moved) == list(zip(known, moved, strict=True))
    assert rekeyed(known, known) == []
    retyped = [of("b:0", "P0", "string"), *moved[1:]]
    assert len(rekeyed(known, retyped)) == 4
    assert ids(merge_catalogue(rebound(known, moved), moved)) == {f"b:{number}": f"P{number}" for number in range(5)}


def test_keys_that_are_dealt_anew_give_no_point_the_history_of_another() -> None:
    """A Runtime database that was made anew numbers its tags from 1 again."""
    known = [of("5", "A"), of("7", "B"), of("9", "C")]
    found = [of("7", "A"), of("5", "B"), of("9", "D")]
    assert [point.name for point, _ in rekeyed(known, found)] == ["A", "B"]
    merged = merge_catalogue(rebound(known, found), found)
    assert {point.name: point.id for point in merged} == {"A": "A", "B": "B", "D": "D"}


def test_a_point_that_was_renamed_and_replaced_is_no_other_numbering() -> None:
    known = [of(f"a:{number}", f"P{number}") for number in range(5)]
    renamed = [of(f"a:{number}", f"P{number}.OLD") for number in range(5)]
    assert rekeyed(known, [*renamed, *(of(f"a:1{number}", f"P{number}") for number in range(5))]) == []


def test_of_points_of_one_name_the_one_that_is_still_there_has_it() -> None:
    gone, live = of("a:1", "A"), of("a:2", "A", identifier="A~2")
    assert ids(merge_catalogue(rebound([gone, live], [of("b:2", "A")]), [of("b:2", "A")])) == {"b:2": "A~2"}


def test_a_single_point_that_was_made_anew_begins_anew() -> None:
    known = [of("a:1", "A"), of("a:2", "B")]
    assert ids(merge_catalogue(known, [of("a:3", "A"), of("a:2", "B")])) == {"a:3": "A~2", "a:2": "B"}
