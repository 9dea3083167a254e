"""Marts over the landing: aggregates, quality figures, exports and the quality report.

They read landed files and nothing else, so that all of it can be made again without a historian or a store.
Statements are in sql/marts and sql/quality.
"""

from pipelines.marts.aggregates import AGGREGATE_SCHEMA, INTERVALS, build_aggregates, for_store
from pipelines.marts.clocks import CLOCKS_SCHEMA, JUMP_S, build_clocks
from pipelines.marts.events import Landed
from pipelines.marts.exports import ANNOTATION_EXPORT_SCHEMA, EXPORT_SCHEMA, ExportInput, ExportResult, export
from pipelines.marts.files import MartFile, mart_files, mart_path
from pipelines.marts.inputs import Made, MartInput
from pipelines.marts.quality import BAD_STATES_SCHEMA, QUALITY_SCHEMA, build_quality
from pipelines.marts.wide import RULES, Rule, WideInput, WideResult, write_wide

__all__ = [
    "AGGREGATE_SCHEMA",
    "ANNOTATION_EXPORT_SCHEMA",
    "BAD_STATES_SCHEMA",
    "CLOCKS_SCHEMA",
    "EXPORT_SCHEMA",
    "INTERVALS",
    "JUMP_S",
    "QUALITY_SCHEMA",
    "RULES",
    "ExportInput",
    "ExportResult",
    "Landed",
    "Made",
    "MartFile",
    "MartInput",
    "Rule",
    "WideInput",
    "WideResult",
    "build_aggregates",
    "build_clocks",
    "build_quality",
    "export",
    "for_store",
    "mart_files",
    "mart_path",
    "write_wide",
]
