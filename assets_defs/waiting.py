"""How long Dagster's own storage waits for PostgreSQL: libpq waits for ever for a server that is stopped."""

from __future__ import annotations

import select
from typing import Any

import psycopg
import psycopg2
import psycopg2.extensions
from psycopg2.extensions import POLL_ERROR, POLL_OK, POLL_READ, POLL_WRITE

from resources.silence import SAY_AFTER_S, Hangs, Silence


def wait_with_words() -> None:
    """From here on every connection of psycopg2 in this process, which are Dagster's, waits as the ledger's do."""
    psycopg2.extensions.set_wait_callback(_wait)


def _wait(connection: Any) -> None:
    """Until the server has answered. Raises psycopg2.OperationalError when it answers nobody any more."""
    info = connection.info
    where = f"PostgreSQL at {info.host}:{info.port}"
    silence = Silence(where, lambda: _ping(info))
    while (state := connection.poll()) != POLL_OK:
        if state == POLL_ERROR:
            raise psycopg2.OperationalError("the connection failed")
        reading, writing = ([connection.fileno()] if state == each else [] for each in (POLL_READ, POLL_WRITE))
        if any(select.select(reading, writing, [], SAY_AFTER_S)):
            silence = Silence(where, lambda: _ping(info))
            continue
        try:
            silence.goes_on()
        except Hangs as error:
            raise psycopg2.OperationalError(f"{where} does not answer: {error}") from error


def _ping(info: Any) -> None:
    psycopg.connect(
        host=info.host, port=info.port, user=info.user, password=info.password, dbname=info.dbname, connect_timeout=10
    ).close()
