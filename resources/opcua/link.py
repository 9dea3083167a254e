"""A session in an event loop and thread of its own: any thread and any loop may use it, and it can hang nobody."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from pipelines.ports import Retry, Stop
from resources.opcua.client import Login, Session, meant, session

_OVER = "the session has ended"
T = TypeVar("T")
Work = Callable[[Session], Coroutine[Any, Any, T]]


class Link(threading.Thread):
    """One session; when it has failed, make another."""

    def __init__(self, login: Login) -> None:
        super().__init__(name=f"opcua {login.url}", daemon=True)
        self._login = login
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._opened: concurrent.futures.Future[Session] = concurrent.futures.Future()
        self.start()

    def run(self) -> None:
        """Until `end`."""
        try:
            self._loop.run_until_complete(self._live())
        finally:
            self._loop.close()

    def does(self, work: Work[T], timeout_s: float) -> T:
        """What `work` gives, in our loop, when the session is open. Raises Retry (also when it is late), Stop."""
        try:
            opened = self._opened.result(3 * timeout_s)
            return self._begun(work, opened).result(timeout_s)
        except (TimeoutError, concurrent.futures.TimeoutError):
            raise Retry(f"no answer within {timeout_s:g} s") from None
        except concurrent.futures.CancelledError:
            raise Retry(_OVER) from None

    async def gives(self, work: Work[T], timeout_s: float) -> T:
        """The same for a task of another loop."""
        try:
            opened = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(self._opened)), 3 * timeout_s)
            return await asyncio.wait_for(asyncio.wrap_future(self._begun(work, opened)), timeout_s)
        except TimeoutError:
            raise Retry(f"no answer within {timeout_s:g} s") from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise Retry(_OVER) from None

    def end(self) -> None:
        """Ends it, without waiting."""
        with contextlib.suppress(RuntimeError):  # its loop is closed already
            self._loop.call_soon_threadsafe(self._ended.set)

    def _begun(self, work: Work[T], opened: Session) -> concurrent.futures.Future[T]:
        try:
            return asyncio.run_coroutine_threadsafe(meant(lambda: work(opened), self._login.url), self._loop)
        except RuntimeError:
            raise Retry(_OVER) from None

    async def _live(self) -> None:
        opening = asyncio.ensure_future(self._serve())
        ending = asyncio.ensure_future(self._ended.wait())
        await asyncio.wait({opening, ending}, return_when=asyncio.FIRST_COMPLETED)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.gather(opening, ending, return_exceptions=True)

    async def _serve(self) -> None:
        try:
            async with session(self._login) as opened:
                self._opened.set_result(opened)
                await self._ended.wait()
        except (Retry, Stop) as error:
            if not self._opened.done():
                self._opened.set_exception(error)
