"""Reading a plant file: every mistake in one line that names the file, the key and what was expected."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from pydantic import ValidationError

from pipelines.plant.complaints import complaints
from pipelines.plant.sections import Plant
from pipelines.ports import Stop
from pipelines.ports.secrecy import guard


def load_plant(path: Path) -> Plant:
    """Reads and checks a plant file. Raises Stop with one line per mistake: file, key, what was expected."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Stop(
            f"{path}: no such plant file; name one with --plant or FERRY_PLANT, or write one with `ferry init`"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Stop(f"{path}: cannot be read as TOML: {error}") from None
    return plant_of(text, path)


def plant_of(text: str, path: Path) -> Plant:
    """A plant file's text, which is or will be at `path`. Raises Stop with one line per mistake."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Stop(f"{path}: cannot be read as TOML: {error}") from None
    if "folder" in raw:
        raise Stop(f"{path}: folder: unknown key")
    try:
        return Plant(**raw, folder=path.parent.resolve())
    except ValidationError as error:
        lines = complaints(Plant, raw, error.errors(include_url=False))
        raise Stop("\n".join(f"{path}: {line}" for line in lines)) from None


def secret(variable: str) -> str:
    """The value of an environment variable that holds a secret. Raises Stop when it is not set."""
    value = os.environ.get(variable, "")
    if not value:
        raise Stop(f"the environment variable {variable} is not set; it must hold the password, token or DSN")
    guard(value)
    return value
