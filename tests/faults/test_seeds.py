"""Some seeds of the scheduler on real servers; `make faults` plays more of them, with more kinds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.embedded import EmbeddedIoTDB, IoTDBAddress, PostgresAddress
from tests.faults import kinds
from tests.faults.ground import Servers
from tests.faults.scheduler import run
from tests.faults.warm import Mother

KINDS = ["edits", "swaps", "late_events", "removals", "ties", "texts", "source_errors", "kill", "pause"]


@pytest.fixture(scope="module")
def servers(
    state_dir: Path, iotdb_server: EmbeddedIoTDB, iotdb: IoTDBAddress, postgres: PostgresAddress
) -> Iterator[Servers]:
    mother = Mother()
    yield Servers(state_dir, iotdb_server, iotdb, postgres, mother)
    mother.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [9])
def test_a_seed_violates_nothing(servers: Servers, seed: int) -> None:
    said: list[str] = []
    found = run(servers, seed, KINDS, said.append)
    assert not found.violations, "\n".join(said)


def test_kinds_are_known() -> None:
    assert set(KINDS) <= set(kinds.names())
