"""One SELECT: as a sheet of the press where it is a plain list over History, through DuckDB where it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pyarrow as pa
from sqlglot import exp

from simulators.wonderware.alarms import event_rows
from simulators.wonderware.configuration import arrow_schema
from simulators.wonderware.criteria import Criteria, criteria, own_columns, tables_of
from simulators.wonderware.outside import Outside
from simulators.wonderware.plant import Plant
from simulators.wonderware.press import Item, Sheet
from simulators.wonderware.retrieval import MODES, Options, Span, options_of, span_of
from simulators.wonderware.rowsets import Stretch, history_rows, stretches_of
from simulators.wonderware.statements import Parameters, bound, remote_error
from simulators.wonderware.summaries import cycles_of, summary_rows
from simulators.wonderware.tables import EVENTS, HISTORY, LIVE, SUMMARY, Table
from simulators.wonderware.tagging import known_table, plain, renamed, tags_of

_BATCH_ROWS = 200_000
_EAGER_ROWS = 4_000_000  # up to here a rowset is a table, beyond it a stream
_BARS = ("group", "having", "order", "distinct", "limit", "offset", "with_", "windows", "qualify", "into")
_MODES: dict[str, tuple[tuple[str, ...], str]] = {
    "History": (("Full", "Delta"), "Delta"),
    "Live": (MODES, "Cyclic"),
    "AnalogSummaryHistory": (("Cyclic",), "Cyclic"),
    "Events": (MODES, "Full"),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """A SELECT that the press can print: its parts, the same whatever the parameters."""

    select: exp.Select
    criteria: Criteria


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass over an extension table is of."""

    numbers: list[int]
    span: Span
    options: Options


def plan_of(select: exp.Expr) -> Plan | None:
    """The plan of a plain select list over History, joined with nothing but tables that name its tags; else None.

    Raises SqlError for what is wrong whatever the way.
    """
    if not isinstance(select, exp.Select) or any(select.args.get(bar) for bar in _BARS):
        return None
    joins = select.args.get("joins") or ()
    sources = list(tables_of(select))
    if len(sources) != len(joins) + 1 or len(sources) > 2 or any(join.side for join in joins):
        return None
    known: dict[str, Table | None] = {source.alias_or_name.lower(): known_table(source) for source in sources}
    found = [source for source in sources if known[source.alias_or_name.lower()] is HISTORY]
    if len(found) != 1:
        return None
    parts = criteria(select, found[0], known)
    plain_rest = all(not own_columns(node, parts, known)[1] and not _is_heavy(node) for node in parts.rest)
    joined = bool(parts.joins) if joins else not parts.outer
    listed = all(_is_plain(item, parts, known) for item in select.expressions)
    return Plan(select, parts) if plain_rest and joined and listed else None


def _is_plain(item: exp.Expr, parts: Criteria, known: dict[str, Table | None]) -> bool:
    """True for a column or an expression of History's columns, row by row."""
    if _is_star(item):
        return item.table.lower() == parts.alias if isinstance(item, exp.Column) else len(known) == 1
    return not _is_heavy(item) and not own_columns(item, parts, known)[1]


def pass_of(plant: Plant, outside: Outside, select: exp.Select, found: Criteria, parameters: Parameters) -> Pass:
    """Tags, time and options of one pass. Raises SqlError."""

    def evaluate(node: exp.Expr) -> Any:
        return outside.value(node, parameters)

    def evaluate_wall(node: exp.Expr) -> int:
        return outside.wall_ns(node, parameters)

    modes, default = _MODES[found.table.name]
    options = options_of(plant, found.inputs, evaluate, modes, default)
    numbers = [] if found.table is EVENTS else tags_of(plant, outside, select, found, parameters)
    now_ns = plant.clock.now_ns()
    span = Span(now_ns, now_ns, False)
    if found.table.times:
        span = span_of(found, evaluate_wall, options.zone, now_ns)
    return Pass(numbers, span, options)


def sheet_of(plan: Plan, outside: Outside, options: Options, parameters: Parameters) -> Sheet:
    """What the press prints for a plan. Raises SqlError."""
    items: list[Item] = []
    reads: dict[str, None] = {}
    for node in plan.select.expressions:
        if _is_star(node):
            items += [Item(column.name, column.name) for column in HISTORY.columns]
            reads |= dict.fromkeys(column.name for column in HISTORY.columns)
            continue
        inner = node.unalias()
        column = HISTORY.column(inner.name) if isinstance(inner, exp.Column) else None
        title = node.alias_or_name if isinstance(node, exp.Alias | exp.Column) else ""
        if column is not None:
            items.append(Item(title, column.name))
            reads[column.name] = None
        else:
            items.append(Item(title, sql=outside.sql(_unqualified(inner), parameters)))
            reads |= dict.fromkeys(_reads(inner))
    conditions = []
    for node in plan.criteria.rest:
        conditions.append(f"({outside.sql(_unqualified(node), parameters)})")
        reads |= dict.fromkeys(_reads(node))
    return Sheet(tuple(items), tuple(reads) or ("DateTime",), " AND ".join(conditions), options)


def outside_rows(
    plant: Plant, outside: Outside, statement: exp.Expr, parameters: Parameters, told: Callable[[], None]
) -> tuple[list[str], pa.Table]:
    """Titles and rows of any query; `told` is called once a pass over an extension table begins. Raises SqlError."""
    query = bound(statement, parameters)
    titles = [_title(item) for item in query.selects] if isinstance(query, exp.Query) else []
    mounts: dict[str, Any] = {}
    local = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    for node in list(query.find_all(exp.Table)):
        if isinstance(node.this, exp.Identifier) and node.name.lower() in local and not node.db:
            continue
        if not known_table(node).extension:
            continue
        told()
        name = f"ferry_remote_{len(mounts)}"
        mounts[name] = _mounted(plant, outside, query, node)
        plain(node, name)
    table = outside.rows(renamed(query, mounts), mounts, {})
    if len(titles) != table.num_columns or any(title is None for title in titles):
        titles = list(table.column_names)
    return [str(title or "") for title in titles], table


def _mounted(plant: Plant, outside: Outside, query: exp.Expr, node: exp.Table) -> Any:
    """The rowset of one extension table in a query, whose conditions that retrieval answers are taken out."""
    select = node.find_ancestor(exp.Select)
    if select is None:
        raise remote_error("The extension table stands in no SELECT.")
    known: dict[str, Table | None] = {}
    local = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    for source in tables_of(select):
        is_local = source.name.lower() in local or source.name.startswith("ferry_remote_")
        known[source.alias_or_name.lower()] = None if is_local else known_table(source)
    found = criteria(select, node, known)
    asked = pass_of(plant, outside, select, found, {})
    wanted = _wanted(query, found.table)
    for condition in found.taken:
        condition.replace(exp.EQ(this=exp.Literal.number(1), expression=exp.Literal.number(1)))
    return _rowset(plant, found.table, asked, wanted)


def _rowset(plant: Plant, table: Table, asked: Pass, wanted: list[str]) -> Any:
    if table is EVENTS:
        return event_rows(plant, asked.span, asked.options)
    if table is SUMMARY:
        cycles = cycles_of(asked.span.first_ns, asked.span.last_ns, dict(asked.options.echoes))
        return summary_rows(plant, asked.numbers, cycles, asked.options)
    if table is LIVE:
        return history_rows(plant, _live(plant, asked), asked.options, wanted)
    return _streamed(plant, asked, wanted)


def _live(plant: Plant, asked: Pass) -> list[Stretch]:
    """One row a tag: its last."""
    end_ns = plant.clock.now_ns() + 1
    return [Stretch(number, plant.before(number, end_ns, asked.options.version)) for number in asked.numbers]


def _streamed(plant: Plant, asked: Pass, wanted: list[str]) -> Any:
    """A table, or a stream of batches where it would be large."""
    tables = _tables(plant, asked, wanted)
    first, rows = [], 0
    for table in tables:
        first.append(table)
        rows += len(table)
        if rows > _EAGER_ROWS:
            break
    else:
        return pa.concat_tables(first)
    batches = (batch for table in chain(first, tables) for batch in table.to_batches())
    return pa.RecordBatchReader.from_batches(first[0].schema, batches)


def _tables(plant: Plant, asked: Pass, wanted: list[str]) -> Iterator[pa.Table]:
    """The rows of a pass in tables of some size; at least one, which may be empty."""
    waiting: list[Stretch] = []
    rows, count = 0, 0
    for stretch in stretches_of(plant, asked.numbers, asked.span, asked.options):
        waiting.append(stretch)
        rows += len(stretch.events)
        if rows >= _BATCH_ROWS:
            yield _decoded(history_rows(plant, waiting, asked.options, wanted))
            waiting, rows, count = [], 0, count + 1
    if waiting or not count:
        yield _decoded(history_rows(plant, waiting, asked.options, wanted))


def _decoded(table: pa.Table) -> pa.Table:
    """Texts without dictionaries, which differ from batch to batch."""
    schema = pa.schema([arrow_schema(HISTORY.columns).field(name) for name in table.column_names])
    return table.cast(schema)


def _wanted(query: exp.Expr, table: Table) -> list[str]:
    """True names of the table's columns that a query reads anywhere."""
    stars = [star for star in query.find_all(exp.Star) if not isinstance(star.parent, exp.Count)]
    if stars:
        return [column.name for column in table.columns]
    read = {column.name.lower() for column in query.find_all(exp.Column)}
    return [column.name for column in table.columns if column.name.lower() in read] or [table.columns[0].name]


def _title(item: exp.Expr) -> str | None:
    """The name of a column of the outcome: '' for an expression without one, None for a star."""
    if _is_star(item):
        return None
    return item.alias_or_name if isinstance(item, exp.Alias | exp.Column) else ""


def _is_star(item: exp.Expr) -> bool:
    return isinstance(item, exp.Star) or (isinstance(item, exp.Column) and isinstance(item.this, exp.Star))


def _is_heavy(node: exp.Expr) -> bool:
    """True for what needs all rows at once."""
    return node.find(exp.AggFunc, exp.Window, exp.Subquery, exp.Select) is not None


def _unqualified(node: exp.Expr) -> exp.Expr:
    copy = node.copy()
    for column in copy.find_all(exp.Column):
        column.set("table", None)
    return copy


def _reads(node: exp.Expr) -> list[str]:
    found = (HISTORY.column(column.name) for column in node.find_all(exp.Column))
    return [column.name for column in found if column is not None]
