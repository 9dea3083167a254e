"""Whether the IoTDB that answers is the one that the ledger's proofs are about (docs/decisions/0015).

The database keeps the ledger's name and a token; each opening gives it a new one, which the ledger writes down before
and after. So an empty store has none, another plant's has another name, and an older copy an older token.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pipelines.ports import Stop, Unreachable
from pipelines.timeline import Interval
from resources.iotdb import IoTDBStore
from resources.iotdb.identity import Identity
from resources.outside import GONE_CURE, Outside, StoreGone
from resources.postgres import PostgresLedger

REBUILD = "rebuild: to be proved in the store that is bound now"
"""The reason of withdrawals that `ferry rebuild` makes, and fills again from the landing."""
_PATIENCE_S = 60.0
_ANY = Interval(0, 1)


class StoreBinding:
    """One ledger and the store that was found. Every method asks both and waits for them."""

    def __init__(self, ledger: PostgresLedger, store: IoTDBStore, plant: str) -> None:
        self._ledger, self._store, self._plant = ledger, store, plant

    def look(self) -> str:
        """Why what answers is not our store, '' where it is. The ledger knows it then, and covers nothing until ours
        answers again. Changes nothing in the store."""
        complaint = self._seen()
        with suppress(Stop):  # a login that may only read the ledger is told all the same
            self._tell(complaint)
        return complaint

    def open(self) -> None:
        """Looks, and gives our store a new token. Raises Stop saying why it is not ours."""
        with self._ledger.lease("ferry", "store", _ANY, f"ferry {self._plant}", _PATIENCE_S):
            complaint = self._seen()
            self._tell(complaint)
            if complaint:
                raise Stop(complaint)
            self._store.prepare()
            self._give_token()

    def vouch(self) -> None:
        """Raises Stop where it is another store that answers now."""
        if complaint := self.look():
            raise Stop(complaint)

    def begin_anew(self, *, take_over: bool) -> None:
        """Withdraws all that is covered, and binds the ledger to what answers, whatever it holds.

        Raises Stop where that belongs to another ledger, unless it is to be taken over.
        """
        with self._ledger.lease("ferry", "store", _ANY, f"ferry {self._plant}", _PATIENCE_S):
            found, ledger = self._store.identity(), self._ledger.bound().ledger
            if found is not None and found.ledger != ledger and not take_over:
                raise Stop(self._foreign(found))
            self._ledger.withdraw_all(REBUILD)
            self._store.prepare()
            self._give_token()

    def _give_token(self) -> None:
        token = str(uuid.uuid4())
        self._ledger.record_opening("opening", token)
        self._store.identify(Identity(self._ledger.bound().ledger, token, self._plant))
        self._ledger.record_opening("open", token)

    def _seen(self) -> str:
        """A complaint counts when the store says the same before and after the ledger was asked: another process may
        be opening it just now."""
        found = self._store.identity()
        while True:
            complaint, before = self._complaint(found), found
            if not complaint:
                return ""
            found = self._store.identity()
            if found == before:
                return complaint

    def _tell(self, complaint: str) -> None:
        refused = self._ledger.bound().refused
        if complaint and complaint != refused:
            self._ledger.record_opening("refused", None, complaint)
        elif refused and not complaint and (found := self._store.identity()):
            self._ledger.record_opening("open", found.token)

    def _complaint(self, found: Identity | None) -> str:
        bound = self._ledger.bound()
        if found is None:
            begun = bound.was_open or (self._ledger.covers_events() and not self._store.holds_events())
            return self._strange("it holds nothing of it") if begun else ""
        if found.ledger != bound.ledger:
            return self._foreign(found)
        if found.token in bound.tokens:
            return ""
        at = self._ledger.opened_at(found.token)
        if at is None:
            return self._strange("it was opened since by a newer copy of this ledger, so the ledger is the older one")
        return self._strange(f"it is an older copy, of {at}")

    def _strange(self, why: str) -> str:
        return (
            f"{self._store.where} is not the store that this ledger's history was proved in: {why}. Set [store] to the "
            f"right one. {GONE_CURE}"
        )

    def _foreign(self, found: Identity) -> str:
        return (
            f"{self._store.where} belongs to another ledger, of plant {found.plant!r}: two of them would overwrite "
            "each other's history. Give this plant a name or a [store] database of its own; if that ledger is gone for "
            "good, `ferry rebuild --take-over` binds the database to this one"
        )


def opened(outside: Outside, ledger: PostgresLedger) -> IoTDBStore:
    """The plant's store, seen to be the one that the ledger's proofs are about, with a new token. Raises Stop where it
    is not, Unreachable."""
    store, binding = _found(outside, ledger)
    with _closed_on_error(store):
        binding.open()
    return store


def trouble(outside: Outside, ledger: PostgresLedger) -> tuple[str, str]:
    """Why the store that answers is not the one that the proofs are about, and why none answers; '' where not.

    Changes nothing in the store; the ledger covers nothing while another one answers.
    """
    if outside.store_is_elsewhere():
        return "", ""
    try:
        store, binding = _found(outside, ledger)
    except Unreachable as error:
        return "", str(error)
    except StoreGone as gone:
        return str(gone), ""
    try:
        return binding.look(), ""
    except Unreachable as error:
        return "", str(error)
    finally:
        store.close()


def rebound(outside: Outside, ledger: PostgresLedger, *, take_over: bool) -> tuple[IoTDBStore, bool]:
    """The store that answers, which the ledger is bound to now, and whether that is another one than before: then all
    coverage was withdrawn. Raises Stop where it belongs to another ledger, unless it is to be taken over."""
    store, binding = _found(outside, ledger)
    with _closed_on_error(store):
        anew = bool(binding.look())
        if anew:
            binding.begin_anew(take_over=take_over)
        else:
            binding.open()
    return store, anew


def _found(outside: Outside, ledger: PostgresLedger) -> tuple[IoTDBStore, StoreBinding]:
    store = outside.store(vouch=lambda: binding.vouch())  # noqa: PLW0108 - it is made from the store
    binding = StoreBinding(ledger, store, outside.plant.plant.name)
    return store, binding


@contextmanager
def _closed_on_error(store: IoTDBStore) -> Iterator[None]:
    try:
        yield
    except BaseException:
        store.close()
        raise
