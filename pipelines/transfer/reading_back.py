"""Reading a store back where one point may be more than it can give: the others are read all the same."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import pyarrow as pa

from pipelines import reconcile
from pipelines.ports import Skip, Store
from pipelines.timeline import Interval


def deep_stored(
    store: Store, source: str, points: Collection[str], span: Interval
) -> tuple[dict[str, reconcile.Row], dict[str, str]]:
    """Tallies with digests of what the store gives back, and the points that it cannot. Raises Retry, Stop."""
    rows: dict[str, reconcile.Row] = {}
    unread = read_back(store, source, sorted(points), span, lambda held: rows.update(reconcile.deep_rows([held])))
    return rows, unread


def counted_stored(
    store: Store, source: str, points: Collection[str], span: Interval
) -> tuple[dict[str, reconcile.Row], dict[str, str]]:
    """Tallies by the store's own counting, and the points that it cannot count. Raises Retry, Stop."""
    uncounted: dict[str, str] = {}
    while asked := sorted(set(points) - uncounted.keys()):
        try:
            return reconcile.rows_of(store.tally(source, asked, span)), uncounted
        except Skip as error:
            uncounted[error.point] = str(error)
    return {}, uncounted


def read_back(
    store: Store, source: str, points: Sequence[str], span: Interval, take: Callable[[pa.Table], None]
) -> dict[str, str]:
    """Gives `take` all that the store holds of the points; returns those that cannot be read. Raises Retry, Stop."""
    unread: dict[str, str] = {}
    taken: set[str] = set()
    while asked := [point for point in points if point not in unread and point not in taken]:
        try:
            for held in store.read(source, asked, span):
                take(held)
                taken |= set(held["point"].unique().to_pylist())
        except Skip as error:
            unread[error.point] = str(error)
        else:
            break
    return unread
