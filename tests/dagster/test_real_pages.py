"""A backfill from each page of the UI that has one moves what was chosen, by the ledger's and the disk's word."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence

import pytest

from pipelines.plant import load_plant
from tests.dagster.real_plant import KEYS, SAMPLES, RealPlant
from tests.dagster.webserver import Webserver

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(900)]
TWO_DAYS = [key for key in KEYS if "2026-01-03" not in key]
MARTS = [("pi1", name) for name in ("aggregates", "quality", "exports")]
Launch = Callable[[Webserver, Sequence[str]], str]


def paths(keys: Sequence[tuple[str, str]]) -> list[dict[str, list[str]]]:
    return [{"path": list(key)} for key in keys]


def job_page(webserver: Webserver, keys: Sequence[str]) -> str:
    return webserver.job_backfill("backfill_pi1", keys)


def asset_page(webserver: Webserver, keys: Sequence[str]) -> str:
    return webserver.backfill(SAMPLES, keys)


def lineage_page(webserver: Webserver, keys: Sequence[str]) -> str:
    return webserver.launch({"assetSelection": paths([SAMPLES, *MARTS]), "partitionNames": list(keys)})


def lineage_page_by_assets(webserver: Webserver, keys: Sequence[str]) -> str:
    ranges = [{"start": f"g00{group}|2026-01-01", "end": f"g00{group}|2026-01-02"} for group in (0, 1)]
    assert set(keys) == set(TWO_DAYS)
    return webserver.launch(
        {
            "partitionsByAssets": [
                {"assetKey": path, "partitions": {"ranges": ranges}} for path in paths([SAMPLES, *MARTS])
            ]
        }
    )


@pytest.mark.parametrize(
    ("launch", "keys"),
    [
        (job_page, TWO_DAYS),
        (job_page, ["g001|2026-01-02"]),
        (asset_page, TWO_DAYS),
        (lineage_page, TWO_DAYS),
        (lineage_page_by_assets, TWO_DAYS),
    ],
)
def test_samples_of_what_was_chosen_are_moved(
    real_plant: RealPlant, webserver: Webserver, launch: Launch, keys: list[str]
) -> None:
    forget(real_plant, webserver)
    before = told(webserver, SAMPLES)
    backfill = launch(webserver, keys)
    assert webserver.wait_for_backfill(backfill) == "COMPLETED_SUCCESS"
    assert real_plant.covered() == set(keys)
    assert {key: count - before.get(key, 0) for key, count in told(webserver, SAMPLES).items()} | {
        key: 0 for key in KEYS if key not in keys
    } == {key: int(key in keys) for key in KEYS}, "one event for each partition that was chosen"
    if "lineage" in launch.__name__:
        assert real_plant.marts() == set(keys)


def test_marts_of_what_was_chosen_are_made(real_plant: RealPlant, webserver: Webserver) -> None:
    keys = TWO_DAYS
    assert webserver.wait_for_backfill(webserver.backfill(SAMPLES, KEYS)) == "COMPLETED_SUCCESS"
    forget(real_plant, webserver, "marts")
    before = told(webserver, MARTS[0])
    backfill = webserver.job_backfill("marts_pi1", keys)
    assert webserver.wait_for_backfill(backfill) == "COMPLETED_SUCCESS"
    assert real_plant.marts() == set(keys)
    after = told(webserver, MARTS[0])
    assert {key: after[key] - before.get(key, 0) for key in keys} == dict.fromkeys(keys, 1)


def forget(plant: RealPlant, webserver: Webserver, what: str = "all") -> None:
    """Nothing is proved any more, and no mart is on disk."""
    if what == "all":
        plant.withdraw()
        assert plant.covered() == set()
    shutil.rmtree(load_plant(plant.file).state_dir / "marts", ignore_errors=True)


def told(webserver: Webserver, key: Sequence[str]) -> dict[str, int]:
    """How many materializations Dagster holds of each partition."""
    found: dict[str, int] = {}
    for each in webserver.asset(key)["assetMaterializations"]:
        found[each["partition"]] = found.get(each["partition"], 0) + 1
    return found
