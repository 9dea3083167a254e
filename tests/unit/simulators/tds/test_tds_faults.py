"""What goes wrong, on purpose and not, as the clients see it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from simulators.tds import Column, HangUp, Result, Server, SqlError, encode
from tests.unit.simulators.tds.stage import PASSWORD, USER, Stage, rowset

Connect = Callable[..., Any]
NUMBERS = (Column("n", "int"), Column("v", "float"))


def many(count: int) -> Any:
    values = pa.array(np.arange(count) / 3, mask=np.arange(count) % 11 == 0)
    return encode(NUMBERS, pa.table({"n": pa.array(np.arange(count, dtype=np.int32)), "v": values}))


@pytest.mark.parametrize(("user", "password"), [(USER, "wrong"), ("nobody", PASSWORD)])
def test_a_wrong_login_is_18456(connect: Connect, user: str, password: str) -> None:
    options = {"user": user, "password": password}
    if "odbc" in connect.__qualname__:
        options = {"UID": user, "PWD": "{" + password + "}"}
        wanted = f"Login failed for user '{user}'"
    else:
        wanted = "18456"  # of a second refusal in one process pymssql tells the number only
    with pytest.raises(Exception, match=wanted):
        connect(**options)
    assert connect().cursor() is not None


def test_pymssql_shows_the_number_of_a_refused_login(freetds: Connect) -> None:
    with pytest.raises(Exception, match="18456") as caught:
        freetds(password="wrong")
    assert caught.value.args[0][0] == 18456


def test_the_database_asked_for_arrives(connect: Connect, stage: Stage) -> None:
    connect().cursor().execute("SELECT 1")
    assert stage.databases == ["Runtime"]


def test_an_error_before_rows(connect: Connect, stage: Stage) -> None:
    def refuse(_: Mapping[str, object]) -> Iterable[Result]:
        raise SqlError(208, "Invalid object name 'Historie'.")

    stage.answers["SELECT x FROM Historie"] = refuse
    connection = connect()
    cursor = connection.cursor()
    with pytest.raises(Exception, match="Invalid object name 'Historie'") as caught:
        cursor.execute("SELECT x FROM Historie")
        cursor.fetchall()
    if "odbc" not in connect.__qualname__:
        assert caught.value.args[0] == 208
    cursor.execute("SELECT 1")
    assert cursor.fetchall()[0][0] == 1


def failing(error: Exception) -> Callable[[Mapping[str, object]], Iterable[Result]]:
    def blocks() -> Iterator[Any]:
        yield from many(100_000).blocks()
        raise error

    return lambda _: [Result(NUMBERS, blocks())]


def test_an_error_amid_rows_leaves_the_connection_usable(connect: Connect, stage: Stage) -> None:
    stage.answers["SELECT x"] = failing(SqlError(1205, "Transaction was deadlocked.", level=13))
    connection = connect()
    cursor = connection.cursor()
    with pytest.raises(Exception, match="Transaction was deadlocked"):
        cursor.execute("SELECT x")
        cursor.fetchall()
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    assert cursor.fetchall()[0][0] == 1


def test_an_error_amid_rows_with_parameters_and_arrow(odbc: Connect, stage: Stage) -> None:
    stage.answers["SELECT x WHERE @P1 = 1"] = failing(SqlError(1205, "Transaction was deadlocked.", level=13))
    connection = odbc()
    cursor = connection.cursor()
    with pytest.raises(Exception, match="Transaction was deadlocked"):
        cursor.execute("SELECT x WHERE ? = 1", (1,))
        cursor.arrow()
    cursor = connection.cursor()
    cursor.execute("SELECT ?", (1,))
    assert cursor.fetchall()[0][0] == 1


@pytest.mark.parametrize("error", [HangUp(), SqlError(21, "Fatal.", level=20), ZeroDivisionError("a mistake")])
def test_an_end_amid_rows_is_never_a_whole_result(connect: Connect, stage: Stage, error: Exception) -> None:
    stage.answers["SELECT x"] = failing(error)
    connection = connect()
    cursor = connection.cursor()
    with pytest.raises(Exception):  # noqa: B017 - the clients name it in many ways
        cursor.execute("SELECT x")
        cursor.fetchall()
    with pytest.raises(Exception):  # noqa: B017
        connection.cursor().execute("SELECT 1")
    assert connect().cursor() is not None


def test_a_hang_up_is_no_whole_arrow_table(odbc: Connect, stage: Stage) -> None:
    stage.answers["SELECT x"] = failing(HangUp())
    cursor = odbc().cursor()
    with pytest.raises(Exception):  # noqa: B017
        cursor.execute("SELECT x")
        cursor.arrow()


def slow(begun: threading.Event, over: threading.Event) -> Callable[[Mapping[str, object]], Iterable[Result]]:
    """Rows, then nothing more for as long as the client has patience."""

    def blocks() -> Iterator[Any]:
        try:
            yield from many(10).blocks()
            begun.set()
            for _ in range(3_000):
                over.wait(0.01)  # slowness of the database
                yield b""
        finally:
            over.set()

    return lambda _: [Result(NUMBERS, blocks())]


def test_a_query_timeout_cancels_and_the_connection_goes_on(odbc: Connect, stage: Stage) -> None:
    begun, over = threading.Event(), threading.Event()
    stage.answers["SELECT slow"] = slow(begun, over)
    connection = odbc()
    connection.timeout = 1
    cursor = connection.cursor()
    with pytest.raises(Exception, match=r"[Tt]imeout"):
        cursor.execute("SELECT slow")
        cursor.fetchall()
    assert over.wait(10), "the blocks are closed"
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    assert cursor.fetchall()[0][0] == 1


def test_pymssql_gives_up_after_its_timeout(freetds: Connect, stage: Stage) -> None:
    begun, over = threading.Event(), threading.Event()
    stage.answers["SELECT slow"] = slow(begun, over)
    cursor = freetds(timeout=1).cursor()
    with pytest.raises(Exception, match="20003"):
        cursor.execute("SELECT slow")
        cursor.fetchall()
    assert over.wait(10), "the blocks are closed"


def test_leaving_a_result_half_read_cancels_it(connect: Connect, stage: Stage) -> None:
    stage.answers["SELECT x"] = lambda _: [Result(NUMBERS, many(300_000).blocks())]
    connection = connect()
    cursor = connection.cursor()
    cursor.execute("SELECT x")
    assert cursor.fetchone()[0] == 0
    cursor.close()
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    assert [row[0] for row in cursor.fetchall()] == [1]


def test_connections_are_dropped_at_once(connect: Connect, server: Server, stage: Stage) -> None:
    connections = [connect(), connect()]
    for connection in connections:
        connection.cursor().execute("SELECT 1")
    server.drop_connections()
    for connection in connections:
        with pytest.raises(Exception):  # noqa: B017
            connection.cursor().execute("SELECT 2")
    assert ("SELECT 2", {}) not in stage.asked
    connect().cursor().execute("SELECT 3")
    assert stage.asked[-1] == ("SELECT 3", {})


def test_a_stopped_server_listens_no_more(stage: Stage) -> None:
    server = Server(stage)
    server.start()
    port = server.port
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_two_at_once_do_not_mix(connect: Connect, stage: Stage) -> None:
    meet = threading.Barrier(2, timeout=30)

    def answer(number: int) -> Callable[[Mapping[str, object]], Iterable[Result]]:
        def both(_: Mapping[str, object]) -> Iterable[Result]:
            meet.wait()  # both are under way
            yield rowset(*[number] * 50_000)

        return both

    stage.answers.update({"SELECT a": answer(1), "SELECT b": answer(2)})
    connections = [connect(), connect()]

    def ask(connection: Any, sql: str) -> set[int]:
        cursor = connection.cursor()
        cursor.execute(sql)
        rows = cursor.fetchall()
        assert len(rows) == 50_000
        return {row[0] for row in rows}

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(ask, connections, ["SELECT a", "SELECT b"])) == [{1}, {2}]


@pytest.mark.parametrize("size", [512, 4_096, 32_767])
def test_a_million_rows_arrive_exactly(odbc: Connect, stage: Stage, size: int) -> None:
    count = 1_000_000 if size == 4_096 else 50_000
    stage.answers["SELECT x"] = lambda _: [Result(NUMBERS, many(count).blocks())]
    cursor = odbc(PacketSize=size).cursor()
    cursor.execute("SELECT x")
    table = cursor.arrow()
    assert table.column("n").to_numpy().tolist() == list(range(count))
    wanted = pa.array(np.arange(count) / 3, mask=np.arange(count) % 11 == 0)
    assert table.column("v").combine_chunks().equals(wanted)


def test_a_million_rows_arrive_exactly_at_pymssql(freetds: Connect, stage: Stage) -> None:
    stage.answers["SELECT x"] = lambda _: [Result(NUMBERS, [many(1_000_000).data])]  # one block
    cursor = freetds().cursor()
    cursor.execute("SELECT x")
    rows = cursor.fetchall()
    assert len(rows) == 1_000_000
    assert rows[999_998] == (999_998, 999_998 / 3)
    assert rows[11] == (11, None)


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x00" * 64,
        b"\xff" * 4_096,
        b"\x12\x01\x00\x07\x00\x00\x00\x00",
        b"\x12\x01\x00\x0d\x00\x00\x01\x00\x00\x00\xff\x00\xff",
        b"\x10\x01\x00\x10\x00\x00\x01\x00\x08\x00\x00\x00\x04\x00\x00\x74",
        b"\x12\x01",
        b"",
    ],
    ids=["http", "zeros", "ones", "short length", "option outside", "short login", "half a header", "nothing"],
)
def test_garbage_ends_its_own_connection_only(connect: Connect, server: Server, garbage: bytes) -> None:
    connection = connect()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(garbage)
        raw.shutdown(socket.SHUT_WR)
        try:
            while raw.recv(4_096):
                pass
        except ConnectionResetError:
            pass  # bytes that nobody reads any more
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    assert cursor.fetchall()[0][0] == 1
