"""Versions of the point catalogue: a point ⇄ one line of JSON; saved by comparing the whole catalogue at once."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import pyarrow as pa

import sql
from pipelines.points import Point, group_label, group_of
from pipelines.ports import NEWCOMER, Absence, Exclusion, Known, SliceId
from pipelines.timeline import Interval, clip, merge
from resources.postgres.columns import copy_in
from resources.postgres.connections import Connection
from resources.postgres.exclusions import add
from resources.postgres.slices import covered, lock_group, one
from resources.postgres.texts import legible

_STATEMENTS = {name: text.encode() for name, text in sql.statements("ledger/points.sql").items()}
_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder(Point, strict=False)  # not strict: "nan" is a float


def point_json(point: Point) -> str:
    """A point as one canonical line of JSON: equal points give equal lines. Lone surrogates become '?'."""
    if all(value is None or math.isfinite(value) for value in (point.zero, point.span)):
        with suppress(UnicodeEncodeError):
            return _ENCODER.encode(point).decode()
    # JSON has no NaN and no infinities, and msgspec would make them null: they go as texts.
    return _ENCODER.encode(_sendable(msgspec.to_builtins(point))).decode()


def point_from_json(line: str) -> Point:
    """The inverse of `point_json`; keys of a newer version are left out."""
    return _DECODER.decode(line)


def _sendable(value: Any) -> Any:
    if isinstance(value, dict):
        return {_sendable(key): _sendable(each) for key, each in value.items()}
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)


def save(
    connection: Connection,
    source: str,
    points: Sequence[Point],
    groups: int,
    missing: Sequence[Point] = (),
    unselected: Sequence[Point] = (),
    accepted_by: str = "",
    selection: str | None = None,
) -> int:
    """Appends a version for each new, changed, vanished, missing and returned point; returns how many.

    What slices were made without, or with another kind of, is excepted there. In the caller's transaction. Raises
    ValueError when two points have the same id.
    """
    given = [*points, *missing, *unselected]
    if len({point.id for point in given}) != len(given):
        raise ValueError(f"the catalogue of {source!r} holds an id twice")
    connection.execute(_STATEMENTS["lock"], {"name": f"points\x1f{source}"})
    connection.execute(_STATEMENTS["stage"])
    absent = [None] * len(points) + ["missing"] * len(missing) + ["unselected"] * len(unselected)
    rows = pa.table(
        {
            "point": pa.array([point.id for point in given], pa.string()),
            "name": pa.array([legible(point.name) for point in given], pa.string()),
            "kind": pa.array([point.kind for point in given], pa.string()),
            "body": pa.array([point_json(point) for point in given], pa.string()),
            "absent": pa.array(absent, pa.string()),
        }
    )
    copy_in(connection, _STATEMENTS["copy"], rows)
    connection.execute(_STATEMENTS["analyze"])
    _except_late(connection, source, groups)
    changed = connection.execute(_STATEMENTS["append"], {"source": source}).rowcount
    look = {
        "source": source, "points": len(points), "changed": changed,
        "accepted_by": legible(accepted_by), "selection": selection,
    }  # fmt: skip
    connection.execute(_STATEMENTS["discovered"], look)
    return changed


def _except_late(connection: Connection, source: str, groups: int) -> None:
    """Locks the groups: a commit comes before, and its coverage is seen here, or after, and sees the points."""
    late: dict[str, list[tuple[str, int | None]]] = {}
    for point, since in connection.execute(_STATEMENTS["late"], {"source": source}).fetchall():
        late.setdefault(group_label(group_of(point, groups)), []).append((point, since))
    for group, points in sorted(late.items()):  # everybody locks groups in this order
        lock_group(connection, source, group)
        standing = covered(connection, source, group, whatever_store=True)
        spans: dict[int | None, list[Interval]] = {None: standing}
        for since in {since for _, since in points} - {None}:
            rows = connection.execute(_STATEMENTS["made_since"], {"source": source, "group": group, "seq": since})
            made = merge(Interval(*row) for row in rows)
            spans[since] = [part for each in standing for part in clip(made, each)]
        opened = [Exclusion(source, group, point, span, NEWCOMER) for point, since in points for span in spans[since]]
        if opened:
            add(connection, source, group, opened)


def late_for(connection: Connection, slice_id: SliceId, known: Known, told: Collection[str]) -> list[Exclusion]:
    """Exceptions of the slice for the points of its group that are not among the `told` ones, or not as they were."""
    if version(connection, slice_id.source) == known.version:
        return []
    rows = connection.execute(_STATEMENTS["changed_since"], {"source": slice_id.source, "seq": known.version})
    return [
        Exclusion(slice_id.source, slice_id.group, point, slice_id.span, NEWCOMER)
        for point, other_kind in rows
        if (other_kind or point not in told) and group_label(group_of(point, known.groups)) == slice_id.group
    ]


def version(connection: Connection, source: str) -> int:
    """The number of the newest discovery, 0 before the first."""
    return int(one(connection, _STATEMENTS["version"], {"source": source}))


def grouped(connection: Connection, source: str) -> list[tuple[str, str]]:
    """Some points, and the label of the group that each was proved in."""
    return [(point, group) for point, group in connection.execute(_STATEMENTS["grouped"], {"source": source})]


def age_s(connection: Connection, source: str) -> float | None:
    """Seconds since the source was last asked for its points, by the server's clock; None before the first time."""
    row = connection.execute(_STATEMENTS["age"], {"source": source}).fetchone()
    return None if row is None else float(row[0])


def load(connection: Connection, source: str, vanished: bool) -> list[Point]:
    """The newest version of every point, ordered by id; with the vanished ones if asked."""
    rows = connection.execute(_STATEMENTS["load"], {"source": source, "vanished": vanished})
    return [point_from_json(line) for (line,) in rows]


def absences(connection: Connection, source: str) -> list[Absence]:
    """The points that the source no longer lists, ordered by id."""
    rows = connection.execute(_STATEMENTS["absences"], {"source": source})
    return [Absence(point_from_json(line), since_ns, believed) for line, since_ns, believed in rows]


def unselected(connection: Connection, source: str) -> list[Point]:
    """The points that the plant file did not select when the source was last asked, ordered by id."""
    rows = connection.execute(_STATEMENTS["unselected"], {"source": source})
    return [point_from_json(line) for (line,) in rows]


def known(connection: Connection, source: str) -> int:
    """How many points there ever were."""
    return int(one(connection, _STATEMENTS["known"], {"source": source}))


def selection(connection: Connection, source: str) -> str | None:
    """What the plant file selected when the source was last asked; None before the first time."""
    row = connection.execute(_STATEMENTS["selection"], {"source": source}).fetchone()
    return None if row is None else row[0]


def gone_unasked(connection: Connection, source: str) -> int:
    """How many points were believed gone since a person was last asked."""
    return int(one(connection, _STATEMENTS["gone_unasked"], {"source": source}))
