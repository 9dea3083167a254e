"""Reading a plant file: every mistake in one line that names the file, the key and what was expected."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from pipelines.plant.section import nearest
from pipelines.plant.sections import Plant
from pipelines.ports import Stop


def load_plant(path: Path) -> Plant:
    """Reads and checks a plant file. Raises Stop with one line per mistake: file, key, what was expected."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Stop(f"{path}: no such plant file; name one with --plant or FERRY_PLANT") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Stop(f"{path}: cannot be read as TOML: {error}") from None
    if "folder" in raw:
        raise Stop(f"{path}: unknown key 'folder'")
    try:
        return Plant(**raw, folder=path.parent.resolve())
    except ValidationError as error:
        raise Stop("\n".join(f"{path}: {line}" for line in _complaints(error))) from None


def secret(variable: str) -> str:
    """The value of an environment variable that holds a secret. Raises Stop when it is not set."""
    value = os.environ.get(variable, "")
    if not value:
        raise Stop(f"the environment variable {variable} is not set; it must hold the password, token or DSN")
    return value


def _complaints(error: ValidationError) -> Iterator[str]:
    every = error.errors()
    inner = {problem["loc"][0] for problem in every if len(problem["loc"]) > 1}
    for problem in every:
        if problem["type"] == "too_short" and problem["loc"][0] in inner:
            continue  # only because what is inside is wrong
        parts = [str(part) for part in problem["loc"] if not str(part).startswith(("function-", "literal", "dict["))]
        key = ".".join(parts)
        if problem["type"] == "extra_forbidden":
            yield f"unknown key {key!r}{nearest(parts[-1], _keys_at(parts[:-1]))}"
        else:
            yield f"{key or 'plant'}: {problem['msg'].removeprefix('Value error, ')}"


def _keys_at(path: list[str]) -> list[str]:
    model: Any = Plant
    for part in path:
        if part.isdigit():
            continue
        model = _section_of(model.model_fields[part].annotation)
    return [key for key in model.model_fields if key != "folder"]


def _section_of(annotation: Any) -> Any:
    """The Section inside an annotation such as tuple[SourceSettings, ...] or Simulate | None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(found for each in annotation.__args__ if (found := _section_of(each)) is not None)
