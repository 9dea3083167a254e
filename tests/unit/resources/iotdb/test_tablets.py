"""The tablet encoder beside the client's own, and the client's trap that it avoids."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from iotdb.utils.BitMap import BitMap
from iotdb.utils.IoTDBConstants import TSDataType
from iotdb.utils.NumpyTablet import NumpyTablet
from iotdb.utils.Tablet import ColumnType, Tablet

from pipelines.points import Point
from resources.iotdb.catalogue import point_rows
from resources.iotdb.layout import POINTS, Table
from resources.iotdb.rows import rows_of
from resources.iotdb.tablets import encode
from tests.contract.store_contract import small_tables


def same_bytes(table: Table, rows: pa.Table) -> None:
    names = [column.name for column in table.columns]
    theirs = Tablet(
        table.name,
        names,
        [TSDataType[column.type] for column in table.columns],
        [list(row) for row in zip(*(rows[name].to_pylist() for name in names), strict=True)],
        [0] * len(rows),  # it would sort by the times, rows and all
        [ColumnType[column.category] for column in table.columns],
    )
    mine = encode(table, rows)
    assert mine.values == theirs.get_binary_values()
    assert mine.types == tuple(theirs.get_data_types())
    assert mine.categories == tuple(theirs.get_column_categories())
    assert np.frombuffer(mine.times, ">i8").tolist() == rows["time"].to_pylist()


@given(small_tables())
def test_events_are_encoded_as_the_client_does(events: pa.Table) -> None:
    for table, rows in rows_of("s", events, 1):
        same_bytes(table, rows)


def test_points_are_encoded_as_the_client_does() -> None:
    points = [Point("b", "Öl 🚀", "number", unit="°C", zero=0.5), Point("a", "", "digital", step=True, span=1.0)]
    same_bytes(POINTS, point_rows("s", points))


def test_a_null_never_leaves() -> None:
    rows = point_rows("s", [Point("a", "A", "number")])
    rows = rows.set_column(rows.schema.get_field_index("unit"), "unit", pa.nulls(1, pa.string()))
    with pytest.raises(ValueError, match="null"):
        encode(POINTS, rows)


def test_trap_8_numpy_tablet_moves_nulls_when_times_are_not_sorted() -> None:
    bitmap = BitMap(3)
    bitmap.mark(0)  # the row at time 30 is null
    tablet = NumpyTablet(
        "t", ["v"], [TSDataType.DOUBLE], [np.array([1.0, 2.0, 3.0])], np.array([30, 10, 20]), [bitmap],
        [ColumnType.FIELD],
    )  # fmt: skip
    assert np.frombuffer(tablet.get_binary_timestamps(), ">i8").tolist() == [10, 20, 30]
    nulls = tablet.get_binary_values()[-1]
    assert nulls & 1, "the client has mended NumpyTablet: the null no longer stands at the first row"
