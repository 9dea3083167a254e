"""Words for what is wrong in a plant file: where (table, number, name, key), what stands there, what was expected."""

from __future__ import annotations

import datetime as dt
import json
import types
import typing
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from pipelines.plant.section import nearest

_SHOWN_MAX = 60
_KEYS_NAMED = 12
_NOT_OF_THE_FILE = frozenset({"folder"})
_SECRETS = {
    name: f"{name}_env" for name in ("password", "token", "client_secret", "dsn", "webhook")
}  # fmt: skip
"""Words for which people write the secret itself, and the key that names its environment variable."""
_PLAIN = {str: "a text in quotes", int: "a whole number", float: "a number", bool: "true or false"}
_BOUNDS = (("ge", "from"), ("gt", "above"), ("le", "to"), ("lt", "below"))


def complaints(model: type[BaseModel], raw: dict[str, Any], errors: Sequence[ErrorDetails]) -> Iterator[str]:
    """One line per mistake: its place in the file and what to write there. `raw` is the file as TOML read it."""
    inner = {error["loc"][0] for error in errors if len(error["loc"]) > 1}
    keyed = [(_keys(model, error["loc"]), error) for error in errors]
    for keys, same in groupby(keyed, key=lambda each: each[0]):
        error = next(same)[1]  # of a value that may be of several forms every form complains
        if error["type"] == "too_short" and len(keys) == 1 and keys[0] in inner:
            continue  # only because what is inside is wrong
        yield f"{_place(raw, keys)}{_words(model, keys, error)}"


def _words(model: type[BaseModel], keys: tuple[Any, ...], error: ErrorDetails) -> str:
    kind, given = error["type"], error["input"]
    if kind == "extra_forbidden":
        return _unknown(str(keys[-1]), "table" if isinstance(given, dict) else "key", model, keys[:-1])
    if kind == "value_error":
        return str(error["ctx"]["error"])
    field = _field(model, keys)
    if kind == "tuple_type" and isinstance(given, dict) and _section(field) is not None:
        return f"one table where several may stand: write [[{'.'.join(map(str, keys))}]], with two brackets"
    if kind == "missing":
        said = "it is missing"
    elif kind == "too_short":
        said = "there is none"
    elif kind == "literal_error" and isinstance(given, str):
        said = f"{_shown(given)} is not known{nearest(given, _choices(field))}"
    else:
        said = f"{_shown(given)} cannot stand here"
    return f"{said}: expected {field.description or _of_type(field.annotation, field.metadata)}"


def _unknown(key: str, what: str, model: type[BaseModel], above: tuple[Any, ...]) -> str:
    known = [name for name in (_model_at(model, above) or model).model_fields if name not in _NOT_OF_THE_FILE]
    named = _SECRETS.get(key.casefold())
    if named in known:
        return f"unknown {what}; a secret never stands here: {named} names the environment variable that holds it"
    near = nearest(key, known)
    if near or len(known) > _KEYS_NAMED:
        return f"unknown {what}{near or '; docs/plant-file.md names those that there are'}"
    return f"unknown {what}; there are: {', '.join(known)}"


def _keys(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[Any, ...]:
    """The place as the file has it, without pydantic's names of the forms that a value may have."""
    keys: list[Any] = []
    at: Any = model
    for part in loc:
        if isinstance(part, int):
            keys.append(part)
            continue
        section = at if isinstance(at, type) and issubclass(at, BaseModel) else None
        if keys and section is None:
            break  # inside of a value: a form of it, or a key of a dict
        keys.append(part)
        field = section.model_fields.get(part) if section else None
        at = _section(field) if field else None
    return tuple(keys)


def _field(model: type[BaseModel], keys: tuple[Any, ...]) -> FieldInfo:
    names = [key for key in keys if isinstance(key, str)]
    found = (_model_at(model, tuple(names[:-1])) or model).model_fields[names[-1]]
    if isinstance(keys[-1], int):  # one of a list
        [element] = [each for each in typing.get_args(found.annotation) if each is not Ellipsis][:1]
        return FieldInfo.from_annotation(element)
    return found


def _model_at(model: type[BaseModel], keys: tuple[Any, ...]) -> type[BaseModel] | None:
    found: type[BaseModel] | None = model
    for key in keys:
        if isinstance(key, str) and found is not None:
            found = _section(found.model_fields[key])
    return found


def _section(field: FieldInfo) -> type[BaseModel] | None:
    """The table that a key holds, or several of them hold; None where it holds plain values."""
    waiting = [field.annotation]
    while waiting:
        each = waiting.pop()
        if isinstance(each, type) and issubclass(each, BaseModel):
            return each
        waiting += typing.get_args(each)
    return None


def _choices(field: FieldInfo) -> list[str]:
    return [each for each in typing.get_args(field.annotation) if isinstance(each, str)]


def _of_type(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """What may stand where a value of this type is wanted."""
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        own = (each.description for each in inside[1:] if isinstance(each, FieldInfo))
        return next((words for words in own if words), "") or _of_type(inside[0], inside[1:])
    if origin is Literal:
        return "one of " + ", ".join(_shown(each) for each in inside if each != "")
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_of_type(each) for each in inside if each is not type(None))
    if origin is tuple:
        element = inside[0]
        section = isinstance(element, type) and issubclass(element, BaseModel)
        return _tables(element) if section else f"a list, [ … ], each {_of_type(element)}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _tables(annotation)
    return _PLAIN.get(annotation, "something else") + _bounds(metadata)


def _tables(model: type[BaseModel]) -> str:
    needed = [name for name, field in model.model_fields.items() if field.is_required()]
    keys = needed or list(model.model_fields)[:4]
    return f"a table with {', '.join(keys)}" if needed else f"a table {{ {', '.join(keys)}, … }}"


def _bounds(metadata: Sequence[Any]) -> str:
    found = [f"{word} {getattr(each, name):,}" for each in metadata for name, word in _BOUNDS if hasattr(each, name)]
    return f" {', '.join(found)}".replace(", to", " to") if found else ""


def _place(raw: dict[str, Any], keys: tuple[Any, ...]) -> str:
    """`[[source]] 2 (pi2) › auth › kind: `, `[store] › heap_mb: `; nothing for the file as a whole."""
    if not keys:
        return ""
    first, *rest = keys
    at: Any = raw.get(first)
    steps = [f"[[{first}]]" if isinstance(at, list) or first == "source" else f"[{first}]"]
    if len(keys) == 1 and at is not None and not isinstance(at, dict | list):
        steps = [_name(str(first))]  # a key before the first table
    for key in rest:
        at = _inside(at, key)
        if isinstance(key, int):
            name = at.get("name") if isinstance(at, dict) else None
            steps[-1] += f" {key + 1}" + (f" ({_name(name)})" if isinstance(name, str) and name else "")
        else:
            steps.append(_name(str(key)))
    return " › ".join(steps) + ": "


def _inside(at: Any, key: Any) -> Any:
    try:
        return at[key]
    except (KeyError, IndexError, TypeError):
        return None


def _name(text: str) -> str:
    return text[:_SHOWN_MAX] if text.isprintable() else _shown(text)


def _shown(value: Any) -> str:
    """A value as the file has it, on one line and not long."""
    if isinstance(value, dict | list | tuple):
        return "a table" if isinstance(value, dict) else "a list"
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, float):
        return repr(value)
    text = json.dumps(value, ensure_ascii=not str(value).isprintable())
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}…"
