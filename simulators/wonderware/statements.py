"""T-SQL batches read by sqlglot, and the constants in them: literals, bound parameters, casts of either."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

import numpy as np
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from simulators.tds.database import SqlError

Parameters = Mapping[str, Any]

SYNTAX, INVALID_COLUMN, INVALID_OBJECT, NO_VARIABLE, CONVERSION, UNKNOWN_FUNCTION = 102, 207, 208, 137, 241, 195
REMOTE = 7320  # what the INSQL provider refuses comes back as an error of the linked server
UNSUPPORTED = 40_517  # of the stand-in itself: a real server may know more
_EPOCH = dt.datetime(1970, 1, 1)
_NS = 1_000_000_000
_WRAPPERS = (exp.Paren, exp.Cast, exp.TimeStrToTime, exp.Collate)


class NotConstantError(ValueError):
    """An expression whose value the statement's text and parameters do not give."""


def remote_error(text: str) -> SqlError:
    """What a client sees of a query that the provider refuses (wording of SQL Server's error 7320)."""
    return SqlError(
        REMOTE, f'Cannot execute the query against OLE DB provider "INSQL" for linked server "INSQL". {text}'
    )


@lru_cache(maxsize=512)
def parsed(sql: str) -> tuple[exp.Expr, ...]:
    """The statements of a batch; they are shared and must not be changed. Raises SqlError 102."""
    try:
        found = sqlglot.parse(sql, read="tsql")
    except (SqlglotError, RecursionError) as error:
        raise SqlError(SYNTAX, f"Incorrect syntax: {str(error).splitlines()[0]}", 15) from error
    return tuple(statement for statement in found if isinstance(statement, exp.Expr))


def parameter_name(node: exp.Parameter) -> str:
    """`@P1` of a parameter; `@@VERSION` of a global."""
    inner = node.this
    return "@" + (parameter_name(inner) if isinstance(inner, exp.Parameter) else str(inner.name))


def is_global(node: exp.Parameter) -> bool:
    """True for `@@NAME`, which is no parameter."""
    return isinstance(node.this, exp.Parameter) or isinstance(node.parent, exp.Parameter)


def bound(node: exp.Expr, parameters: Parameters) -> exp.Expr:
    """A copy with literals in the place of parameters. Raises SqlError 137 for one that was not given."""

    def literal(each: exp.Expr) -> exp.Expr:
        if isinstance(each, exp.Parameter) and not is_global(each):
            return as_literal(value_of(each, parameters))
        return each

    copy = node.copy()
    return copy.transform(literal, copy=False) if copy.find(exp.Parameter) else copy


def value_of(node: exp.Parameter, parameters: Parameters) -> Any:
    """The value given for a parameter, whatever the case of its name. Raises SqlError 137."""
    name = parameter_name(node)
    if name in parameters:
        return parameters[name]
    for given, value in parameters.items():
        if given.lower() == name.lower():
            return value
    raise SqlError(NO_VARIABLE, f'Must declare the scalar variable "{name}".', 15, 2)


def as_literal(value: Any) -> exp.Expr:
    """A value as it would be written in SQL."""
    if value is None:
        return exp.Null()
    if isinstance(value, bool):
        return exp.Literal.number(int(value))
    if isinstance(value, int | float | Decimal):
        number = exp.Literal.number(str(abs(value)))
        return exp.Neg(this=number) if value < 0 else number
    if isinstance(value, bytes):
        return exp.HexString(this=value.hex())
    if isinstance(value, np.datetime64):
        return exp.Literal.string(str(value.astype("datetime64[ns]")))
    return exp.Literal.string(str(value))


def constant(node: exp.Expr, parameters: Parameters) -> Any:
    """The value of a literal, a parameter, or a cast of one. Raises NotConstantError."""
    value: Any
    if isinstance(node, exp.Convert):
        value = constant(node.expression, parameters)
    elif isinstance(node, _WRAPPERS):
        value = constant(node.this, parameters)
    elif isinstance(node, exp.Neg):
        value = -constant(node.this, parameters)
    elif isinstance(node, exp.Parameter) and not is_global(node):
        value = value_of(node, parameters)
    elif isinstance(node, exp.Null):
        value = None
    elif isinstance(node, exp.National) or (isinstance(node, exp.Literal) and node.is_string):
        value = str(node.name)
    elif isinstance(node, exp.Literal):
        value = int(node.name) if node.name.isdigit() else float(node.name)
    else:
        raise NotConstantError(node.sql(dialect="tsql"))
    return value


def wall_ns(value: Any) -> int:
    """A date and time as SQL Server reads it → ns since 1970 of that wall clock, cut to 100 ns.

    `YYYYMMDD HH:MM:SS.fff` (facts 2.6), ISO 8601 with `-`, `T` and an offset that does not count, or a bound datetime2.
    Raises SqlError 241.
    """
    if isinstance(value, np.datetime64):
        return int(value.astype("datetime64[ns]").astype(np.int64))
    text = str(value).strip()
    whole, _, rest = text.replace(" ", "T", 1).partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    try:
        moment = dt.datetime.fromisoformat(whole + rest[len(digits) :])
    except ValueError as error:
        text = "Conversion failed when converting date and/or time from character string."
        raise SqlError(CONVERSION, text) from error
    seconds = round((moment.replace(tzinfo=None) - _EPOCH).total_seconds())
    return seconds * _NS + int(digits[:7].ljust(7, "0")) * 100
