"""Apache IoTDB as a store: the plain client, safe against the ways IoTDB loses data without an error."""

from resources.iotdb.store import IoTDBStore

__all__ = ["IoTDBStore"]
