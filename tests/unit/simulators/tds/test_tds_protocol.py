"""What no client of the other tests says, byte by byte."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from simulators.tds import Column, Result, Server, SqlError, Tls, datetime2, encode
from tests.unit.simulators.tds import raw_client as raw
from tests.unit.simulators.tds.raw_client import RawClient, Token
from tests.unit.simulators.tds.stage import Stage, rowset

MORE, ERROR, COUNT, ATTENTION = 1, 2, 16, 32
ONE = [Token("columns"), Token("row", 1)]


@pytest.fixture
def client(server: Server) -> Iterator[RawClient]:
    client = RawClient(server.port)
    assert client.log_in()[-1] == Token("done", 0, 0)
    yield client
    client.socket.close()


def test_prelogin_is_answered(server: Server) -> None:
    client = RawClient(server.port)
    # VERSION, ENCRYPTION = on, INSTOPT = "other", MARS = on
    client.send(
        raw.PRELOGIN,
        bytes.fromhex("00001500060100 1b0001 02001c0006 0400220001 ff".replace(" ", ""))
        + bytes(6)
        + b"\x01other\x00\x01",
    )
    answer = client.receive()
    options = {}
    place = 0
    while answer[place] != 0xFF:
        token, start, length = struct.unpack_from(">BHH", answer, place)
        options[token] = answer[start : start + length]
        place += 5
    assert options == {0: b"\x10\x00\x03\xe8\x00\x00", 1: b"\x02", 2: b"\x01", 3: b"", 4: b"\x00"}
    client.socket.close()


def test_login_is_told_what_it_gets(server: Server, stage: Stage) -> None:
    client = RawClient(server.port)
    features = b"\x01\x00\x00\x00\x00" + b"\x0a\x01\x00\x00\x00\x01" + b"\xff"
    tokens = client.log_in(features=features)
    assert [token.value for token in tokens if token.name == "loginack"] == [b"\x74\x00\x00\x04"]
    assert [token.value[0] for token in tokens if token.name == "change"] == [1, 2, 7, 4]
    assert [token.value for token in tokens if token.name == "info"] == [5701, 5703]
    assert [token.value for token in tokens if token.name == "features"] == [[(0x0A, b"\x01")]]
    assert stage.databases == ["Дом"]
    client.socket.close()


def test_the_login_of_windows_is_refused(server: Server, stage: Stage) -> None:
    client = RawClient(server.port)
    tokens = client.log_in(features=b"\x02\x01\x00\x00\x00\x00\xff")
    assert [token.value for token in tokens if token.name == "error"] == [18_452]
    with pytest.raises(EOFError):
        client.receive()
    assert stage.databases == []


def test_a_version_older_than_71_is_refused(server: Server) -> None:
    client = RawClient(server.port)
    client.send(raw.LOGIN, struct.pack("<II", 94, 0x70000000) + bytes(86))
    assert client.receive()[0] == 0xAA
    with pytest.raises(EOFError):
        client.receive()


def test_attention_amid_an_answer_is_acknowledged(client: RawClient, stage: Stage) -> None:
    under_way, over = threading.Event(), threading.Event()

    def blocks() -> Iterator[Any]:
        try:
            while not over.wait(0.01):
                under_way.set()
                yield b"\xd1\x00" * 10
        finally:
            over.set()

    stage.answers["SELECT slow"] = lambda _: [Result((Column("n", "int"),), blocks())]
    client.send(raw.BATCH, raw.HEADERS + "SELECT slow".encode("utf-16-le"))
    assert under_way.wait(20)
    client.send(raw.ATTENTION, b"")
    assert client.receive()[-13:] == struct.pack("<BHHQ", 0xFD, ATTENTION, 0, 0)
    assert over.wait(20), "the blocks are closed"
    assert client.batch("SELECT 1") == [*ONE, Token("done", 1, COUNT)]


def test_attention_after_an_answer_is_acknowledged(client: RawClient) -> None:
    client.send(raw.ATTENTION, b"")
    assert raw.tokens_of(client.receive()) == [Token("done", 0, ATTENTION)]


def test_attention_amid_a_request_takes_it_back(client: RawClient, stage: Stage) -> None:
    client.send(raw.BATCH, raw.HEADERS + "SELECT ".encode("utf-16-le"), status=0)
    client.send(raw.ATTENTION, b"")
    assert raw.tokens_of(client.receive()) == [Token("done", 0, ATTENTION)]
    client.send(raw.BATCH, raw.HEADERS + "SELECT 2".encode("utf-16-le"), status=raw.END | raw.IGNORE)
    assert client.batch("SELECT 1")[-1] == Token("done", 1, COUNT)
    assert [sql for sql, _ in stage.asked] == ["SELECT 1"]


def test_a_request_within_an_answer_ends_the_connection(client: RawClient, stage: Stage) -> None:
    closed = threading.Event()

    def blocks() -> Iterator[bytes]:
        try:
            for _ in range(2_000):
                closed.wait(0.01)
                yield b""
        finally:
            closed.set()

    stage.answers["SELECT slow"] = lambda _: [Result((Column("n", "int"),), blocks())]
    client.send(raw.BATCH, raw.HEADERS + "SELECT slow".encode("utf-16-le"))
    client.send(raw.BATCH, raw.HEADERS + "SELECT 1".encode("utf-16-le"))
    with pytest.raises((EOFError, ConnectionResetError)):
        client.receive()
    assert closed.wait(20)


def test_a_reset_forgets_the_session(client: RawClient) -> None:
    assert client.batch("BEGIN TRAN")[0] == Token("change", (8, b"\x08" + struct.pack("<Q", 1) + b"\x00"))
    handle = client.call(raw.procedure(11, raw.number(None), raw.text(""), raw.text("SELECT 1")))[1].value
    tokens = client.batch("SELECT 1", status=raw.END | raw.RESET)
    assert tokens == [Token("change", (18, b"\x00\x00")), *ONE, Token("done", 1, COUNT)]
    assert client.batch("COMMIT")[0] == Token("error", 3902)
    assert client.call(raw.procedure(12, raw.number(handle)))[0] == Token("error", 8179)


def test_a_reset_may_keep_the_transaction(client: RawClient) -> None:
    client.batch("BEGIN TRAN")
    client.batch("SELECT 1", status=raw.END | 0x10)
    assert client.batch("COMMIT")[0].value[0] == 9


def test_transactions_of_a_batch(client: RawClient) -> None:
    begun = struct.pack("<Q", 1)
    tokens = client.batch("BEGIN TRAN a; BEGIN TRAN b; COMMIT; SELECT 1")
    assert tokens == [
        Token("change", (8, b"\x08" + begun + b"\x00")),
        *[Token("done", 0, MORE)] * 3,
        *ONE,
        Token("done", 1, COUNT),
    ]
    assert client.batch("IF @@TRANCOUNT > 0 ROLLBACK TRAN") == [
        Token("change", (10, b"\x00\x08" + begun)),
        Token("done", 0, 0),
    ]
    assert client.batch("IF @@TRANCOUNT > 0 ROLLBACK TRAN") == [Token("done", 0, 0)]
    assert client.batch("ROLLBACK") == [Token("error", 3903), Token("done", 0, ERROR)]


def test_transactions_of_the_manager(client: RawClient) -> None:
    first, second = struct.pack("<Q", 1), struct.pack("<Q", 2)
    assert client.transact(5, b"\x00\x00") == [
        Token("change", (8, b"\x08" + first + b"\x00")),
        Token("done", 0, 0),
    ]
    assert client.transact(7, b"\x00\x01\x00\x00") == [
        Token("change", (9, b"\x00\x08" + first)),
        Token("change", (8, b"\x08" + second + b"\x00")),
        Token("done", 0, 0),
    ]
    assert client.transact(8, b"\x00\x00")[0] == Token("change", (10, b"\x00\x08" + second))
    assert client.transact(7, b"\x00\x00")[0] == Token("error", 3902)
    assert client.transact(0, b"")[0] == Token("error", 8509)


def test_implicit_transactions_begin_with_a_query(client: RawClient) -> None:
    client.batch("SET IMPLICIT_TRANSACTIONS ON")
    assert [token.value[0] for token in client.batch("SELECT 1") if token.name == "change"] == [8]
    assert [token for token in client.batch("SELECT 1") if token.name == "change"] == []
    assert client.transact(7, b"\x00\x00")[0].value[0] == 9


def test_use_changes_the_database(client: RawClient) -> None:
    tokens = client.batch("USE [Runtime]")
    assert [token.name for token in tokens] == ["change", "info", "done"]
    assert tokens[0].value == (1, b"\x07" + "Runtime".encode("utf-16-le") + b"\x03" + "Дом".encode("utf-16-le"))


def test_counts_are_left_out_on_request_and_rows_too(client: RawClient) -> None:
    assert client.batch("SET NOCOUNT ON SELECT 1") == [Token("done", 0, MORE), *ONE, Token("done", 0, 0)]
    client.batch("SET NOCOUNT OFF")
    assert client.batch("SET FMTONLY ON; SELECT 1") == [
        Token("done", 0, MORE),
        Token("columns"),
        Token("done", 0, COUNT),
    ]


def test_prepared_statements(client: RawClient, stage: Stage) -> None:
    declared = raw.text("@name nvarchar(10), @price decimal(18,2)")
    tokens = client.call(
        raw.procedure(13, raw.number(None), declared, raw.text("SELECT 1"), raw.text("x"), raw.number(5))
    )
    done = Token("doneinproc", 1, COUNT | MORE)
    assert tokens == [*ONE, done, Token("status", 0), Token("value", 1), Token("doneproc", 0, 0)]
    again = client.call(raw.procedure(12, raw.number(1), raw.number(6, "@price"), raw.text("y", "@name")))
    assert again == [*ONE, done, Token("status", 0), Token("doneproc", 0, 0)]
    assert stage.asked == [
        ("SELECT 1", {"@name": "x", "@price": 5}),
        ("SELECT 1", {"@name": "y", "@price": 6}),
    ]
    assert client.call(raw.procedure(15, raw.number(1))) == [Token("status", 0), Token("doneproc", 0, 0)]
    assert client.call(raw.procedure(12, raw.number(1))) == [
        Token("error", 8179),
        Token("doneinproc", 0, ERROR | MORE),
        Token("status", 8179),
        Token("doneproc", 0, ERROR),
    ]


def test_several_calls_in_one_request_and_unknown_ones(client: RawClient) -> None:
    tokens = client.call(
        raw.named_procedure("sys.sp_executesql", raw.text("SELECT 1")),
        raw.named_procedure("sp_describe_first_result_set", raw.text("SELECT 1")),
        raw.procedure(2, raw.number(1)),
        raw.procedure(10, raw.text("SET NOCOUNT OFF")),
    )
    assert [token.value for token in tokens if token.name == "error"] == [2812, 2812]
    assert [token.status for token in tokens if token.name == "doneproc"] == [MORE, ERROR | MORE, ERROR | MORE, 0]
    assert tokens[:2] == ONE
    assert client.batch("SELECT 1")[-1] == Token("done", 1, COUNT)


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        (b"\x1f", b"", None),
        (b"\x30", b"\xff", 255),
        (b"\x32", b"\x01", True),
        (b"\x34", b"\xfe\xff", -2),
        (b"\x38", b"\xfd\xff\xff\xff", -3),
        (b"\x7f", struct.pack("<q", -(2**63)), -(2**63)),
        (b"\x3b", struct.pack("<f", 1.5), 1.5),
        (b"\x3e", struct.pack("<d", 1e300), 1e300),
        (b"\x26\x08", b"\x01\x07", 7),
        (b"\x6d\x08", b"\x04" + struct.pack("<f", 0.5), 0.5),
        (b"\x68\x01", b"\x00", None),
        (b"\x6e\x08", b"\x08" + struct.pack("<iI", -1, 2**32 - 12_345), Decimal("-1.2345")),
        (b"\x6e\x08", b"\x04" + struct.pack("<i", 10_000), Decimal("1.0000")),
        (b"\x6c\x11\x26\x02", b"\x05\x01" + struct.pack("<I", 12_345), Decimal("123.45")),
        (b"\x6a\x11\x26\x00", b"\x00", None),
        (b"\x6f\x08", b"\x08" + struct.pack("<iI", 0, 300 * 3600 + 1), np.datetime64("1900-01-01T01:00:00.003", "ns")),
        (b"\x6f\x08", b"\x04" + struct.pack("<HH", 1, 61), np.datetime64("1900-01-02T01:01", "ns")),
        (b"\x28", b"\x03" + (719_163).to_bytes(3, "little"), np.datetime64("1970-01-02", "ns")),
        (b"\x29\x02", b"\x03" + (150).to_bytes(3, "little"), np.datetime64("1970-01-01T00:00:01.5", "ns")),
        (
            b"\x2a\x07",
            b"\x08" + (1).to_bytes(5, "little") + (719_162).to_bytes(3, "little"),
            np.datetime64(100, "ns"),
        ),
        (
            b"\x2b\x00",
            b"\x08" + (5).to_bytes(3, "little") + (719_162).to_bytes(3, "little") + struct.pack("<h", 120),
            np.datetime64(5_000_000_000, "ns"),
        ),
        (b"\x2a\x07", b"\x00", None),
        (b"\xa7\x40\x1f" + bytes(5), b"\x03\x00\xe9a\x80", "éa€"),
        (b"\xa7\x40\x1f" + struct.pack("<IB", 0x0400_0409, 0), b"\x02\x00\xc3\xa9", "é"),
        (b"\xef\x40\x1f" + bytes(5), b"\x02\x00\x4f\x04", "я"),
        (b"\xe7\xff\xff" + bytes(5), struct.pack("<QI4sI2sI", 6, 4, b"a\x00b\x00", 2, b"c\x00", 0), "abc"),
        (b"\xe7\xff\xff" + bytes(5), b"\xff" * 8, None),
        (b"\xe7\x40\x1f" + bytes(5), b"\xff\xff", None),
        (b"\xad\x04\x00", b"\x02\x00\x00\xff", b"\x00\xff"),
        (b"\xa5\xff\xff", struct.pack("<QI3sI", 2**64 - 2, 3, b"abc", 0), b"abc"),
        (b"\x63" + bytes(9), struct.pack("<I", 2) + b"z\x00", "z"),
        (b"\x22" + bytes(4), struct.pack("<I", 1) + b"z", b"z"),
        (b"\x24\x10", b"\x10" + bytes(range(16)), "03020100-0504-0706-0809-0A0B0C0D0E0F"),
    ],
    ids=lambda value: value.hex()[:12] if isinstance(value, bytes) else "",
)
def test_a_type_of_parameters(client: RawClient, stage: Stage, kind: bytes, value: bytes, wanted: Any) -> None:
    given = (
        raw.text("SELECT @v"),
        raw.text("@v sql_variant, @w int"),
        raw.of_type(kind, value, "@v"),
        raw.number(8, "@w"),
    )
    assert client.call(raw.procedure(10, *given))[-1] == Token("doneproc", 0, 0)
    ((_, parameters),) = stage.asked
    assert parameters == {"@v": wanted, "@w": 8}
    assert type(parameters["@v"]) is type(wanted)


@pytest.mark.parametrize(
    ("kind", "value", "number"),
    [
        (b"\x62\x00\x00\x00\x00", b"", 8009),  # sql_variant
        (b"\x2a\x07", b"\x08" + bytes(5) + (3_652_058).to_bytes(3, "little"), 8115),  # the year 9999
    ],
)
def test_a_parameter_that_cannot_be_read_is_an_error(client: RawClient, kind: bytes, value: bytes, number: int) -> None:
    tokens = client.call(raw.procedure(10, raw.text("SELECT @v"), raw.text("@v x"), raw.of_type(kind, value, "@v")))
    assert tokens == [Token("error", number), Token("done", 0, ERROR)]
    assert client.batch("SELECT 1")[-1] == Token("done", 1, COUNT)


def test_a_request_cut_short_ends_the_connection(client: RawClient, server: Server) -> None:
    client.send(raw.RPC, raw.HEADERS + b"\xff\xff\x0a\x00\x00\x00\x00\x00\xe7\x40")
    with pytest.raises((EOFError, ConnectionResetError)):
        client.receive()
    other = RawClient(server.port)
    assert other.log_in()[-1].name == "done"
    other.socket.close()


def test_an_error_between_results_keeps_the_first(client: RawClient, stage: Stage) -> None:
    def answer(_: Mapping[str, object]) -> Iterable[Result]:
        yield rowset(1)
        raise SqlError(8134, "Divide by zero error encountered.")

    stage.answers["SELECT two"] = answer
    assert client.batch("SELECT two") == [
        *ONE,
        Token("done", 1, COUNT | MORE),
        Token("error", 8134),
        Token("done", 0, ERROR),
    ]


@pytest.mark.parametrize("version", ["7.1", "7.2", "7.3", "7.4"])
def test_versions(freetds: Callable[..., Any], stage: Stage, version: str) -> None:
    columns = (Column("n", "bigint"), Column("t", "nvarchar", 5), Column("f", "float", nullable=False))
    table = pa.table({"n": pa.array([2**40, None], pa.int64()), "t": ["я", None], "f": [0.5, 2.0]})
    stage.answers["SELECT x"] = lambda _: [Result(columns, encode(columns, table).blocks())]
    cursor = freetds(tds_version=version).cursor()
    cursor.execute("SELECT x")
    assert cursor.fetchall() == [(2**40, "я", 0.5), (None, None, 2.0)]
    assert cursor.rowcount == 2
    times = (datetime2("t"),)
    stage.answers["SELECT t"] = lambda _: [Result(times, [encode(times, pa.table({"t": pa.array([0])})).data])]
    if version in ("7.1", "7.2"):
        with pytest.raises(Exception, match="needs a newer version of TDS"):
            cursor.execute("SELECT t")
    else:
        cursor.execute("SELECT t")
        assert len(cursor.fetchall()) == 1


def test_packets_are_numbered_and_a_block_of_any_size_fits(client: RawClient, stage: Stage) -> None:
    """At the edges of a packet of 4096 bytes, and beyond 256 packets."""
    for count in (*range(670, 690), 250_000):
        stage.answers["SELECT many"] = lambda _, count=count: [rowset(*range(count))]
        tokens = client.batch("SELECT many")
        assert [token.value for token in tokens if token.name == "row"] == list(range(count))
        assert tokens[-1] == Token("done", count, COUNT)


def test_where_tls_is_required_a_login_in_the_clear_is_not_read(stage: Stage) -> None:
    server = Server(stage, tls=Tls("required"))
    server.start()
    client = RawClient(server.port)
    with pytest.raises((EOFError, ConnectionResetError)):
        client.log_in()
    assert stage.databases == []
    client.socket.close()
    server.stop()
