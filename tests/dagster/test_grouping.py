"""A plant file that divides a source's points otherwise than its history was moved."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets_defs.grouping import check_groups
from pipelines.plant import SourceSettings
from pipelines.points import group_label, group_of
from pipelines.ports import Stop

POINTS = [f"UNIT%20{n}" for n in range(40)]


def _settings(groups: int) -> SourceSettings:
    return SourceSettings.model_validate(
        {"name": "pi1", "kind": "pi_web_api", "url": "http://127.0.0.1:9/piwebapi", "point_groups": groups,
         "start": "2026-01-01T00:00:00Z"}
    )  # fmt: skip


def _proved(groups: int) -> list[tuple[str, str]]:
    return [(point, group_label(group_of(point, groups))) for point in POINTS]


@given(st.integers(1, 64), st.integers(1, 64))
def test_another_number_of_groups_is_refused_with_the_one_before(before: int, now: int) -> None:
    if before == now:
        check_groups(_settings(now), _proved(before))
        return
    with pytest.raises(Stop, match=rf"point_groups = {now} .*Set point_groups = {before} again"):
        check_groups(_settings(now), _proved(before))


def test_a_point_is_named_as_at_the_source() -> None:
    with pytest.raises(Stop, match=re.escape("'UNIT ")):
        check_groups(_settings(2), _proved(4))


def test_nothing_moved_yet_can_be_divided_at_will() -> None:
    check_groups(_settings(7), [])


def test_one_point_that_stays_in_its_group_is_harmless() -> None:
    point = next(point for point in POINTS if group_of(point, 4) == group_of(point, 8))
    check_groups(_settings(8), [(point, group_label(group_of(point, 4)))])
