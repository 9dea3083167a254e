"""What source and landing are compared in."""

from __future__ import annotations

import pyarrow as pa

from pipelines import reconcile, samples
from pipelines.ports import SourceTally

BIG = 2**53 + 1


def events(*rows: tuple[str, float | None, int | None, int]) -> pa.Table:
    """Rows of (point, value, code, quality), a second apart."""
    columns = [
        {"point": point, "time": at * 10**9, "tie": 0, "value": value, "quality": quality, "detail": 0,
         "text": None if value is not None else "", "code": code}
        for at, (point, value, code, quality) in enumerate(rows)
    ]  # fmt: skip
    return samples.ordered(pa.Table.from_pylist(columns, schema=samples.SCHEMA))


def test_totals_leave_bad_values_out_and_do_not_speak_of_what_is_no_number_here() -> None:
    table = events(
        ("a", 1.5, None, 192), ("a", 2.0, None, 0), ("a", -4.0, None, 64), ("b", 1.0, None, 192), ("b", None, BIG, 192),
        ("c", 3.0, None, 192), ("c", None, 246, 24),
    )  # fmt: skip
    assert reconcile.usable_totals(table) == {"a": (-2.5, 5.5), "b": None, "c": (3.0, 3.0)}


def test_a_sum_with_integers_beyond_a_double_is_no_drift() -> None:
    """Found on a stand-in whose integers cancelled out to a small Total."""
    table = events(("b", 1.0, None, 192), ("b", None, BIG, 192), ("b", None, -BIG, 192))
    said = SourceTally(pa.table({"point": ["b"], "events": [3], "total": [1.0]}), "independent")
    off = SourceTally(pa.table({"point": ["b"], "events": [3], "total": [7.0]}), "independent")
    landed = reconcile.deep_rows([table])
    assert reconcile.against_source(landed, table, said, ["b"]) == []
    assert reconcile.against_source(landed, table, off, ["b"]) == []
    plain = events(("b", 1.0, None, 192), ("b", 2.0, None, 192), ("b", 3.0, None, 192))
    [drift] = reconcile.against_source(reconcile.deep_rows([plain]), plain, off, ["b"])
    assert drift.what == "total"


def test_a_sum_of_states_finds_one_that_was_changed() -> None:
    """Of whom the source says so: the numbers of PI's states are in none of its totals."""
    table = events(
        ("d", None, 1, 192), ("d", None, 0, 192), ("d", None, 1, 64), ("d", None, 1, 0), ("d", 0.5, None, 192)
    )
    landed = reconcile.deep_rows([table])

    def drifted(total: float, *, coded: bool) -> list[reconcile.Drift]:
        row = pa.table({"point": ["d"], "events": [5], "total": [total], "coded": [coded]})
        return reconcile.against_source(landed, table, SourceTally(row, "independent"), ["d"])

    assert drifted(2.5, coded=True) == []
    assert [each.what for each in drifted(1.5, coded=True)] == ["total"]
    assert drifted(2.5, coded=False) == []
