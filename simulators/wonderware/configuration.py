"""The configuration tables as Arrow tables, from the plant's catalogue (facts/historians.md 2.8)."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from simulators.pi_web_api.clock import parse_iso
from simulators.tds.columns import Column
from simulators.wonderware.catalogue import Catalogue, folded
from simulators.wonderware.signals import LONGEST_TEXT
from simulators.wonderware.specs import MESSAGES, UNITS, Spec
from simulators.wonderware.tables import CONFIGURATION
from simulators.wonderware.zones import WINDOWS_ZONES

ARROW_TYPES = {
    "bit": pa.bool_(),
    "tinyint": pa.uint8(),
    "smallint": pa.int16(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "float": pa.float64(),
    "datetime2": pa.timestamp("ns"),
    "nvarchar": pa.string(),
    "varbinary": pa.binary(),
}
_CREATED_NS = parse_iso("2019-05-06T07:08:09.123Z")
_SECOND_NS = 1_000_000_000
_BASIC_RAW_TYPE, _FLOAT_RAW_TYPE = 2, 3
_QUALITIES = {
    0: "Bad Quality of undetermined state",
    1: "No data available, tag did not exist at the time",
    2: "Running insert",
    10: "Communication loss",
    16: "Received out of time synchronization",
    17: "Duplicate timestamp",
    20: "IDAS overflow recovery",
    24: "I/O Server communication failed",
    33: "Violation of History Duration license feature",
    44: "First good value after pipe reconnect",
    64: "Cannot convert",
    150: "Storage startup",
    151: "Store forward storage startup",
    192: "Good",
    202: "Good, latest version",
    212: "Counter rollover has occurred",
    248: "First value received in store forward",
    249: "Not a number",
    252: "First value received from I/O Server",
    65_536: "No data stored in this period",
}
_Row = dict[str, Any]


def arrow_schema(columns: tuple[Column, ...]) -> pa.Schema:
    """The Arrow schema of a table's columns; datetime2 is a wall clock in ns."""
    return pa.schema([pa.field(column.name, ARROW_TYPES[column.kind]) for column in columns])


def configuration(catalogue: Catalogue) -> dict[str, pa.Table]:
    """Every configuration table by its true name; those of tags are in the order of the names."""
    specs = sorted((catalogue.spec(number) for number in catalogue.numbers()), key=lambda spec: folded(spec.name))
    own = [spec for spec in specs if not spec.other_type]  # those that have a table of their kind
    rows: dict[str, list[_Row]] = {
        "Tag": [_tag(spec) for spec in specs],
        "TagHistory": [_tag(spec) | {"DateDeleted": _deleted(spec)} for spec in catalogue.specs.values()],
        "TagRef": [_tag(spec) | {"wwDomainTagKey": spec.number, "ServerKey": 1} for spec in specs],
        "AnalogTag": [_analog(spec) for spec in own if spec.kind == "analog"],
        "DiscreteTag": [_discrete(spec) for spec in own if spec.kind == "discrete"],
        "StringTag": [_string(spec) for spec in own if spec.kind == "string"],
        "EngineeringUnit": [
            {"EUKey": key, "Unit": unit, "DefaultTagRate": 10_000, "IntegralDivisor": 60.0}
            for key, unit in enumerate(UNITS, start=1)
        ],
        "Message": [
            {"MessageKey": key, "Message0": off, "Message1": on} for key, (off, on) in enumerate(MESSAGES, start=1)
        ],
        "QualityMap": [{"QualityDetail": key, "QualityString": text} for key, text in _QUALITIES.items()],
        "TimeZone": [{"TimeZoneKey": key, "TimeZone": name} for key, (name, _) in enumerate(WINDOWS_ZONES, start=1)],
        "SystemParameter": [
            {"Name": "HistorianVersion", "Value": "20.1.0000"},
            {"Name": "DatabaseVersion", "Value": "20.1.0000"},
            {"Name": "TimeZone", "Value": "server"},
        ],
    }
    tables = {}
    for table in CONFIGURATION:
        schema = arrow_schema(table.columns)
        known = [{name: row.get(name) for name in schema.names} for row in rows[table.name]]
        tables[table.name] = pa.Table.from_pylist(known, schema=schema)
    return tables


def unit_key(unit: str) -> int:
    """EUKey of a unit; that of None where the list does not have it."""
    return UNITS.index(unit) + 1 if unit in UNITS else 1


def _tag(spec: Spec) -> _Row:
    return {
        "TagName": spec.name,
        "wwTagKey": spec.number,
        "Description": spec.description,
        "AcquisitionType": spec.acquisition,
        "StorageType": spec.storage_type,
        "StorageRate": round(spec.interval_s * 1_000) if spec.storage_type == 1 else 0,
        "TagType": spec.tag_type,
        "ItemName": spec.name.lower(),
        "DateCreated": _CREATED_NS + spec.number * _SECOND_NS,
        "CreatedBy": "FERRYSIM\\engineer",
    }


def _deleted(spec: Spec) -> int | None:
    return _CREATED_NS + 86_400 * _SECOND_NS if spec.deleted else None


def _analog(spec: Spec) -> _Row:
    return {
        "TagName": spec.name,
        "EUKey": unit_key(spec.unit),
        "MinEU": spec.low,
        "MaxEU": spec.high,
        "MinRaw": spec.low,
        "MaxRaw": spec.high,
        "Scaling": 0,
        "RawType": _FLOAT_RAW_TYPE if spec.decimals else _BASIC_RAW_TYPE,
    }


def _discrete(spec: Spec) -> _Row:
    key = MESSAGES.index(spec.messages) + 1 if spec.messages in MESSAGES else None
    return {"TagName": spec.name, "MessageKey": key, "InitialValue": False}


def _string(spec: Spec) -> _Row:
    return {"TagName": spec.name, "MaxLength": LONGEST_TEXT, "InitialValue": ""}
