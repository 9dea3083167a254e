"""The tables of the Runtime database that the stand-in has, and their columns (facts/historians.md 2.2, 2.8).

Extension tables are the ones that the INSQL provider serves: a WHERE clause is mandatory there (facts 2.1).
"""

from __future__ import annotations

from dataclasses import dataclass

from simulators.tds.columns import Column, datetime2


@dataclass(frozen=True, slots=True)
class Table:
    """A table by its true name; `times` are the columns, in small letters, that bound the time asked for."""

    name: str
    columns: tuple[Column, ...]
    extension: bool = False
    times: tuple[str, ...] = ()

    def column(self, name: str) -> Column | None:
        """The column of this name, whatever its case."""
        return next((column for column in self.columns if column.name.lower() == name.lower()), None)


def _text(name: str, size: int = 256) -> Column:
    return Column(name, "nvarchar", size)


def _int(name: str) -> Column:
    return Column(name, "int")


def _float(name: str) -> Column:
    return Column(name, "float")


HISTORY = Table(
    "History",
    (
        datetime2("DateTime", nullable=False),
        _text("TagName"),
        _float("Value"),
        _text("vValue", 4_000),
        Column("Quality", "tinyint", nullable=False),
        _int("QualityDetail"),
        _int("OPCQuality"),
        _int("wwTagKey"),
        _int("wwRowCount"),
        _int("wwResolution"),
        _text("wwEdgeDetection", 16),
        _text("wwRetrievalMode", 16),
        _int("wwTimeDeadband"),
        _float("wwValueDeadband"),
        _text("wwTimeZone", 50),
        _text("wwVersion", 30),
        _int("wwCycleCount"),
        _text("wwTimeStampRule", 20),
        _text("wwInterpolationType", 20),
        _text("wwQualityRule", 20),
        _text("wwStateCalc", 20),
        _float("StateTime"),
        _float("PercentGood"),
        _text("wwParameters", 128),
        datetime2("StartDateTime"),
        _text("SourceTag"),
        _text("SourceServer"),
        _text("wwFilter", 512),
        _text("wwValueSelector", 128),
        _int("wwMaxStates"),
        _text("wwOption", 512),
        _text("wwExpression", 4_000),
        _text("wwUnit", 512),
    ),
    extension=True,
    times=("datetime",),
)
LIVE = Table(
    "Live",
    tuple(
        column
        for name in (
            "DateTime", "TagName", "Value", "vValue", "Quality", "QualityDetail", "OPCQuality", "wwTagKey",
            "wwRetrievalMode", "wwTimeDeadband", "wwValueDeadband", "wwTimeZone", "wwParameters", "SourceTag",
            "SourceServer", "wwValueSelector", "wwExpression", "wwUnit",
        )
        if (column := HISTORY.column(name))
    ),
    extension=True,
)  # fmt: skip
SUMMARY = Table(
    "AnalogSummaryHistory",
    (
        _text("TagName"),
        datetime2("StartDateTime", nullable=False),
        datetime2("EndDateTime", nullable=False),
        _int("OPCQuality"),
        _float("PercentGood"),
        _float("First"),
        datetime2("FirstDateTime"),
        _float("Last"),
        datetime2("LastDateTime"),
        _float("Minimum"),
        datetime2("MinDateTime"),
        _float("Maximum"),
        datetime2("MaxDateTime"),
        _float("Average"),
        _float("StdDev"),
        _float("Integral"),
        Column("ValueCount", "int"),
        _int("wwTagKey"),
        _int("wwCycleCount"),
        _int("wwResolution"),
        _text("wwTimeZone", 50),
        _text("wwVersion", 30),
        _text("wwRetrievalMode", 16),
        _text("SourceTag"),
        _text("SourceServer"),
    ),
    extension=True,
    times=("startdatetime", "enddatetime"),
)
EVENTS = Table(
    "Events",
    (
        _text("ID", 36),
        datetime2("EventTime"),
        datetime2("EventTimeUtc"),
        _int("EventTimeUTCOffsetMins"),
        _text("Type", 64),
        _int("Priority"),
        _int("Severity"),
        Column("IsAlarm", "bit"),
        _text("Comment", 1_024),
        _text("Source_Object"),
        _text("Source_ProcessVariable"),
        _text("Source_Area"),
        _text("Source_Engine"),
        _text("Source_Platform"),
        _text("User_Name"),
        _text("ValueString", 512),
        _text("PreviousValueString", 512),
        _text("wwTimeZone", 50),
    ),
    extension=True,
    times=("eventtime", "eventtimeutc"),
)
_TAG = (
    _text("TagName"),
    _int("wwTagKey"),
    _text("Description", 512),
    Column("AcquisitionType", "tinyint"),
    Column("StorageType", "smallint"),
    _int("StorageRate"),
    Column("TagType", "int"),
    _text("ItemName"),
    datetime2("DateCreated"),
    _text("CreatedBy"),
)
CONFIGURATION = (
    Table("Tag", _TAG),
    Table("TagHistory", (*_TAG, datetime2("DateDeleted"))),
    Table("TagRef", (_int("wwDomainTagKey"), _int("wwTagKey"), _int("ServerKey"), _text("TagName"), _int("TagType"))),
    Table(
        "AnalogTag",
        (
            _text("TagName"),
            _int("EUKey"),
            _float("MinEU"),
            _float("MaxEU"),
            _float("MinRaw"),
            _float("MaxRaw"),
            _int("Scaling"),
            _int("RawType"),
        ),
    ),
    Table("DiscreteTag", (_text("TagName"), _int("MessageKey"), Column("InitialValue", "bit"))),
    Table("StringTag", (_text("TagName"), Column("MaxLength", "smallint"), _text("InitialValue", 512))),
    Table("EngineeringUnit", (_int("EUKey"), _text("Unit", 32), _int("DefaultTagRate"), _float("IntegralDivisor"))),
    Table("Message", (_int("MessageKey"), _text("Message0", 64), _text("Message1", 64))),
    Table("QualityMap", (_int("QualityDetail"), _text("QualityString", 512))),
    Table("TimeZone", (_int("TimeZoneKey"), _text("TimeZone", 50))),
    Table("SystemParameter", (_text("Name", 50), _text("Value", 512))),
)
EXTENSION = (HISTORY, LIVE, SUMMARY, EVENTS)
WHOLE_COLUMNS = {
    column.name.lower()
    for table in CONFIGURATION + EXTENSION
    for column in table.columns
    if column.kind in ("bit", "tinyint", "smallint", "int", "bigint")
}
_BY_NAME = {table.name.lower(): table for table in CONFIGURATION + EXTENSION}


def table_named(name: str, database: str, server: str) -> Table | None:
    """The table that a name of one to four parts means, or None.

    `database` and `server` are the parts before the table's schema: Runtime and INSQL, or ''. Old views, `v_<table>`,
    are the tables themselves (facts 2.1).
    """
    if database.lower() not in ("", "runtime") or server.lower() not in ("", "insql"):
        return None
    low = name.lower()
    table = _BY_NAME.get(low) or _BY_NAME.get(low.removeprefix("v_"))
    return table if table and (not server or table.extension) else None
