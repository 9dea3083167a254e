"""Dagster's webserver seen through its GraphQL, as the UI sees it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx

_BACKFILL = """
mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }
"""
_BACKFILL_STATUS = """
query ($id: String!) { partitionBackfillOrError(backfillId: $id) {
  __typename ... on PartitionBackfill { status } } }
"""
_ASSET = """
query ($key: AssetKeyInput!, $partitions: [String!]) { assetNodeOrError(assetKey: $key) {
  __typename ... on AssetNode {
    partitionStats { numMaterialized numFailed numPartitions numMaterializing }
    assetMaterializations(partitions: $partitions, limit: 1000) {
      partition runId metadataEntries { label __typename ... on IntMetadataEntry { intValue }
        ... on MarkdownMetadataEntry { mdStr } ... on PathMetadataEntry { path } } }
    assetObservations(partitions: $partitions, limit: 1000) { partition runId description } } } }
"""
_RUNS = """
query ($filter: RunsFilter) { runsOrError(filter: $filter, limit: 100) {
  __typename ... on Runs { results { runId status jobName tags { key value } parentRunId } } } }
"""
_FAILURES = """
query ($id: ID!) { runOrError(runId: $id) { __typename ... on Run { eventConnection(limit: 1000) { events {
  __typename ... on ExecutionStepFailureEvent { error { message } failureMetadata { metadataEntries { label } } }
  ... on RunFailureEvent { message error { message } } ... on MessageEvent { message } } } } } }
"""
_TERMINATE = """
mutation ($id: String!) { terminateRun(runId: $id) { __typename } }
"""
_SENSOR = """
query ($sensor: SensorSelector!) { sensorOrError(sensorSelector: $sensor) { __typename ... on Sensor {
  sensorState { status ticks(limit: 5) { status skipReason error { message } } } } } }
"""
_START_SCHEDULE = """
mutation ($schedule: ScheduleSelector!) { startSchedule(scheduleSelector: $schedule) {
  __typename ... on ScheduleStateResult { scheduleState { id status } } } }
"""
_STOP_SCHEDULE = """
mutation ($id: String!) { stopRunningSchedule(id: $id) {
  __typename ... on ScheduleStateResult { scheduleState { id status } } } }
"""
_LOCATIONS = """
{ workspaceOrError { __typename ... on Workspace { locationEntries { name loadStatus
  locationOrLoadError { __typename ... on PythonError { message } } } } } }
"""


class Webserver:
    """A client of one webserver."""

    def __init__(self, url: str, plant: str) -> None:
        self.url = url
        self._repository = {"repositoryName": "__repository__", "repositoryLocationName": plant}
        self._client = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def close(self) -> None:
        self._client.close()

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = self._client.post("/graphql", json={"query": query, "variables": variables})
        answer.raise_for_status()
        body = answer.json()
        assert "errors" not in body, body["errors"]
        return body["data"]

    def locations(self) -> list[dict[str, Any]]:
        return self.ask(_LOCATIONS)["workspaceOrError"]["locationEntries"]

    def is_up(self) -> bool:
        try:
            return all(each["loadStatus"] == "LOADED" for each in self.locations())
        except httpx.HTTPError:
            return False

    def backfill(self, key: Sequence[str], partitions: Sequence[str], **more: Any) -> str:
        """As an asset's page launches it; with `assetSelection` of several as the lineage page does."""
        return self.launch({"assetSelection": [{"path": list(key)}], "partitionNames": list(partitions), **more})

    def job_backfill(self, job: str, partitions: Sequence[str]) -> str:
        """As a job's page launches it."""
        selector = {"partitionSetName": f"{job}_partition_set", "repositorySelector": self._repository}
        return self.launch({"selector": selector, "partitionNames": list(partitions), "fromFailure": False})

    def launch(self, params: dict[str, Any]) -> str:
        """Launches a backfill; its id."""
        answer = self.ask(_BACKFILL, params=params)["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        return answer["backfillId"]

    def backfill_status(self, backfill_id: str) -> str:
        return self.ask(_BACKFILL_STATUS, id=backfill_id)["partitionBackfillOrError"]["status"]

    def wait_for_backfill(self, backfill_id: str, seconds: float = 420) -> str:
        ended = {"COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED"}
        return wait_for(lambda: self.backfill_status(backfill_id), lambda status: status in ended, seconds)

    def asset(self, key: Sequence[str], partitions: Sequence[str] | None = None) -> dict[str, Any]:
        return self.ask(_ASSET, key={"path": list(key)}, partitions=partitions)["assetNodeOrError"]

    def runs(self, **tags: str) -> list[dict[str, Any]]:
        wanted = {"tags": [{"key": key.replace("__", "/"), "value": value} for key, value in tags.items()]}
        return self.ask(_RUNS, filter=wanted)["runsOrError"]["results"]

    def events(self, run_id: str) -> list[dict[str, Any]]:
        return self.ask(_FAILURES, id=run_id)["runOrError"]["eventConnection"]["events"]

    def sensor(self, name: str) -> dict[str, Any]:
        return self.ask(_SENSOR, sensor={**self._repository, "sensorName": name})["sensorOrError"]["sensorState"]

    def start_schedule(self, name: str) -> str:
        """Its id."""
        started = self.ask(_START_SCHEDULE, schedule={**self._repository, "scheduleName": name})["startSchedule"]
        assert started["scheduleState"]["status"] == "RUNNING", started
        return started["scheduleState"]["id"]

    def stop_schedule(self, schedule_id: str) -> None:
        stopped = self.ask(_STOP_SCHEDULE, id=schedule_id)["stopRunningSchedule"]
        assert stopped["scheduleState"]["status"] == "STOPPED", stopped

    def terminate(self, run_id: str) -> str:
        return self.ask(_TERMINATE, id=run_id)["terminateRun"]["__typename"]


def wait_for(look: Callable[[], Any], good: Callable[[Any], bool], seconds: float = 120) -> Any:
    """Looks until it is good. Fails with what it saw last."""
    end = time.monotonic() + seconds
    while True:
        seen = look()
        if good(seen):
            return seen
        assert time.monotonic() < end, f"still {seen!r} after {seconds} s"
        time.sleep(1)
