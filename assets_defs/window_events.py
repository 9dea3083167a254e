"""One event a window, whatever way a run ends: a materialization where it is through, a named failure where it is not.

Dagster itself gives all windows of a range run one fate. On success it writes the materializations, and they carry what
stands here for each; where it takes a range run for one partition, those of the others are written here. On a partial
failure they are written here for the windows that are through, and an observation with the reason for the others, which
Dagster then shows as failed because they were planned and never came.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import dagster as dg

from assets_defs.events import emit
from assets_defs.markdown import bullets, table
from assets_defs.partitions import key_of, multi_key
from pipelines.ports import FerryError, Retry
from pipelines.timeline import Interval

Pair = tuple[str, Interval]
Metadata = Mapping[str, dg.MetadataValue[Any]]

_SHOWN = 3


class WindowEvents:
    """Collects what became of the (group, window) pairs of a run and tells Dagster when the body of the `with` ends."""

    def __init__(self, context: dg.AssetExecutionContext, key: dg.AssetKey, pairs: Iterable[Pair]) -> None:
        self._context, self._key = context, key
        self._pairs = list(pairs)
        self._through: dict[Pair, Metadata] = {}
        self._failed: dict[Pair, list[str]] = {}

    def through(self, pair: Pair, metadata: Metadata) -> None:
        """The window is done."""
        self._through[pair] = metadata

    def failed(self, pair: Pair, reasons: Iterable[str]) -> None:
        """The window is not done; the others go on."""
        self._failed.setdefault(pair, []).extend(reasons)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raises dg.Failure with one readable line when a window is not through."""
        if error is None and not self._failed:
            self._complete()
            return
        self._write(f"not reached: {_ending(error)}")
        if isinstance(error, FerryError):
            emit({"kind": "error", "class": type(error).__name__, "message": str(error)})
            raise dg.Failure(
                str(error),
                metadata={"error": type(error).__name__, "windows": self._table()},
                allow_retries=isinstance(error, Retry),
            ) from error
        if error is None:
            sentence = self._sentence()
            emit({"kind": "failed", "message": sentence})
            raise dg.Failure(sentence, metadata={"windows": self._table()}, allow_retries=True)

    def _complete(self) -> None:
        by_dagster = set(self._context.partition_keys)
        for pair, metadata in self._through.items():
            key = key_of(*pair)
            if key in by_dagster:
                self._context.add_asset_metadata(dict(metadata), partition_key=key)
            else:
                self._context.log_event(
                    dg.AssetMaterialization(self._key, partition=multi_key(*pair), metadata=metadata)
                )

    def _write(self, not_reached: str) -> None:
        """The events themselves; on this way Dagster writes none."""
        for pair in self._pairs:
            partition = multi_key(*pair)
            if pair in self._through:
                self._context.log_event(
                    dg.AssetMaterialization(self._key, partition=partition, metadata=self._through[pair])
                )
                continue
            reasons = self._failed.setdefault(pair, [not_reached])
            self._context.log_event(
                dg.AssetObservation(
                    self._key,
                    partition=partition,
                    description=reasons[0],
                    metadata={"failure": dg.MetadataValue.md(bullets(reasons))},
                )
            )

    def _sentence(self) -> str:
        said = [f"{key_of(*pair)}: {reasons[0]}" for pair, reasons in self._failed.items()]
        more = f"; and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
        return f"{len(said)} of {len(self._pairs)} windows are not through. {'; '.join(said[:_SHOWN])}{more}"

    def _table(self) -> dg.MarkdownMetadataValue:
        rows = [(key_of(*pair), reason) for pair, reasons in self._failed.items() for reason in reasons]
        return dg.MetadataValue.md(table(["partition", "why it is not through"], rows))


def _ending(error: BaseException | None) -> str:
    """What ended the run before all windows were through, in one line."""
    if error is None:
        return "the run ended"
    if not isinstance(error, Exception):
        return "the run was stopped"
    return (str(error).splitlines() or [""])[0] or type(error).__name__
