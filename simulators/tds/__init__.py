"""A server that speaks TDS 7.1 to 7.4 to SQL Server's own clients and knows nothing of what it serves.

Written from Microsoft's public protocol description [MS-TDS]; section numbers in the modules are its.
"""

from simulators.tds.columns import Column, datetime2
from simulators.tds.database import Database, HangUp, Result, SqlError
from simulators.tds.rows import EncodedRows, encode
from simulators.tds.server import Server, Tls

__all__ = ["Column", "Database", "EncodedRows", "HangUp", "Result", "Server", "SqlError", "Tls", "datetime2", "encode"]
