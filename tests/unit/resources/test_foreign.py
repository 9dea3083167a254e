"""What errors of libraries mean: a full disk and a dead server behind whatever wraps them, and nothing else."""

from __future__ import annotations

import errno
import sqlite3

import dagster as dg
import psycopg
import psycopg2
import psycopg2.errors
import pytest
import sqlalchemy
import sqlalchemy.exc

from cli.outcome import NO_ROOM, UNPROVED, UNREACHABLE, code_of, message_of
from pipelines.ports import NoRoom, Retry
from resources.foreign import meaning_of


def wrapped(error: BaseException) -> BaseException:
    """As Dagster raises what happened inside of a step."""
    try:
        try:
            raise error
        except BaseException as inner:
            raise RuntimeError("an error occurred while executing a step") from inner
    except RuntimeError as outer:
        return outer


def of_sqlalchemy(error: Exception) -> sqlalchemy.exc.DBAPIError:
    return sqlalchemy.exc.DBAPIError.instance("INSERT", {}, error, psycopg2.Error)  # type: ignore[return-value]


def sqlite_full() -> sqlite3.Error:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


class DiskFull(psycopg2.errors.DiskFull):
    pgcode = "53100"


class Ending(psycopg2.errors.AdminShutdown):
    pgcode = "57P01"


class Duplicate(psycopg2.errors.UniqueViolation):
    pgcode = "23505"


FULL = [
    OSError(errno.ENOSPC, "No space left on device", "compute_logs/x.err"), OSError(errno.EDQUOT, "Quota exceeded"),
    MemoryError(), psycopg.errors.DiskFull("full"), DiskFull("full"), of_sqlalchemy(DiskFull("full")), sqlite_full(),
    NoRoom("IoTDB takes no writes"),
]  # fmt: skip
AWAY = [
    psycopg.OperationalError("the connection is closed"), psycopg.errors.AdminShutdown("terminating"),
    psycopg2.OperationalError("could not connect to server"), psycopg2.InterfaceError("connection already closed"),
    of_sqlalchemy(psycopg2.OperationalError("server closed the connection")), of_sqlalchemy(Ending("terminating")),
    sqlalchemy.exc.DisconnectionError(), ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
]  # fmt: skip
OTHERS = [KeyError("x"), OSError(errno.ENOENT, "none"), of_sqlalchemy(Duplicate("twice")), sqlite3.OperationalError()]


@pytest.mark.parametrize("wrap", [lambda error: error, wrapped, lambda error: wrapped(wrapped(error))])
def test_by_class_and_number_never_by_text(wrap) -> None:  # type: ignore[no-untyped-def]
    assert {repr(each): code_of(wrap(each)) for each in FULL} == {repr(each): NO_ROOM for each in FULL}
    assert {repr(each): code_of(wrap(each)) for each in AWAY} == {repr(each): UNREACHABLE for each in AWAY}
    assert {repr(each): code_of(wrap(each)) for each in OTHERS} == {repr(each): UNPROVED for each in OTHERS}


def test_the_message_is_one_line_that_says_what_to_do() -> None:
    said = message_of(wrapped(of_sqlalchemy(DiskFull("could not extend file\nHINT: check"))))
    assert said.startswith("PostgreSQL has no room: could not extend file")
    assert "\n" not in said
    assert "unexpected" not in said
    assert "compute_logs/x.err: No space left" in message_of(FULL[0])


def test_what_only_came_while_another_was_handled_is_not_its_meaning() -> None:
    try:
        try:
            raise Retry("later")
        except Retry:
            {}["missing"]
    except KeyError as error:
        assert meaning_of(error) is None


def test_what_dagster_makes_of_a_step() -> None:
    @dg.op
    def fills() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "x")

    @dg.job
    def full() -> None:
        fills()

    with pytest.raises(OSError, match="No space") as failed:
        full.execute_in_process()
    assert code_of(failed.value) == NO_ROOM
