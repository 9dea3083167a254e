"""Whether the ledger's point groups are those of the plant file: what is covered is covered by a group's label."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.plant import SourceSettings
from pipelines.points import group_index, group_of, point_name
from pipelines.ports import Stop

_MOST_GROUPS = 4096


def check_groups(settings: SourceSettings, proved: Sequence[tuple[str, str]]) -> None:
    """`proved`: some points, and the label of the group that each was proved in.

    Raises Stop where `point_groups` puts one of them into another group: by its label that one may be covered, and the
    point was never moved there, or is covered in two.
    """
    where = [(point, group_index(label)) for point, label in proved]
    strayed = [point for point, index in where if group_of(point, settings.point_groups) != index]
    if not strayed:
        return
    fits = (n for n in range(1, _MOST_GROUPS) if all(group_of(point, n) == index for point, index in where))
    before = next(fits, None)
    cure = f"set point_groups = {before} again" if before else "set point_groups as it was"
    raise Stop(
        f"source {settings.name!r}: its history was moved with other point groups than point_groups = "
        f"{settings.point_groups} of the plant file ({point_name(strayed[0])!r} is in another one): what is covered "
        f"would be said of other points. {cure.capitalize()}; to divide it otherwise, move it anew as a source of "
        "another name"
    )
