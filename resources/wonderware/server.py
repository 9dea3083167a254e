"""Questions to one Historian: a few connections, one budget, and every transport retry that there is.

Callers see Unreachable or Retry when patience is over, TooMuch when less must be asked, Stop for a person.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import pyarrow as pa
import tenacity

from pipelines.ports import Retry, Unreachable
from resources.budget import Budget
from resources.silence import telling
from resources.wonderware.asking import engine
from resources.wonderware.browser import located
from resources.wonderware.driver import Connect, chosen
from resources.wonderware.login import Login, Session
from resources.wonderware.refusals import Faltered, TooMuch

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long a question is tried."""

    tries: int = 6
    first_wait_s: float = 0.5
    longest_wait_s: float = 20.0


class Server:
    """The one way to a Historian. Safe for many tasks at once."""

    def __init__(
        self,
        login: Login,
        budget: Budget,
        concurrency: int = 4,
        patience: Patience | None = None,
        connect: Connect | None = None,
    ) -> None:
        self.login, self.budget, self.concurrency = login, budget, concurrency
        self.patience = patience or Patience()
        self.driver = ""
        """Which driver is in use, after the first question."""
        self._connect = connect
        self._idle: list[Session] = []
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None

    async def ask(
        self, statement: str, values: Sequence[str | int], most_rows: int = 2**62, most_bytes: int = 2**62
    ) -> pa.Table | None:
        """All rows of a statement, None where it has none.

        Raises TooMuch above `most_rows`, and for more than one row above `most_bytes` of texts; Retry, Stop. A refusal
        that may be about the statement or about the engine behind SQL Server is raised only when the engine has
        answered another question meanwhile and refuses this one again.
        """
        try:
            return await self._patiently(self._once, statement, values, most_rows, most_bytes)
        except TooMuch as error:
            if error.reason != "unknown":
                raise
        await self.check_engine()
        return await self._patiently(self._once, statement, values, most_rows, most_bytes)

    async def ask_whole(self, statement: str, values: Sequence[str | int]) -> pa.Table | None:
        """As `ask`, of a question that cannot be made smaller: it is answered, or the server is of no use now.

        Raises Unreachable in the place of TooMuch.
        """
        try:
            return await self.ask(statement, values)
        except TooMuch as error:
            raise Unreachable(f"{error}: it takes questions and answers none", after_s=60.0) from None

    async def check_engine(self) -> None:
        """Whether the retrieval engine behind SQL Server answers at all. Raises Unreachable, Retry, Stop."""
        await self._patiently(self._engine)

    async def _patiently(self, question: Callable[P, Awaitable[T]], *given: P.args, **named: P.kwargs) -> T:
        """A question, asked again while it falters. Raises Retry and Unreachable in the place of Faltered."""
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Faltered),
            stop=tenacity.stop_after_attempt(self.patience.tries),
            wait=tenacity.wait_random_exponential(self.patience.first_wait_s, self.patience.longest_wait_s),
            reraise=True,
        )
        try:
            return await retrying(question, *given, **named)
        except Faltered as error:
            message = f"{self.login.where}: {error} ({self.patience.tries} tries)"
            kind = Retry if error.reached else Unreachable
            raise kind(message, after_s=self.patience.longest_wait_s) from None

    async def _engine(self) -> None:
        """Raises Faltered where it does not answer."""
        try:
            await self._once(*engine(), most_rows=2**62, most_bytes=2**62)
        except TooMuch as error:
            raise Faltered(f"its retrieval engine answers nothing: {error}", reached=False) from None

    async def close(self) -> None:
        """Closes the connections; may be called twice. A later question opens new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
        threads, self._threads = self._threads, None
        for session in idle:
            await asyncio.to_thread(session.close)
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)

    async def _once(
        self, statement: str, values: Sequence[str | int], most_rows: int, most_bytes: int
    ) -> pa.Table | None:
        await self.budget.admit()
        over = threading.Event()
        try:
            with telling(self.login.where):
                return await self._apart(lambda: self._read(statement, values, most_rows, most_bytes, over))
        finally:
            over.set()  # a task that was cancelled leaves its thread to stop at the next rows

    def _read(
        self, statement: str, values: Sequence[str | int], most_rows: int, most_bytes: int, over: threading.Event
    ) -> pa.Table | None:
        session = self._session()
        parts: list[pa.Table] = []
        rows = size = 0
        try:
            for part in session.read(statement, values):
                rows += part.num_rows
                if rows > most_rows:
                    raise TooMuch(f"{self.login.where}: more than {most_rows:,} rows at once", "rows")
                size += sum(column.nbytes for column in part.columns[2:] if pa.types.is_string(column.type))
                if size > most_bytes and rows > 1:
                    raise TooMuch(f"{self.login.where}: more than {most_bytes >> 20} MiB of texts at once", "rows")
                if over.is_set():
                    raise Faltered("nobody waits for it any more")
                parts.append(part)
        except BaseException:
            session.close()  # what it still holds is of no use, and it may be broken
            raise
        with self._lock:
            self._idle.append(session)
        return pa.concat_tables(parts, promote_options="permissive") if parts else None

    def _session(self) -> Session:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        login = located(self.login)
        with self._lock:
            if self._connect is None:
                self.driver, self._connect = chosen(login)
        return self._connect(login)

    async def _apart(self, work: Callable[[], T]) -> T:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.concurrency, thread_name_prefix=f"{self.login.source}-sql")
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
