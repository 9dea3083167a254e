"""Logging in to the embedded IoTDB: whether the whole of it answers, and only to our password."""

from iotdb.Session import Session

from resources.embedded.addresses import IoTDBAddress

_FIRST_PASSWORD = "root"  # noqa: S105 what IoTDB gives its administrator until told otherwise
_REFUSED = "801"  # TSStatusCode.WRONG_LOGIN_PASSWORD
_CONNECT_TIMEOUT_MS = 10_000
_RUNNING = {"ConfigNode": "Running", "DataNode": "Running"}


class NotAnswering(Exception):
    """The server did not answer a question as a whole, running cluster does; the message says how."""


def log_in(address: IoTDBAddress) -> None:
    """Ask the server about its cluster, with our password; on a first start give it that password.

    Raises NotAnswering while it is still starting, and when it is being killed.
    """
    try:
        states = _states(address)
    except Exception as error:  # the client lets Thrift's, the system's and its own errors through
        raise NotAnswering(str(error)) from error
    if states != _RUNNING:
        raise NotAnswering(f"its nodes are {states or 'unknown'}")


def _states(address: IoTDBAddress) -> dict[str, str]:
    session = _session(address, address.password)
    try:
        session.open()
    except Exception as error:
        if _REFUSED not in str(error):
            raise
        _set_password(address)
        session.open()
    try:
        nodes = session.execute_query_statement("SHOW CLUSTER").todf()
    finally:
        session.close()
    return dict(zip(nodes["NodeType"], nodes["Status"], strict=True))


def _set_password(address: IoTDBAddress) -> None:
    # First start: the administrator still has the well-known password, and 2.0.1-beta listens on every interface.
    # (A session of the tree model, because 2.0.1-beta has no ALTER USER in the table model.)
    session = _session(address, _FIRST_PASSWORD)
    session.open()
    try:
        session.execute_non_query_statement(f"ALTER USER {address.user} SET PASSWORD '{address.password}'")
    finally:
        session.close()


def _session(address: IoTDBAddress, password: str) -> Session:
    return Session(
        address.host,
        address.port,
        address.user,
        password,
        zone_id="UTC",
        connection_timeout_in_ms=_CONNECT_TIMEOUT_MS,
    )
