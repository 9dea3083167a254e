"""Everything outside of one plant: its servers started or attached to, its clients made from the plant file."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

import httpx

from pipelines.plant import Plant, SourceSettings, load_tags, secret
from pipelines.ports import NoRoom, Source, Stop, Unreachable
from resources import costs, embedded
from resources.budget import Budget, used_share
from resources.embedded.stand_in import StandIn
from resources.iotdb import IoTDBStore
from resources.iotdb.disk import Disk
from resources.iotdb.sessions import Sessions
from resources.pi_web_api import PiWebApiSource
from resources.pi_web_api.auth import login
from resources.pi_web_api.trust import Trust
from resources.plc4x import SpoolReader, SpoolSource
from resources.postgres import PostgresLedger
from resources.wonderware import WonderwareSource

GONE_CURE = "Put it back if you moved it, or let `ferry rebuild` make it anew from the landing"
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class StoreGone(Stop):
    """The data of an embedded IoTDB that held something is not there any more."""


class Outside:
    """The servers and clients of a plant. Embedded servers are started when first needed."""

    def __init__(self, plant: Plant, progress: embedded.Progress | None = None) -> None:
        self.plant = plant
        state = plant.state_dir
        self._postgres = embedded.EmbeddedPostgres(state) if plant.ledger.postgres == "embedded" else None
        self._iotdb = (
            embedded.EmbeddedIoTDB(state, progress=progress, heap_mb=plant.store.heap_mb)
            if plant.store.iotdb == "embedded"
            else None
        )
        self._stand_ins = {s.name: StandIn.of_source(state, s) for s in plant.source if s.simulate is not None}
        self._plcs = {
            (source.name, each.name): StandIn.of_connection(state, source.name, each)
            for source in plant.source for each in source.connection if each.simulate
        }  # fmt: skip
        ours: tuple[_Server[object] | None, ...] = (
            self._postgres, self._iotdb, *self._stand_ins.values(), *self._plcs.values(),
        )  # fmt: skip
        self._servers = [server for server in ours if server is not None]
        self._budgets: dict[str, list[Budget]] = {}
        self._logins: dict[str, httpx.Auth | None] = {}
        """Of PI Web APIs, by source."""
        self.may_found_store = False
        """Whether an embedded IoTDB may begin empty although the ledger says that it held something."""

    def up(self) -> None:
        """Starts what is not up yet, all at once. Raises Unreachable, NoRoom naming the server and its log."""
        if self._iotdb is not None:
            self._check_founded(self._iotdb)
        with ThreadPoolExecutor(max(len(self._servers), 1)) as pool:
            for started in [pool.submit(_ensured, server) for server in self._servers]:
                started.result()

    def down(self) -> list[str]:
        """Stops our servers, stand-ins first; returns the names of those that ran."""
        return [server.status().name for server in reversed(self._servers) if server.stop()]

    def statuses(self) -> list[embedded.ServerStatus]:
        """How each server of ours is now."""
        return [server.status() for server in self._servers]

    def dsn(self, database: str) -> str:
        """The DSN of `ledger` or `dagster`; an external PostgreSQL keeps both in the one database of its DSN."""
        if self._postgres is not None:
            address = _ensured(self._postgres)
            return address.dsn(database)
        assert isinstance(self.plant.ledger.postgres, dict)
        return secret(self.plant.ledger.postgres["dsn_env"])

    def iotdb_address(self) -> embedded.IoTDBAddress:
        """The embedded IoTDB's login. Raises Stop where the store is an external one."""
        if self._iotdb is None:
            raise Stop("this plant's IoTDB is an external one; its login is in the plant file")
        return self._iotdb_up(self._iotdb)

    def url(self, settings: SourceSettings) -> str:
        """Where a source is, its url or address: of its stand-in where it has one."""
        stand_in = self._stand_ins.get(settings.name)
        return _ensured(stand_in) if stand_in else settings.place

    def located(self, settings: SourceSettings) -> SourceSettings:
        """The source with the urls of its stand-in PLCs, which are started for it."""
        found = []
        for each in settings.connection:
            stand_in = self._plcs.get((settings.name, each.name))
            found.append(each.model_copy(update={"url": _ensured(stand_in)}) if stand_in else each)
        return settings.model_copy(update={"connection": tuple(found)})

    def ledger(self) -> PostgresLedger:
        """The ledger, migrated."""
        ledger = PostgresLedger(self.dsn("ledger"))
        ledger.migrate()
        return ledger

    def store(self, vouch: Callable[[], None] = lambda: None) -> IoTDBStore:
        """The store, not prepared yet; `vouch` raises when it is not ours any more. Raises Stop where ours is gone."""
        nodes, user, password = self._iotdb_login()
        settings = self.plant.store
        staging: Path | None = Path(settings.staging) if settings.staging else None
        if self._iotdb is not None:
            staging = self._iotdb.staging_dir
        return IoTDBStore(
            nodes,
            user,
            password,
            self.plant.database,
            staging,
            allow_coarse_clock=settings.allow_coarse_clock,
            retention=self.plant.retention,
            disk=Disk(self._iotdb.data_dir) if self._iotdb is not None else None,
            vouch=vouch,
            revive=self._revived,
        )

    def _revived(self) -> list[str]:
        """Where our IoTDB listens, which died and was started again; [] where there is none, or somebody stopped it."""
        if self._iotdb is None or not self._iotdb.died():
            return []
        return self._iotdb_login()[0]

    def queries(self) -> Sessions:
        """Sessions with the store's database as it is, for reading: nothing is created, prepared or written."""
        return Sessions(*self._iotdb_login(), self.plant.database)

    def _iotdb_login(self) -> tuple[list[str], str, str]:
        """Nodes, user and password; the embedded server is started for it."""
        if self._iotdb is not None:
            address = self._iotdb_up(self._iotdb)
            return [f"{address.host}:{address.port}"], address.user, address.password
        settings = self.plant.store
        nodes = [settings.iotdb] if isinstance(settings.iotdb, str) else list(settings.iotdb)
        password = secret(settings.password_env) if settings.password_env else "root"
        return nodes, settings.username, password

    def _iotdb_up(self, server: embedded.EmbeddedIoTDB) -> embedded.IoTDBAddress:
        self._check_founded(server)
        return _ensured(server)

    def store_is_elsewhere(self) -> bool:
        """Whether an embedded IoTDB never was in this state folder: of a plant that has moved nothing yet, or of
        somebody who only looks at another's ledger."""
        return self._iotdb is not None and not self._iotdb.founded and not self._was_here()

    def _was_here(self) -> bool:
        return (self.plant.state_dir / "iotdb").exists() or self.plant.landing_dir.exists()

    def _check_founded(self, server: embedded.EmbeddedIoTDB) -> None:
        """An empty IoTDB is not made by itself over a ledger that says that it held something. Raises Stop."""
        ledger_is_there = self._postgres is None or self._postgres.founded
        if server.founded or self.may_found_store or not ledger_is_there:
            return
        ledger = self.ledger()
        try:
            if ledger.bound().was_open:
                gone = f"the data of this plant's IoTDB is gone: {server.data_dir} is not there. {GONE_CURE}"
                with suppress(Stop):  # a login that may only read the ledger
                    ledger.record_opening("refused", None, gone)
                raise StoreGone(gone)
        finally:
            ledger.close()

    def source(self, settings: SourceSettings, *, urgent: bool = False) -> Source:
        """A client of one source; a stand-in is started for it when it has one. All of its clients on this machine
        share one budget, in which the urgent ones go first."""
        shared = self._budget_file(settings)
        budget = Budget(settings.requests_per_s, settings.quiet_hours, shared=shared, urgent=urgent)
        self._budgets.setdefault(settings.name, []).append(budget)
        if settings.kind == "pi_web_api":
            return self._pi(settings, budget)
        if settings.kind == "wonderware":
            return WonderwareSource.from_settings(settings, self.url(settings), budget=budget)
        if settings.kind == "opcua":
            from resources.opcua.source import OpcUaSource  # noqa: PLC0415 - asyncua takes 0.3 s: only where it is used

            return OpcUaSource.from_settings(self.plant, settings, self.url(settings), budget)
        tags = load_tags(settings, self.plant.folder)
        clocks = [each.name for each in settings.connection if each.opc_ua]
        spool = SpoolReader(self.plant.spool_dir(settings.name))
        return SpoolSource(settings.name, tags, spool, settings.points, settings.exclude, clocks)

    def _pi(self, settings: SourceSettings, budget: Budget) -> PiWebApiSource:
        url = self.url(settings)
        trust = Trust.of(self.plant, settings, url)
        if settings.name not in self._logins:  # kept, as it may hold a token
            self._logins[settings.name] = login(settings.auth, trust)
        return PiWebApiSource.from_settings(
            settings, url, budget=budget, trust=trust, entrance=self._logins[settings.name]
        )

    def budget_used(self, settings: SourceSettings) -> float | None:
        """How much of its request budget a source was asked of late, 0 to 1; None where it was not asked yet."""
        return used_share(self._budget_file(settings), settings.requests_per_s)

    def asked(self, settings: SourceSettings) -> int:
        """How many requests this process has made to a source."""
        return sum(budget.asked for budget in self._budgets.get(settings.name, ()))

    def record_cost(self, settings: SourceSettings, requests: int, events: int) -> None:
        """Remembers what a run has cost the source."""
        costs.record(self._cost_file(settings), costs.Cost(requests, events))

    def requests_per_event(self, settings: SourceSettings) -> float | None:
        """Of the last runs; None before the first one."""
        return costs.requests_per_event(costs.costs(self._cost_file(settings)))

    def _cost_file(self, settings: SourceSettings) -> Path:
        return self.plant.state_dir / "budgets" / f"{settings.name}.runs"

    def _budget_file(self, settings: SourceSettings) -> Path:
        return self.plant.state_dir / "budgets" / settings.name


class _Server(Protocol[T_co]):
    """What all our child servers can do."""

    def ensure(self) -> T_co: ...
    def stop(self) -> bool: ...
    def status(self) -> embedded.ServerStatus: ...


def _ensured(server: _Server[T]) -> T:
    """The address of a server that runs. Raises Unreachable, NoRoom."""
    try:
        return server.ensure()
    except embedded.NoRoom as error:
        raise NoRoom(str(error)) from error
    except embedded.ServerNotReady as error:
        raise Unreachable(str(error)) from error
