"""Options that commands share, and the frame around every command."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from cli.outcome import PROVED
from cli.screen import Screen
from cli.session import Session

F = TypeVar("F", bound=Callable[..., Any])


class Moment(click.ParamType[int]):
    """A time on the command line: ISO 8601 with Z → nanoseconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from pipelines.timeline import parse

        try:
            return value if isinstance(value, int) else parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Duration(click.ParamType[int]):
    """A duration on the command line, as the plant file has them: 1min, 90s → nanoseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from pipelines.plant.spans import duration_ns

        try:
            return value if isinstance(value, int) else duration_ns(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def framed(function: Callable[..., int | None]) -> Callable[..., int]:
    """Adds --plant and --json; the command gets a Session and returns its exit code (None is 0)."""

    @click.option(
        "--plant", "plant_file", type=click.Path(path_type=Path), default=Path("ferry.toml"), envvar="FERRY_PLANT",
        show_default=True, show_envvar=True, help="The plant file.",
    )  # fmt: skip
    @click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, everything else on stderr.")
    @functools.wraps(function)
    def command(plant_file: Path, as_json: bool, **given: Any) -> int:
        context = click.get_current_context()
        screen = context.find_object(Screen) or Screen()
        screen.as_json = as_json
        chosen = context.get_parameter_source("plant_file") is not click.core.ParameterSource.DEFAULT
        with screen.guarded():
            return function(Session(plant_file, screen, chosen), **given) or PROVED

    return command


def source(function: F) -> F:
    """Adds --source."""
    return click.option("--source", "source_name", metavar="NAME", help="May be left out when the plant has just one.")(
        function
    )


def span(required: bool = False) -> Callable[[F], F]:
    """Adds --start and --end; without them a command means all that the plant file names."""

    def decorate(function: F) -> F:
        hint = "" if required else " Default: the source's, from the plant file."
        start = click.option("--start", "start_ns", type=Moment(), required=required,
                             help=f"First instant, ISO 8601 with Z.{hint}")  # fmt: skip
        end = click.option("--end", "end_ns", type=Moment(), required=required,
                           help=f"The instant after the last, ISO 8601 with Z.{hint}")  # fmt: skip
        return start(end(function))

    return decorate
