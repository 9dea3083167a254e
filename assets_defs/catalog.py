"""What Dagster's catalogue says of an asset beside its name: owners, tags, the place, the table, the columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa

from pipelines.journal import JOURNAL_SCHEMA
from pipelines.marts import AGGREGATE_SCHEMA, CLOCKS_SCHEMA, EXPORT_SCHEMA, QUALITY_SCHEMA
from pipelines.plant import Plant, SourceSettings
from pipelines.samples import SCHEMA

_COLUMNS = {
    "samples": SCHEMA,
    "aggregates": AGGREGATE_SCHEMA,
    "quality": QUALITY_SCHEMA,
    "exports": EXPORT_SCHEMA,
    "clocks": CLOCKS_SCHEMA,
    "journal": JOURNAL_SCHEMA,
}
_TABLES = {"samples": "samples", "aggregates": "agg_1h"}
"""Of IoTDB, where an asset is in it; the events without a number are in `states`, other intervals beside `agg_1h`."""
_LAYERS = {"samples": "samples", "snapshot": "source", "historian": "source", "plcs": "source"}
_KINDS = {"pi_web_api": "pi", "wonderware": "sqlserver", "opcua": "opcua", "plc4x": "plc"}
_WORDS = {
    "point": "stable id of the point: its first-seen name, percent-encoded",
    "time": "UTC, nanoseconds: of an event as the source holds it, of an interval its start",
    "tie": "0, or 1, 2, … for further events of one point at one time",
    "value": "the number; NaN and infinities are numbers",
    "text": "text of a string, name of a state",
    "code": "number of a state, or an integer beyond 2^53",
    "quality": "OPC classic: 192 good, 64 uncertain, 0 bad",
    "detail": "the source's own code",
    "annotated": "true where a person has annotated the event at the source",
    "unit": "engineering unit",
}


def upstream_key(settings: SourceSettings) -> dg.AssetKey:
    """The key of what a source is itself: the plant's historian, or its PLCs."""
    return dg.AssetKey([settings.name, "plcs" if settings.kind == "plc4x" else "historian"])


def build_upstream(settings: SourceSettings) -> dg.AssetSpec:
    """The source as an asset that somebody else makes: where the lineage begins. Nobody is asked for it."""
    if settings.kind == "plc4x":
        where = {each.name: without_secrets(each.url) for each in settings.connection}
    else:
        where = {"address": without_secrets(settings.url or settings.address)}
    return dg.AssetSpec(
        upstream_key(settings),
        group_name=settings.name,
        kinds={_KINDS[settings.kind]},
        description=f"The source `{settings.name}` itself. It belongs to the plant; nothing is ever written to it.",
        metadata={name: dg.MetadataValue.text(text) for name, text in where.items() if text},
    )


def without_secrets(url: str) -> str:
    """Without what may be a secret: a user before the host, and parameters."""
    scheme, mark, rest = url.partition("?")[0].rpartition("://")
    return scheme + mark + rest.rpartition("@")[2]


def catalogued(
    plant: Plant, settings: SourceSettings, assets: Iterable[dg.AssetsDefinition | dg.AssetSpec]
) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """The assets of a source with all that their catalogue pages show."""

    def described(spec: dg.AssetSpec) -> dg.AssetSpec:
        name = spec.key.path[-1]
        tags = {
            "plant": plant.plant.name,
            "source": settings.name,
            "source_kind": settings.kind,
            "layer": _LAYERS.get(name, "mart"),
        }
        return spec.replace_attributes(
            owners=list(plant.plant.owners),
            tags={**spec.tags, **tags},
            metadata={**spec.metadata, **_table(plant, name), **_place(plant, settings, name)},
        )

    return list(dg.map_asset_specs(described, assets))


def _table(plant: Plant, name: str) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    if name in _COLUMNS:
        found["dagster/column_schema"] = columns_of(_COLUMNS[name])
    if name in _TABLES:
        found["dagster/table_name"] = f"{plant.database}.{_TABLES[name]}"
    return found


def _place(plant: Plant, settings: SourceSettings, name: str) -> Mapping[str, Any]:
    folders: dict[str, Path] = {
        "samples": plant.landing_dir,
        "aggregates": plant.state_dir / "marts" / "aggregates",
        "quality": plant.state_dir / "marts" / "quality",
        "clocks": plant.state_dir / "marts" / "clocks",
        "exports": plant.exports_dir,
        "report": plant.state_dir / "reports" / f"{settings.name}.html",
    }
    return {"dagster/uri": folders[name].as_uri()} if name in folders else {}


def columns_of(schema: pa.Schema) -> dg.TableSchema:
    """An Arrow schema in Dagster's words: names, Arrow's types, and which may be null."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                field.name,
                type="string" if pa.types.is_dictionary(field.type) else str(field.type),
                description=_WORDS.get(field.name),
                constraints=dg.TableColumnConstraints(nullable=field.nullable),
            )
            for field in schema
        ]
    )
