"""T-SQL expressions as DuckDB computes them, exactly: what sqlglot's own translation leaves different.

DATEPART of fractions, DATEDIFF (an int that overflows, error 535), LIKE with brackets, texts compared whatever their
case, LEN in UTF-16 units without trailing spaces, counts as int.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from simulators.tds.database import SqlError
from simulators.wonderware.statements import UNSUPPORTED, NotConstantError, constant, is_global, parameter_name, wall_ns
from simulators.wonderware.tables import WHOLE_COLUMNS

MACROS = (
    "CREATE MACRO ferry_units(x) AS length(x) + length(regexp_replace(x, '[^\\x{10000}-\\x{10FFFF}]', '', 'g'))",
    "CREATE MACRO datalength(x) AS CAST(2 * ferry_units(CAST(x AS VARCHAR)) AS INTEGER)",
    "CREATE MACRO ferry_len(x) AS ferry_units(rtrim(CAST(x AS VARCHAR), ' '))",
    "CREATE MACRO ferry_sub_ns(x) AS CAST(epoch_ns(CAST(x AS TIMESTAMP_NS)) % 1000000000 AS INTEGER)",
    # DuckDB rounds from ns to µs, so that the last 100 ns of a second would be the next one.
    "CREATE MACRO ferry_us(x) AS make_timestamp(epoch_ns(CAST(x AS TIMESTAMP_NS)) // 1000)",
)
_FRACTIONS = {"nanosecond": 1, "ns": 1, "microsecond": 1_000, "mcs": 1_000, "millisecond": 1_000_000, "ms": 1_000_000}
_UNITS_NS = {"nanosecond": 1, "microsecond": 1_000, "millisecond": 1_000_000}
_TIMES = (exp.DType.DATETIME2, exp.DType.DATETIME, exp.DType.SMALLDATETIME, exp.DType.TIMESTAMP)
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.In, exp.Between)
_TIME_COLUMNS = ("datetime", "startdatetime", "enddatetime", "eventtime", "eventtimeutc", "datecreated", "datedeleted")
_NS, _DAY_NS = 1_000_000_000, 86_400_000_000_000


def transformed(node: exp.Expr, globals_: dict[str, str]) -> exp.Expr:
    """The expression for DuckDB; `globals_` has the value of `@@NAME` and of functions without arguments.

    `node` is used up, and has no parameters any more. Raises SqlError.
    """
    # From the leaves up, so that a rule sees operands that are done.
    for each in list(node.walk(bfs=False))[::-1]:
        rule = _RULES.get(type(each))
        new = rule(each) if rule else _named(each, globals_)
        if new is None or new is each:
            continue
        if each is node:
            node = new
        else:
            each.replace(new)
    return node


def sql_of(node: exp.Expr) -> str:
    """The DuckDB text of a transformed expression."""
    return node.sql(dialect="duckdb")


def like_pattern(pattern: str, escape: str = "") -> str:
    """A LIKE pattern (`%`, `_`, `[a-f]`, `[^x]`) as a regular expression for the whole text."""
    out, place = [], 0
    while place < len(pattern):
        mark = pattern[place]
        close = pattern.find("]", place + 2) if mark == "[" else -1
        if escape and mark == escape and place + 1 < len(pattern):
            out.append(_literal(pattern[place + 1]))
            place += 1
        elif mark == "%":
            out.append(".*")
        elif mark == "_":
            out.append(".")
        elif close > 0:
            out.append(_class(pattern[place + 1 : close]))
            place = close
        else:
            out.append(_literal(mark))
        place += 1
    return "".join(out)


def _class(inner: str) -> str:
    negated, inner = inner.startswith("^"), inner.removeprefix("^")
    body = "".join(mark if mark == "-" and 0 < at < len(inner) - 1 else _literal(mark) for at, mark in enumerate(inner))
    return f"[{'^' if negated else ''}{body}]"


def _literal(mark: str) -> str:
    return mark if mark.isalnum() or ord(mark) > 127 or mark == " " else f"\\x{{{ord(mark):02x}}}"


def _call(name: str, *arguments: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _cast(node: exp.Expr, to: str) -> exp.Expr:
    return exp.Cast(this=node, to=exp.DataType.build(to, dialect="duckdb"))


def _timestamp(node: exp.Expr) -> exp.Expr:
    """A literal as a point in time with all its digits; anything else as it is."""
    try:
        value = constant(node, {})
    except NotConstantError:
        return node
    if not isinstance(value, str):
        return node
    return _call("make_timestamp_ns", exp.Literal.number(str(wall_ns(value))))


def _national(node: exp.Expr) -> exp.Expr:
    return exp.Literal.string(node.name)


def _extract(node: exp.Expr) -> exp.Expr:
    """DATEPART(nanosecond, …) is 0 to 999999900 of the second; micro- and milliseconds likewise."""
    size = _FRACTIONS.get(node.this.name.lower())
    if size is None:
        return exp.Extract(this=node.this, expression=_call("ferry_us", _timestamp(_unwrapped(node.expression))))
    sub_ns = _call("ferry_sub_ns", _timestamp(_unwrapped(node.expression)))
    return sub_ns if size == 1 else exp.Paren(this=exp.IntDiv(this=sub_ns, expression=exp.Literal.number(size)))


def _date_diff(node: exp.Expr) -> exp.Expr:
    """Boundaries crossed; DATEDIFF is an int and overflows, DATEDIFF_BIG is not."""
    unit = str(node.args["unit"].name).lower() if node.args.get("unit") else "day"
    later, earlier = _timestamp(_unwrapped(node.this)), _timestamp(_unwrapped(node.expression))
    if unit in _UNITS_NS:
        size = exp.Literal.number(_UNITS_NS[unit])
        parts = [
            exp.IntDiv(this=_call("epoch_ns", _cast(side, "TIMESTAMP_NS")), expression=size.copy())
            for side in (later, earlier)
        ]
        count: exp.Expr = exp.Paren(this=exp.Sub(this=parts[0], expression=parts[1]))
    else:
        sides = (_call("ferry_us", earlier), _call("ferry_us", later))
        count = _call("date_diff", exp.Literal.string(unit), *sides)
    return count if node.args.get("big_int") else _cast(count, "INTEGER")


def _unwrapped(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.TimeStrToTime | exp.TsOrDsToDate | exp.TsOrDsToTimestamp):
        node = node.this
    return node


def _to_cast(node: exp.Expr) -> exp.Expr:
    """Casts to times take every text that SQL Server takes; nvarchar(n) is a text, and its bytes are UTF-16."""
    target = node.args["to"].this
    if target == exp.DType.VARBINARY:
        return _call("ferry_utf16", _cast(node.this, "VARCHAR"))
    if target not in _TIMES and target != exp.DType.DATE:
        return node
    value = _timestamp(_unwrapped(node.this))
    if target in _TIMES:
        return _scaled(_cast(value, "TIMESTAMP_NS"), node.args["to"].expressions)
    return _cast(_call("ferry_us", value), "DATE")


def _scaled(value: exp.Expr, scale: list[exp.Expr]) -> exp.Expr:
    """datetime2(n) rounds to n digits, halves upwards."""
    digits = int(scale[0].this.name) if scale else 7
    if digits >= 7:
        return value
    size = exp.Literal.number(10 ** (9 - digits))
    moved = exp.Paren(
        this=exp.Add(this=_call("epoch_ns", value), expression=exp.Literal.number(10 ** (9 - digits) // 2))
    )
    return _call("make_timestamp_ns", exp.Mul(this=exp.IntDiv(this=moved, expression=size), expression=size.copy()))


def _convert(node: exp.Expr) -> exp.Expr:
    """CONVERT of a time type; others are left to sqlglot."""
    target = node.this
    value = node.args.get("expression")
    if not isinstance(target, exp.DataType) or value is None:
        return node
    if target.this in _TIMES or target.this == exp.DType.DATE:
        return _to_cast(exp.Cast(this=value, to=target))
    return node if node.args.get("style") else exp.Cast(this=value, to=target)


def _count(node: exp.Expr) -> exp.Expr | None:
    """COUNT is an int, COUNT_BIG a bigint."""
    if node.args.get("big_int") or isinstance(node.parent, exp.Cast | exp.Window):
        return None
    return _cast(node.copy(), "INTEGER")


def _like(node: exp.Expr) -> exp.Expr | None:
    parent = node.parent
    escape = str(constant(parent.expression, {})) if isinstance(parent, exp.Escape) else ""
    try:
        pattern = constant(node.expression, {})
    except NotConstantError as error:
        raise SqlError(UNSUPPORTED, "The stand-in takes a constant pattern in LIKE only.") from error
    if pattern is None:
        return exp.Null()
    regex = exp.Literal.string(like_pattern(str(pattern), escape))
    found = _call("regexp_full_match", node.this, regex, exp.Literal.string("is"))
    return exp.Not(this=found) if node.args.get("negate") else found


def _escape(node: exp.Expr) -> exp.Expr:
    inner: exp.Expr = node.this  # its LIKE has used the character already
    return inner


def _length(node: exp.Expr) -> exp.Expr:
    """LEN counts UTF-16 units and no trailing spaces; sqlglot has put a cast around what is measured."""
    return _cast(_call("ferry_len", node.this), "INTEGER")


def _divided(node: exp.Expr) -> exp.Expr | None:
    """A whole number by a whole number is a whole number."""
    if not (_is_whole(node.this) and _is_whole(node.expression)):
        return None
    return exp.IntDiv(this=node.this, expression=node.expression)


def _is_whole(node: exp.Expr) -> bool:
    if isinstance(node, exp.Paren | exp.Neg):
        return _is_whole(node.this)
    if isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.IntDiv | exp.Mod):
        return _is_whole(node.this) and _is_whole(node.expression)
    if isinstance(node, exp.Cast):
        return bool(node.is_type(*exp.DataType.INTEGER_TYPES))
    if isinstance(node, exp.Column):
        return node.name.lower() in WHOLE_COLUMNS
    return bool(isinstance(node, exp.Count)) or (isinstance(node, exp.Literal) and node.is_int)


def _compared(node: exp.Expr) -> exp.Expr | None:
    """Literals beside a time column become times; texts are compared whatever their case."""
    operands = [node.this, node.args.get("expression"), node.args.get("low"), node.args.get("high")]
    operands += node.args.get("expressions") or []
    given = [operand for operand in operands if operand is not None]
    timed = any(isinstance(each, exp.Column) and each.name.lower() in _TIME_COLUMNS for each in given)
    for operand in given:
        if isinstance(operand, exp.Literal) and operand.is_string:
            operand.replace(
                _timestamp(operand) if timed else exp.Collate(this=operand.copy(), expression=exp.var("NOCASE"))
            )
    return None


def _string_agg(node: exp.Expr) -> exp.Expr:
    return _call("string_agg", node.this, node.args.get("separator") or exp.Literal.string(""))


_Rule = Callable[[exp.Expr], exp.Expr | None]
_RULES: dict[type[exp.Expr], _Rule] = {
    exp.National: _national,
    exp.Extract: _extract,
    exp.DateDiff: _date_diff,
    exp.TimeStrToTime: lambda node: _timestamp(node.this),
    exp.Cast: _to_cast,
    exp.TryCast: _to_cast,
    exp.Convert: _convert,
    exp.Count: _count,
    exp.Like: _like,
    exp.Escape: _escape,
    exp.Length: _length,
    exp.Div: _divided,
    exp.GroupConcat: _string_agg,
    **dict.fromkeys(_COMPARISONS, _compared),
}


def _named(node: exp.Expr, globals_: dict[str, str]) -> exp.Expr | None:
    """Values of the session: `@@VERSION`, GETUTCDATE() and the like."""
    if isinstance(node, exp.Parameter) and is_global(node) and not isinstance(node.parent, exp.Parameter):
        name = parameter_name(node)
    elif isinstance(node, exp.CurrentTimestamp):
        name = "GETDATE"
    elif isinstance(node, exp.CurrentUser):
        name = "SUSER_SNAME"
    elif isinstance(node, exp.Anonymous):
        name = str(node.this)
    else:
        return None
    found = globals_.get(name.upper())
    if found is None:
        if isinstance(node, exp.Anonymous):
            return None
        raise SqlError(137, f'Must declare the scalar variable "{name}".', 15, 2)
    if name.upper().startswith(("GET", "SYS")):
        return _call("make_timestamp_ns", exp.Literal.number(found))
    return exp.Literal.string(found) if not found.isdigit() else exp.Literal.number(found)
