"""IoTDB as a Store, by each of its two writers, against the real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.embedded import IoTDBAddress
from resources.iotdb import IoTDBStore
from tests.contract.store_contract import StoreContract


@pytest.fixture(scope="module", params=["load", "tablets"])
def store(request: pytest.FixtureRequest, iotdb: IoTDBAddress, iotdb_staging: Path) -> Iterator[IoTDBStore]:
    staging = iotdb_staging if request.param == "load" else None
    store = IoTDBStore([f"{iotdb.host}:{iotdb.port}"], iotdb.user, iotdb.password, f"contract_{request.param}", staging)
    store.prepare()
    assert store.writer_name == request.param
    yield store
    store.close()


class TestIoTDBStore(StoreContract):
    pass
