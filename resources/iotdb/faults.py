"""What IoTDB's answers mean for the one who asked: its status codes → the error classes of `ports`.

Codes: apache/iotdb TSStatusCode.java. The class follows the code; the server's text is only shown.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.ports import FerryError, NoRoom, Retry, Stop

SUCCESS = 200
REDIRECTION_RECOMMEND = 400  # done, though another node would have been nearer
MULTIPLE_ERROR = 302
EXECUTE_STATEMENT_ERROR = 301  # anything; also what a tablet gets from a read-only system
FRAME_OVERSIZE = 308
READ_ONLY = 600
_DONE = frozenset({SUCCESS, REDIRECTION_RECOMMEND})

_NO_ROOM = frozenset({READ_ONLY, 611, 1700})  # SYSTEM_READ_ONLY, DISK_SPACE_INSUFFICIENT, SPACE_QUOTA_EXCEEDED
_TOO_MUCH = frozenset({FRAME_OVERSIZE, 709, 719, 720, 1707})  # frame, memory or time of one query is not enough
_STOP = {
    500: "the database is gone; run the command again to create it",
    507: "the table has other columns than ours",
    550: "the table is gone; run the command again to create it",
    607: "the time is older than the table's TTL; raise the TTL, or start the source later",
    614: "a column has another type than ours",
    615: "a column has another category than ours",
    616: "a column of ours is missing",
    800: "log-in failed; check the store's username and password_env",
    801: "log-in failed; check the store's username and password_env",
    803: "the user may not do this; grant it CREATE, SELECT, INSERT and DELETE on the database",
    804: "log-in failed; check the store's username and password_env",
    822: "the user is locked after failed log-ins; unlock it in IoTDB",
}
_LOGIN = frozenset({800, 801, 804, 822})
_NOT_ALLOWED = 803
_COMPLAINT_CHARS = 500  # a syntax error lists every word that could have stood there
_OUR_MISTAKE = frozenset({300, 303, 700, 701, 704})  # the server cannot read or do what we said


class Fault(Exception):
    """One answer of the server that is not success."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} (IoTDB code {code})")
        self.code = code


class TooMuch(Retry):
    """The server has not the memory or time for one query: ask for fewer points."""


class Fell(TooMuch):
    """The server went away over a question; it is there again, and is not asked the same again."""


def fault_of(code: int, message: str | None, parts: Sequence[tuple[int, str | None]] = ()) -> Fault | None:
    """The fault behind a status, or None for success; of many parts the first that a person must act on."""
    if code in _DONE:
        return None
    if code != MULTIPLE_ERROR or not parts:
        return Fault(code, message or "no text")
    faults = [Fault(part, text or "no text") for part, text in parts if part not in _DONE]
    if not faults:
        return None
    return min(faults, key=lambda fault: _severity(fault.code))


def error_of(fault: Fault, where: str, doing: str) -> FerryError:
    """The error to raise for a fault. `where` names host:port and database, `doing` what was tried."""
    text = f"{where}: {doing} failed: {fault}"
    if fault.code in _NO_ROOM:
        return NoRoom(f"{text}. IoTDB takes no writes: free disk space on its host, then SET SYSTEM TO RUNNING")
    if fault.code in _STOP:
        return Stop(f"{text}. What to do: {_STOP[fault.code]}")
    if fault.code in _TOO_MUCH:
        return TooMuch(f"{text}. Give IoTDB more memory (heap_mb) if this comes back")
    if fault.code in _OUR_MISTAKE:
        return Stop(f"{text}. This server does not understand the statement: compare its version with the manual")
    return Retry(f"{text}. It is tried again later", after_s=5.0)


def complaint_of(fault: Fault, where: str) -> FerryError:
    """The error to raise for a query that a person wrote: on one line, and theirs to mend."""
    text = f"{where}: {' '.join(str(fault).split())}"
    if len(text) > _COMPLAINT_CHARS:
        text = f"{text[:_COMPLAINT_CHARS]}… (IoTDB code {fault.code})"
    if fault.code in _TOO_MUCH:
        return NoRoom(
            f"{text}. The server has not the memory or the time for this query: ask for a shorter time or fewer points"
        )
    if fault.code == _NOT_ALLOWED:
        return Stop(f"{text}. What to do: grant this user SELECT on the database")
    if fault.code in _LOGIN:
        return Stop(f"{text}. What to do: {_STOP[fault.code]}")
    return Stop(text)


def _severity(code: int) -> int:
    ranks = (_NO_ROOM, frozenset(_STOP), _OUR_MISTAKE, _TOO_MUCH)
    return next((rank for rank, codes in enumerate(ranks) if code in codes), len(ranks))
