"""How a run fails: one readable error, and tried again only where that can help."""

from __future__ import annotations

import dagster as dg

from assets_defs.events import emit
from pipelines.ports import FerryError, Retry


def keys_or_failure(context: dg.AssetExecutionContext) -> list[str]:
    """The partitions of this run. One clear error for a run that was launched without any."""
    if not (context.has_partition_key or context.has_partition_key_range):
        raise dg.Failure(
            "No partitions were chosen. In the UI choose them when materializing; on the command line give the tags "
            '{"dagster/asset_partition_range_start": "g000|2026-01-01", "dagster/asset_partition_range_end": '
            '"g007|2026-01-31"}, or use `ferry backfill --start … --end …`.',
            allow_retries=False,
        )
    return list(context.partition_keys)


class failures:  # noqa: N801 - reads as `with failures(context):`
    """Turns the product's errors into one readable Failure; only transient ones may be tried again."""

    def __init__(self, context: dg.AssetExecutionContext) -> None:
        self.context = context

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, FerryError):
            emit({"kind": "error", "class": type(error).__name__, "message": str(error)})
            raise dg.Failure(
                str(error), metadata={"error": type(error).__name__}, allow_retries=isinstance(error, Retry)
            ) from error
