"""A server unlike ours: a clock of milliseconds, a WAL that forgets (the default, trap 7); killed; read-only."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping

import pyarrow as pa
import pytest
from iotdb.Session import Session as TreeSession

from pipelines import samples
from pipelines.ports import NoRoom, Retry, Stop, Unreachable
from resources.embedded import EmbeddedIoTDB, iotdb_settings
from resources.iotdb import IoTDBStore
from resources.iotdb.layout import SAMPLES
from resources.iotdb.rows import rows_of
from resources.iotdb.tablets import TabletWriter
from tests.contract.source_contract import same
from tests.contract.store_contract import ALWAYS, START, dense, held, number, same_tally, source_name, table

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MILLISECOND = 1_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedIoTDB]:
    ours = iotdb_settings.properties

    def theirs(host: str, ports: Mapping[str, int]) -> str:
        text = ours(host, ports).replace("wal_mode=SYNC", "wal_mode=ASYNC")
        return text.replace("timestamp_precision=ns", "timestamp_precision=ms")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(iotdb_settings, "properties", theirs)
        server = EmbeddedIoTDB(tmp_path_factory.mktemp("own"))
        server.ensure()
        yield server
        server.stop()


def connect(server: EmbeddedIoTDB, writer: str, coarse: bool = True) -> IoTDBStore:
    address = server.ensure()
    staging = server.staging_dir if writer == "load" else None
    node = f"{address.host}:{address.port}"
    store = IoTDBStore([node], address.user, address.password, f"own_{writer}", staging, allow_coarse_clock=coarse)
    store.prepare()
    assert store.writer_name == writer
    return store


def kill_data_node(server: EmbeddedIoTDB) -> None:
    os.kill(server.status().pids[1], signal.SIGKILL)


def patiently(action, seconds: float = 120.0):  # type: ignore[no-untyped-def]
    """Repeats what is refused for now, as the next run of a slice would."""
    end_s = time.monotonic() + seconds
    while True:
        try:
            return action()
        except Retry:
            if time.monotonic() > end_s:
                raise
            time.sleep(1.0)


def test_a_coarse_clock_must_be_allowed(server: EmbeddedIoTDB) -> None:
    with pytest.raises(Stop, match=r"timestamp_precision is ms.*allow_coarse_clock"):
        connect(server, "tablets", coarse=False)


@pytest.mark.parametrize("writer", ["load", "tablets"])
def test_a_coarse_clock_keeps_every_event(server: EmbeddedIoTDB, writer: str) -> None:
    store, source = connect(server, writer), source_name()
    assert store.clock_ns == MILLISECOND
    fine = table([number("A", START + i * 100_000, float(i)) for i in range(35)])  # ten to a millisecond
    events, rounded = samples.coarsen(fine, store.clock_ns)
    assert rounded > 30
    store.write(source, events)
    same(held(store, source, ["A"]), events)
    same_tally(store.tally(source, ["A"], ALWAYS), events)
    store.delete(source, events.slice(3, 9))
    rest = samples.ordered(pa.concat_tables([events.slice(0, 3), events.slice(12)]))
    same(held(store, source, ["A"]), rest)
    with pytest.raises(ValueError, match="coarsen"):
        store.write(source, fine)
    store.close()


def test_trap_7_is_there(server: EmbeddedIoTDB) -> None:
    store, source = connect(server, "tablets"), source_name()
    events, _ = samples.coarsen(dense(["A"], 500, state_share=0.0), store.clock_ns)
    for home, rows in rows_of(source, events, store.clock_ns):
        assert home is SAMPLES
        TabletWriter(store._sessions).write(home, rows)  # acknowledged, and not FLUSHed
    assert len(held(store, source, ["A"])) == 500
    kill_data_node(server)
    again = connect(server, "tablets")
    assert len(held(again, source, ["A"])) < 500


@pytest.mark.parametrize("writer", ["load", "tablets"])
def test_trap_7_what_was_written_survives_a_kill(server: EmbeddedIoTDB, writer: str) -> None:
    store, source = connect(server, writer), source_name()
    points = [f"P{i}" for i in range(50)]
    events, _ = samples.coarsen(dense(points, 200), store.clock_ns)
    store.write(source, events)
    kill_data_node(server)
    with pytest.raises(Unreachable):
        store.write(source, events)
    again = connect(server, writer)
    same(held(again, source, points), events)
    # and what was deleted stays deleted
    again.delete(source, events.slice(100, 1_000))
    kill_data_node(server)
    server.ensure()
    rest = samples.ordered(pa.concat_tables([events.slice(0, 100), events.slice(1_100)]))
    patiently(lambda: same(held(again, source, points), rest))  # the sessions of before the kill find back
    again.close()


@pytest.mark.parametrize("writer", ["load", "tablets"])
def test_a_read_only_system_is_no_room(server: EmbeddedIoTDB, writer: str) -> None:
    store, source, address = connect(server, writer), source_name(), server.ensure()
    admin = TreeSession(address.host, address.port, address.user, address.password, zone_id="UTC")
    admin.open()
    try:
        admin.execute_non_query_statement("SET SYSTEM TO READONLY")
        with pytest.raises(NoRoom, match="takes no writes"):
            store.write(source, table([number("A", START, 1.0)]))
        node = f"{address.host}:{address.port}"
        with pytest.raises(NoRoom):
            IoTDBStore([node], address.user, address.password, f"own_{writer}", None, True).prepare()
        assert not len(held(store, source, ["A"]))
    finally:
        admin.execute_non_query_statement("SET SYSTEM TO RUNNING")
        admin.close()
    patiently(lambda: store.write(source, table([number("A", START, 1.0)])))
    store.close()
