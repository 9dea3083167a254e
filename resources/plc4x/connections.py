"""The connections of a source, each by the library that reads its protocol."""

from __future__ import annotations

from pathlib import Path

from pipelines.plant import SourceSettings
from pipelines.ports import PlcConnection
from pipelines.timeline import SECOND_NS
from resources.plc4x.jvm import plc4j
from resources.plc4x.plc4j import Plc4jConnection


def connections(settings: SourceSettings, folder: Path) -> dict[str, PlcConnection]:
    """By name; nothing is connected yet. `folder` is the plant file's. Raises Stop, Unreachable."""
    java = plc4j([folder / jar for jar in settings.jars])
    return {each.name: Plc4jConnection(java, each.url, each.timeout / SECOND_NS) for each in settings.connection}
