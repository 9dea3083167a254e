"""Whether Dagster calls the samples of a followed source late, by its own evaluation."""

from __future__ import annotations

import asyncio
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions import freshness_evaluator
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.loader import LoadingContextForTest

from assets_defs.definitions import build_defs
from assets_defs.instance import render
from assets_defs.partitions import multi_key
from assets_defs.samples import samples_key
from pipelines.plant import load_plant
from pipelines.timeline import DAY_NS, Interval, parse
from resources.outside import Outside

PLANT = """
[plant]
name = "unit"
[[source]]
name = "live"
kind = "pi_web_api"
url = "http://127.0.0.1:9/piwebapi"
start = 2026-01-01T00:00:00Z
[[source]]
name = "history"
kind = "pi_web_api"
url = "http://127.0.0.1:9/piwebapi"
start = 2026-01-01T00:00:00Z
end = 2026-01-02T00:00:00Z
[ledger]
postgres = { dsn_env = "FERRY_TEST_DSN" }
"""
START = parse("2026-01-01")


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    file = tmp_path / "ferry.toml"
    file.write_text(PLANT, encoding="utf-8")
    return file


@pytest.mark.parametrize(("hours", "state"), [(None, "UNKNOWN"), (1, "PASS"), (3, "WARN"), (25, "WARN"), (27, "FAIL")])
def test_samples_that_nobody_told_of_for_long_are_late(
    plant: Path, hours: float | None, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_plant(plant).source[0]
    node = build_defs(plant).resolve_asset_graph().get(samples_key(settings))
    with dg.DagsterInstance.ephemeral() as instance:
        if hours is not None:
            partition = multi_key("g000", Interval(START, START + DAY_NS))
            instance.report_runless_asset_event(dg.AssetMaterialization(samples_key(settings), partition=partition))
            now_s = freshness_evaluator.get_current_timestamp() + hours * 3600
            monkeypatch.setattr(freshness_evaluator, "get_current_timestamp", lambda: now_s)
        evaluator = freshness_evaluator.TimeWindowFreshnessPolicyEvaluator()
        found = asyncio.run(evaluator.evaluate_freshness(LoadingContextForTest(instance), node))
    assert found == FreshnessState(state)


def test_history_with_an_end_is_never_late(plant: Path) -> None:
    assert build_defs(plant).resolve_asset_graph().get(dg.AssetKey(["history", "samples"])).freshness_policy is None


def test_the_daemon_looks_at_it(plant: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRY_TEST_DSN", "postgresql://127.0.0.1:9/none")
    loaded = load_plant(plant)
    rendered = (render(loaded, Outside(loaded)) / "dagster.yaml").read_text(encoding="utf-8")
    with dg.instance_for_test(overrides={"freshness": {"enabled": True}}) as instance:
        assert "FRESHNESS_DAEMON" in instance.get_required_daemon_types()
    assert '"freshness": {\n    "enabled": true\n  }' in rendered
