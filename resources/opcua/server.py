"""Questions to one OPC UA server's history: one session, one budget, and every transport retry that there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import tenacity

from pipelines.ports import Retry, Unreachable
from resources.budget import Budget
from resources.opcua.client import Login, TooMuch
from resources.opcua.link import Link, Work
from resources.silence import telling

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long a question is tried."""

    tries: int = 6
    first_wait_s: float = 0.5
    longest_wait_s: float = 20.0


class Server:
    """The one way to a server. Safe for many tasks and event loops at once."""

    def __init__(self, source: str, login: Login, budget: Budget, patience: Patience | None = None) -> None:
        self.source, self.login = source, login
        self._budget, self._patience = budget, patience or Patience()
        self._link: Link | None = None

    async def ask(self, work: Work[T]) -> T:
        """What `work` gives. Raises TooMuch at once; Unreachable, Retry when patience is over; Stop."""
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(
                lambda error: isinstance(error, Retry) and not isinstance(error, TooMuch)
            ),
            stop=tenacity.stop_after_attempt(self._patience.tries),
            wait=tenacity.wait_random_exponential(self._patience.first_wait_s, self._patience.longest_wait_s),
            reraise=True,
        )
        try:
            return await retrying(self._once, work)
        except TooMuch:
            raise
        except Retry as error:
            message = f"{self.login.url}: {error} ({self._patience.tries} tries)"
            raise Unreachable(message, after_s=self._patience.longest_wait_s) from None

    async def close(self) -> None:
        """Ends the session; may be called twice. A later question opens another."""
        if self._link is not None:
            self._link.end()
        self._link = None

    async def _once(self, work: Work[T]) -> T:
        await self._budget.admit()
        link = self._link = self._link or Link(self.login)
        try:
            with telling(f"source {self.source} at {self.login.url}"):
                return await link.gives(work, self.login.timeout_s)
        except TooMuch:
            raise
        except Exception:
            link.end()  # a session that failed is not used again
            if self._link is link:
                self._link = None
            raise
