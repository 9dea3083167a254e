"""What a SELECT asks of an extension table: its conjuncts sorted into tags, times, ww… inputs and the rest.

Rules of facts/historians.md 2.1, 2.2 and 2.7: a WHERE clause is mandatory; an input is given once, by equality only,
never in IN or OR; LIKE only on TagName.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlglot import exp

from simulators.tds.database import SqlError
from simulators.wonderware.statements import INVALID_COLUMN, remote_error
from simulators.wonderware.tables import Table

_FLIPPED: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.GT: exp.LT,
    exp.GTE: exp.LTE,
    exp.LT: exp.GT,
    exp.LTE: exp.GTE,
    exp.EQ: exp.EQ,
}
_JOINED_TAGS = ("tag", "tagref", "analogtag", "discretetag", "stringtag")


@dataclass(slots=True)
class Criteria:
    """The parts of one query over one extension table; the nodes are those of the statement."""

    table: Table
    alias: str
    tags: list[exp.Expr] = field(default_factory=list)  # conditions on TagName alone
    times: list[tuple[type[exp.Expr], exp.Expr, bool]] = field(default_factory=list)  # …, is in UTC
    inputs: dict[str, exp.Expr] = field(default_factory=dict)  # ww… in small letters → its value
    joins: list[tuple[str, exp.Expr]] = field(default_factory=list)  # alias whose TagName is the same
    rest: list[exp.Expr] = field(default_factory=list)  # on the table's other columns
    outer: list[exp.Expr] = field(default_factory=list)  # not on this table
    taken: list[exp.Expr] = field(default_factory=list)  # what retrieval answers: it leaves the WHERE clause


def tables_of(select: exp.Select) -> Iterator[exp.Table]:
    """The tables of FROM and JOIN, not those of subqueries."""
    source = select.args.get("from_")
    for each in [source, *select.args.get("joins", ())]:
        if each is not None and isinstance(each.this, exp.Table):
            yield each.this


def conjuncts(node: exp.Expr | None) -> Iterator[exp.Expr]:
    """The conditions that AND joins."""
    if node is None:
        return
    if isinstance(node, exp.And):
        yield from conjuncts(node.left)
        yield from conjuncts(node.right)
    elif isinstance(node, exp.Paren):
        yield from conjuncts(node.this)
    else:
        yield node


def criteria(select: exp.Select, node: exp.Table, known: dict[str, Table | None]) -> Criteria:
    """Sorts the conditions on the extension table `node` of `select`.

    `known` has every table of the SELECT by alias in small letters (None: one that is no table of Runtime). Raises
    SqlError 7320 for what the provider refuses, 207 for an unknown column.
    """
    where = select.args.get("where")
    alias = node.alias_or_name.lower()
    table = known[alias]
    assert table is not None
    if where is None:
        raise remote_error(f"A WHERE clause is required for the extension table {table.name}.")
    found = Criteria(table, alias)
    ons = [on for join in select.args.get("joins", ()) if not join.side for on in conjuncts(join.args.get("on"))]
    for condition in [*conjuncts(where.this), *ons]:
        _sort(found, condition, known)
    return found


def own_columns(node: exp.Expr, found_in: Criteria, known: dict[str, Table | None]) -> tuple[set[str], bool]:
    """Columns of the table in an expression, in small letters, and whether other tables' columns occur too.

    Columns inside subqueries are not looked at. Raises SqlError 207.
    """
    own, others = set(), False
    for column in node.find_all(exp.Column):
        if isinstance(column.this, exp.Star) or _within_subquery(column, node):
            continue
        if _is_own(column, found_in, known):
            own.add(column.name.lower())
        else:
            others = True
    return own, others


def _is_own(column: exp.Column, criteria: Criteria, known: dict[str, Table | None]) -> bool:
    name, owner = column.name, column.table.lower()
    if owner:
        if owner == criteria.alias and criteria.table.column(name) is None:
            raise SqlError(INVALID_COLUMN, f"Invalid column name '{name}'.")
        return owner == criteria.alias
    if criteria.table.column(name) is not None:
        return True
    if any(table is None or table.column(name) for table in known.values()):
        return False
    raise SqlError(INVALID_COLUMN, f"Invalid column name '{name}'.")


def _within_subquery(column: exp.Expr, top: exp.Expr) -> bool:
    node = column.parent
    while node is not None and node is not top.parent:
        if isinstance(node, exp.Select):
            return True
        node = node.parent
    return False


def _sort(found: Criteria, condition: exp.Expr, known: dict[str, Table | None]) -> None:
    joined = _joined(found, condition, known)
    if joined:
        found.joins.append((joined, condition))
        return
    own, others = own_columns(condition, found, known)
    if others or not own:
        (found.rest if own else found.outer).append(condition)
        return
    inputs = [name for name in own if name.startswith("ww") and name not in ("wwtagkey", "wwrowcount", "wwunit")]
    if inputs:
        _input(found, condition, inputs[0])
    elif own <= set(found.table.times) and len(own) == 1 and _time(found, condition):
        pass
    elif own == {"tagname"}:
        found.tags.append(condition)
    elif condition.find(exp.Like) and not _likes_name(condition):
        raise remote_error("LIKE is supported on the column TagName only.")
    else:
        found.rest.append(condition)
        return
    found.taken.append(condition)


def _joined(found: Criteria, condition: exp.Expr, known: dict[str, Table | None]) -> str:
    """The alias of the configuration table whose TagName the condition equates with the table's own; '' for none."""
    if not isinstance(condition, exp.EQ):
        return ""
    sides = [side for side in (condition.left, condition.right) if isinstance(side, exp.Column)]
    if len(sides) != 2 or any(side.name.lower() != "tagname" for side in sides):
        return ""
    other = next((side.table.lower() for side in sides if side.table.lower() != found.alias), "")
    table = known.get(other)
    return other if table is not None and table.name.lower() in _JOINED_TAGS else ""


def _input(found: Criteria, condition: exp.Expr, name: str) -> None:
    """Raises SqlError 7320 for an input that is given twice, or by anything but equality (facts 2.2)."""
    if not isinstance(condition, exp.EQ):
        raise remote_error(f"The column {name} is an input: it can be given by equality only.")
    column, value = condition.left, condition.right
    if not isinstance(column, exp.Column):
        column, value = value, column
    if not isinstance(column, exp.Column) or value.find(exp.Column):
        raise remote_error(f"The column {name} is an input: it takes a constant.")
    if name in found.inputs:
        raise remote_error(f"The input {name} is given more than once.")
    found.inputs[name] = value


def _time(found: Criteria, condition: exp.Expr) -> bool:
    """Notes a bound of the time; False for a condition of another shape."""
    if isinstance(condition, exp.Between) and isinstance(condition.this, exp.Column):
        utc = _is_utc(condition.this)
        found.times.append((exp.GTE, condition.args["low"], utc))
        found.times.append((exp.LTE, condition.args["high"], utc))
        return True
    if not isinstance(condition, exp.Binary) or type(condition) not in _FLIPPED:
        return False
    kind: type[exp.Expr] = type(condition)
    column, value = condition.left, condition.right
    if not isinstance(column, exp.Column):
        kind, column, value = _FLIPPED[kind], value, column
    if not isinstance(column, exp.Column) or value.find(exp.Column):
        return False
    found.times.append((kind, value, _is_utc(column)))
    return True


def _is_utc(column: exp.Column) -> bool:
    return bool(column.name.lower() == "eventtimeutc")


def _likes_name(condition: exp.Expr) -> bool:
    return all(
        isinstance(like.this, exp.Column) and like.this.name.lower() == "tagname"
        for like in condition.find_all(exp.Like)
    )
