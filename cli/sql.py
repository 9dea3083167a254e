"""`ferry sql`: a read-only statement, or a prompt for them, on the plant's IoTDB."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from cli import outcome
from cli.options import framed
from cli.session import Session

if TYPE_CHECKING:
    from resources.iotdb.sessions import Sessions

_LIMIT = 1_000
_OF_ITSELF = re.compile(r"^\s*(show|count|list)\b|\binformation_schema\b", re.IGNORECASE)
"""What the server tells of itself, whose times are in milliseconds whatever clock its events have."""


@click.command(short_help="Ask the plant's IoTDB, read-only.")
@framed
@click.argument("statement", required=False)
@click.option("--csv", "as_csv", is_flag=True, help="CSV with a header on stdout, written as it comes.")
@click.option("--limit", type=click.IntRange(min=0), default=_LIMIT, show_default=True, metavar="ROWS",
              help="Show no more rows than these; 0, with --csv, shows all.")  # fmt: skip
def sql(session: Session, statement: str | None, as_csv: bool, limit: int) -> None:
    """Run one read-only STATEMENT (SELECT, SHOW, DESCRIBE, EXPLAIN) on the plant's IoTDB, in the plant's database.

    Without a statement it is read from stdin; on a terminal a prompt takes statements that end with `;` until `quit`.
    docs/querying.md has the tables, and queries to start from.
    """
    from pipelines.ports import Stop
    from resources.iotdb.queries import only_statement

    if as_csv and session.screen.as_json:
        raise Stop("--csv and --json are two forms of one answer: choose one")
    if not limit and not as_csv:
        raise Stop(
            "--limit 0 (all rows) needs --csv, which is written as it comes; a table and JSON are held in memory"
        )
    prompting = statement is None and sys.stdin.isatty()
    if prompting and (as_csv or session.screen.as_json):
        raise Stop("a prompt shows tables: give a statement for --csv or --json")
    if prompting:
        with _opened(session) as queries:
            _prompt(session, queries, limit)
    else:
        asked = only_statement(sys.stdin.read() if statement is None else statement)
        with _opened(session) as queries:
            _answer(session, queries, asked, limit, as_csv)


@contextlib.contextmanager
def _opened(session: Session) -> Iterator[Sessions]:
    """The store as it is. No source is asked or started, and not the ledger."""
    with session.line() as line:
        down = any(each.name == "IoTDB" and not each.running for each in line.outside.statuses())
        with session.screen.busy("starting IoTDB") if down else contextlib.nullcontext():
            queries = line.outside.queries()
        with contextlib.closing(queries):
            yield queries


def _answer(session: Session, queries: Sessions, statement: str, limit: int, as_csv: bool = False) -> None:
    from cli.answers import emit_json, put_csv, rows_of, show_table

    screen = session.screen
    with queries.asking(statement) as answer:
        rows = rows_of(answer, plain_times=bool(_OF_ITSELF.search(statement)))
        if as_csv:
            put_csv(screen, answer, rows, limit or None)
        elif screen.as_json:
            emit_json(screen, answer, rows, limit)
        else:
            show_table(screen, answer, rows, limit)


def _prompt(session: Session, queries: Sessions, limit: int) -> None:
    from cli.prompt import typed
    from resources.iotdb.queries import reading

    screen = session.screen
    screen.note(f"{queries.where}. Statements end with ; and `quit` leaves. Only what reads is run.")
    for statement in typed(session.plant.state_dir / "sql_history", screen.note):
        try:
            _answer(session, queries, reading(statement), limit)
        except KeyboardInterrupt:
            screen.note("stopped")
        except Exception as error:
            screen.fail(outcome.message_of(error))
