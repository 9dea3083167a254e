"""The plant file (TOML): sources, stores, windows. Read and checked once, with errors that name the key.

Secrets never stand in it: only the names of environment variables that hold them.
"""

from pipelines.plant.reading import load_plant, plant_of, secret
from pipelines.plant.sections import PARTITIONS_MAX, Email, Notify, Plant, Readers, Retention
from pipelines.plant.sources import PLACES, PLC4PY, Auth, Channel, Connection, Simulate, SourceSettings, Sweep, Sync
from pipelines.plant.spans import duration_ns, expiry_ns, quiet_span
from pipelines.plant.tag_map import KINDS, load_tags, write_tags

__all__ = [
    "KINDS",
    "PARTITIONS_MAX",
    "PLACES",
    "PLC4PY",
    "Auth",
    "Channel",
    "Connection",
    "Email",
    "Notify",
    "Plant",
    "Readers",
    "Retention",
    "Simulate",
    "SourceSettings",
    "Sweep",
    "Sync",
    "duration_ns",
    "expiry_ns",
    "load_plant",
    "load_tags",
    "plant_of",
    "quiet_span",
    "secret",
    "write_tags",
]
