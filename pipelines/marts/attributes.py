"""What a source says of its points, for people who analyse: Parquet, a file a source.

<destination>/attributes/S.parquet          a row a point and attribute, as they are now
<destination>/digital_states/S.parquet      a row a digital set and state
<destination>/attribute_changes/S.parquet   what changed, and when it was seen
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.marts.destination import claim
from pipelines.marts.files import appearing, write_whole
from pipelines.marts.stamps import dated
from pipelines.ports import ATTRIBUTE_CHANGE_SCHEMA, AttributeKind

_SOURCE = pa.field("source", pa.string())
ATTRIBUTE_EXPORT_SCHEMA = pa.schema(
    [_SOURCE, *(pa.field(name, pa.string()) for name in ("point", "attribute", "value"))]
)
STATE_EXPORT_SCHEMA = pa.schema(
    [_SOURCE, pa.field("digital_set", pa.string()), pa.field("code", pa.int64()), pa.field("state", pa.string())]
)
CHANGE_EXPORT_SCHEMA = dated(ATTRIBUTE_CHANGE_SCHEMA.empty_table(), "").schema

Take = Callable[[Iterator[pa.RecordBatch]], object]


@dataclass(frozen=True, slots=True)
class AttributeExport:
    """What is exported of one source: `read` hands the values of a kind (ATTRIBUTE_VALUE_SCHEMA) to a taker, `changes`
    gives what changed; `version` is the ledger's number of it all, `points` are the ids that were chosen."""

    source: str
    destination: Path
    version: int
    points: Collection[str]
    read: Callable[[AttributeKind, Take], object]
    changes: Callable[[], pa.Table]


def export_attributes(given: AttributeExport) -> bool:
    """Writes the three files, unless they hold this very version of these points; whether it did.

    Raises Stop when the destination is not ours, NoRoom.
    """
    record = claim(given.destination)
    note = record / f"attributes={given.source}.json"
    stand = json.dumps({"version": given.version, "points": len(given.points)})
    if not given.version or (note.exists() and note.read_text(encoding="utf-8") == stand):
        return False
    note.unlink(missing_ok=True)
    known = pa.array(sorted(given.points), pa.string())

    def path(dataset: str) -> Path:
        return given.destination / dataset / f"{given.source}.parquet"

    def write_points(batches: Iterable[pa.RecordBatch]) -> None:
        chosen = (each.filter(pc.is_in(each["subject"], value_set=known)) for each in batches)
        rows = (_with_source(given.source, each, ATTRIBUTE_EXPORT_SCHEMA) for each in chosen)
        write_whole(path("attributes"), ATTRIBUTE_EXPORT_SCHEMA, rows, scratch=record)

    def write_states(batches: Iterable[pa.RecordBatch]) -> None:
        rows = (_with_source(given.source, each, STATE_EXPORT_SCHEMA) for each in batches)
        write_whole(path("digital_states"), STATE_EXPORT_SCHEMA, rows, scratch=record)

    given.read("point", write_points)
    given.read("digital_set", write_states)
    changes = given.changes()
    mine = pc.or_(pc.not_equal(changes["kind"], "point"), pc.is_in(changes["subject"], value_set=known))
    table = dated(changes.filter(mine), given.source)
    write_whole(path("attribute_changes"), CHANGE_EXPORT_SCHEMA, table.to_batches(), scratch=record)
    with appearing(note, record) as part:
        part.write_text(stand, encoding="utf-8")
    return True


def _with_source(source: str, rows: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Rows of ATTRIBUTE_VALUE_SCHEMA under the names of an export; a state's number becomes one, null for another
    text."""
    columns = [pa.repeat(source, len(rows)), *rows.columns]
    if "code" in schema.names:
        place = schema.get_field_index("code")
        whole = pc.match_substring_regex(columns[place], r"^-?\d{1,18}$")
        columns[place] = pc.if_else(whole, columns[place], None).cast(pa.int64())
    return pa.RecordBatch.from_arrays(columns, schema=schema)
