"""PLCs: connections through Apache PLC4X, the spool of what was read, and the spool as a Source."""

from resources.plc4x.resuming import last_cycles, last_told
from resources.plc4x.source import SpoolSource
from resources.plc4x.spool import SpoolReader, SpoolWriter, stored_to_ns, tell_stored

__all__ = ["SpoolReader", "SpoolSource", "SpoolWriter", "last_cycles", "last_told", "stored_to_ns", "tell_stored"]
