"""Which tags a query over an extension table is of, and in which order its rows come.

TagName by =, IN, LIKE, or through a join or IN with a configuration table (facts 2.7). Order: that of the IN list, of
the driving table in a join, of wwTagKey otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sqlglot import exp

from simulators.tds.database import SqlError
from simulators.wonderware.criteria import Criteria, tables_of
from simulators.wonderware.outside import Outside
from simulators.wonderware.plant import Plant
from simulators.wonderware.statements import INVALID_OBJECT, NotConstantError, Parameters, constant
from simulators.wonderware.tables import Table, table_named

TOO_COMPLEX = 8_623
TOO_COMPLEX_TEXT = (
    "The query processor ran out of internal resources and could not produce a query plan. "
    "This is a rare event and only expected for extremely complex queries."
)


def known_table(node: exp.Table) -> Table:
    """The table of Runtime that a node names. Raises SqlError 208."""
    table, database, server = _parts(node)
    found = table_named(table, database, server)
    if found is None:
        raise SqlError(INVALID_OBJECT, f"Invalid object name '{node.sql(dialect='tsql', comments=False)}'.")
    return found


def renamed(node: exp.Expr, mounts: Collection[str] = ()) -> exp.Expr:
    """The query with every configuration table under its true name alone, `mounts` left as they are; changes `node`."""
    local = {*mounts, *(cte.alias.lower() for cte in node.find_all(exp.CTE))}
    for each in list(node.find_all(exp.Table)):
        if isinstance(each.this, exp.Identifier) and each.name.lower() in local and not each.db:
            continue
        plain(each, known_table(each).name)
    return node


def plain(node: exp.Table, name: str) -> None:
    """Makes a node mean the table `name` of DuckDB, under the alias that it has."""
    alias = node.alias_or_name
    for part in ("db", "catalog", "hints"):
        node.set(part, None)
    node.set("this", exp.to_identifier(name, quoted=True))
    if not node.alias and alias.lower() != name.lower():
        node.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))


def tags_of(plant: Plant, outside: Outside, select: exp.Select, found: Criteria, parameters: Parameters) -> list[int]:
    """The tags by number, each once, unknown names left out. Raises SqlError."""
    ordered: list[int] | None = None
    others = []
    for condition in found.tags:
        names = _listed(plant, condition, parameters)
        if names is None:
            others.append(condition)
        else:
            ordered = _both(ordered, _numbers(plant, names))
    for alias, _ in found.joins:
        ordered = _both(ordered, _numbers(plant, _driven(outside, select, found, alias, parameters)))
    if others:
        ordered = _both(ordered, _numbers(plant, _matching(outside, others, parameters)))
    return plant.catalogue.numbers() if ordered is None else ordered


def _both(ordered: list[int] | None, more: list[int]) -> list[int]:
    """The numbers in both lists, in the order of the first."""
    if ordered is None:
        return more
    allowed = set(more)
    return [number for number in ordered if number in allowed]


def _numbers(plant: Plant, names: Iterable[str]) -> list[int]:
    found = (plant.catalogue.number(name) for name in names)
    return list(dict.fromkeys(number for number in found if number is not None))


def _listed(plant: Plant, condition: exp.Expr, parameters: Parameters) -> list[str] | None:
    """The names of `TagName = x` or `TagName IN (x, …)`; None for a condition of another shape."""
    nodes: Sequence[exp.Expr]
    if isinstance(condition, exp.EQ):
        sides = (condition.left, condition.right)
        nodes = [side for side in sides if not isinstance(side, exp.Column)]
    elif isinstance(condition, exp.In) and isinstance(condition.this, exp.Column) and condition.expressions:
        nodes = condition.expressions
    else:
        return None
    most = plant.settings.max_in_list
    if most and len(nodes) > most:
        raise SqlError(TOO_COMPLEX, TOO_COMPLEX_TEXT)
    try:
        values = [constant(node, parameters) for node in nodes]
    except NotConstantError:
        return None
    return [str(value) for value in values if value is not None]


def _matching(outside: Outside, conditions: list[exp.Expr], parameters: Parameters) -> list[str]:
    """Names of tags that meet the conditions; their columns mean Tag's, whatever table they were asked of."""
    query = exp.select("TagName").from_("Tag").order_by("wwTagKey")
    for condition in conditions:
        copy = condition.copy()
        for column in copy.find_all(exp.Column):
            if column.name.lower() == "tagname" and column.find_ancestor(exp.Select) is None:
                column.set("table", None)
        query = query.where(copy, dialect="tsql")
    names: list[str] = outside.rows(renamed(query), {}, parameters).column(0).to_pylist()
    return names


def _driven(outside: Outside, select: exp.Select, found: Criteria, alias: str, parameters: Parameters) -> list[str]:
    """Names of tags in the configuration tables that the extension table is joined with, after their conditions."""
    sources = [node.copy() for node in tables_of(select) if node.alias_or_name.lower() != found.alias]
    query = exp.Select(expressions=[exp.column("TagName", table=alias)])
    query.set("from_", exp.From(this=sources[0]))
    query.set("joins", [exp.Join(this=source, kind="CROSS") for source in sources[1:]])
    for condition in found.outer:
        query = query.where(condition.copy(), dialect="tsql")
    names: list[str] = outside.rows(renamed(query), {}, parameters).column(0).to_pylist()
    return names


def _parts(node: exp.Table) -> tuple[str, str, str]:
    """Table, database and server of `[server.][database.][schema.]table`."""
    inner = node.this
    if isinstance(inner, exp.Dot):  # four parts: sqlglot holds the last two together
        return inner.expression.name, node.db, node.catalog
    if not isinstance(inner, exp.Identifier):
        return node.sql(dialect="tsql"), "?", ""
    return inner.name, node.catalog, ""
