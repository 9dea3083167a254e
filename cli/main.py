"""The entry point: `ferry COMMAND …`, its exit codes, its one message for each way to fail."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Sequence

import click

from cli import outcome
from cli.backfill import backfill
from cli.collect import collect
from cli.demo import demo
from cli.discover import discover
from cli.doctor import doctor
from cli.init import init
from cli.marts import marts
from cli.metrics import metrics
from cli.outputs import export, report
from cli.plan import plan
from cli.points import points
from cli.rebuild import rebuild
from cli.restate import restate
from cli.screen import Screen
from cli.servers import down, up
from cli.simulate import simulate
from cli.sql import sql
from cli.status import status
from cli.sync import sweep, sync
from cli.trust import trust
from cli.verify import verify
from resources.leaving import leave


class InOrder(click.Group):
    """Commands in the order in which a person meets them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=InOrder,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done and proved, 1 ran but something is unproved, 2 wrong use, configuration or "
    "credentials, 3 a server is unreachable, 4 no room (disk, memory).",
)
@click.version_option(package_name="historian-ferry", prog_name="ferry")
def ferry() -> None:
    """Historian Ferry moves plant history into Apache IoTDB and proves that nothing was lost."""


for _command in (
    demo, up, down, init, trust, doctor, discover, points, plan, backfill, sync, collect, status, verify, sweep,
    restate, rebuild, marts, report, export, sql, metrics, simulate,
):  # fmt: skip
    ferry.add_command(_command)


def run(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit code; every error has become one message on stderr."""
    screen = Screen(as_json="--json" in arguments)
    try:
        code = ferry.main(list(arguments), prog_name="ferry", standalone_mode=False, obj=screen)
        return code if isinstance(code, int) else outcome.PROVED
    except click.exceptions.Exit as done:
        return done.exit_code
    except BrokenPipeError:  # `ferry status | head`
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - Python flushes it at exit
        return outcome.PROVED
    except (Exception, KeyboardInterrupt) as error:
        return _failed(screen, error)


def main() -> None:
    """The console script."""
    if os.environ.get("FERRY_DEBUG") != "1" and not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries' words to programmers
    # A supervisor's SIGTERM is a wish to stop like Ctrl-C: leases are freed and children ended on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    leave(run(sys.argv[1:]))


def _failed(screen: Screen, error: BaseException) -> int:
    code, message = outcome.code_of(error), outcome.message_of(error)
    if os.environ.get("FERRY_DEBUG") == "1":
        screen.note(outcome.trace_of(error), style=None)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        screen.note(message, style=None)  # the help
        return code
    if isinstance(error, click.UsageError) and error.ctx is not None:
        screen.note(error.ctx.get_usage(), style=None)
    screen.fail(message)
    screen.emit({"error": message, "exit": code})
    return code
