"""Real servers as child processes: PostgreSQL for the ledger, Apache IoTDB for the store; no administrator needed.

For Linux and macOS: sessions of processes, their signals and file locks are POSIX's.
"""

from resources.embedded.addresses import IoTDBAddress, PostgresAddress, ServerStatus
from resources.embedded.errors import NoRoom, ServerNotReady
from resources.embedded.iotdb import EmbeddedIoTDB
from resources.embedded.jars import Progress
from resources.embedded.postgres import EmbeddedPostgres

__all__ = [
    "EmbeddedIoTDB",
    "EmbeddedPostgres",
    "IoTDBAddress",
    "NoRoom",
    "PostgresAddress",
    "Progress",
    "ServerNotReady",
    "ServerStatus",
]
