"""OPC UA connections against a real server: polls and subscriptions, security, and servers that hang and die."""

from __future__ import annotations

import asyncio
import math
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from cryptography.x509.oid import ExtendedKeyUsageOID

from cli.main import run as ferry
from pipelines.collect import Collector, scans_of
from pipelines.plant import Auth, Channel
from pipelines.ports import CLOCKS, Reading, Retry, Stop, Tag
from pipelines.timeline import SECOND_NS
from resources.opcua.client import server_certificate
from resources.opcua.connection import OpcUaConnection
from resources.opcua.values import detail_of, quality_of
from simulators.opcua.signals import Event, Signal, plant
from tests.opcua_plc import free_port, login, opcua, tag_of
from tests.unit.pipelines.collect.test_collector import MemorySpool, run

EVERY_S = 0.5
TRUSTING = """
[plant]
name = "unit"
[[source]]
name = "kiln"
kind = "opcua"
url = "{url}"
security = "Basic256Sha256"
server_certificate = "saved.der"
start = 2026-01-01T00:00:00Z
"""
SIGNALS = plant(36, every_ns=int(EVERY_S * SECOND_NS))
TAGS = [tag_of(signal) for signal in SIGNALS]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    port = free_port()
    with opcua(port, "--points", "36", "--every", str(EVERY_S)):
        yield port


def of_tags(found: list[tuple[Tag, Reading]]) -> list[tuple[Tag, Reading]]:
    return [(tag, reading) for tag, reading in found if not tag.name.startswith(CLOCKS)]


def expected(signal: Signal, event: Event) -> Reading:
    """What the stand-in's arithmetic says, with our rules for it."""
    if event.value is None:
        return Reading((), int(quality_of(event.status)), detail_of(event.status), "BadSensorFailure", event.time_ns)
    values = event.value if isinstance(event.value, list) else [event.value]
    if signal.kind == "Float":
        values = [float(value) for value in values]
    return Reading(tuple(values), int(quality_of(event.status)), detail_of(event.status), "", event.time_ns)


def assert_same(signal: Signal, found: Reading, event: Event) -> None:
    wanted = expected(signal, event)
    if signal.kind == "DateTime" and event.value is not None:
        assert isinstance(found.values[0], str) and found.values[0].endswith("Z")
    elif any(isinstance(value, float) and math.isnan(value) for value in wanted.values):
        assert math.isnan(float(found.values[0]))
    else:
        assert found.values == wanted.values, signal.name
        assert [type(value) for value in found.values] == [type(value) for value in wanted.values]
    assert (found.quality, found.detail, found.reason) == (wanted.quality, wanted.detail, wanted.reason)
    assert found.source_ns == found.server_ns == event.time_ns


def test_every_kind_is_read_as_it_is_with_its_own_time(port: int, tmp_path: Path) -> None:
    connection = OpcUaConnection("kiln", login(port, tmp_path))
    try:
        for tag, reading in of_tags(connection.read(TAGS)):
            signal = SIGNALS[TAGS.index(tag)]
            assert reading.source_ns is not None
            *_, event = signal.events(reading.source_ns, reading.source_ns + 100)
            assert_same(signal, reading, event)
    finally:
        connection.close()


def test_a_tag_that_cannot_be_read_is_bad_alone(port: int, tmp_path: Path) -> None:
    wrong = [
        Tag("unknown", "kiln", "ns=2;s=nobody", "", "number", SECOND_NS, "all"),
        Tag("elsewhere", "kiln", "nsu=urn:nowhere;s=x", "", "number", SECOND_NS, "all"),
        Tag("short", "kiln", TAGS[8].address, "", "number", SECOND_NS, "all", length=5),
    ]
    for subscribe in (False, True):
        connection = OpcUaConnection("kiln", login(port, tmp_path), subscribe=subscribe)
        try:
            found = connection.read([TAGS[0], *wrong])
            while not any(tag.name == TAGS[0].name for tag, _ in found):
                found += connection.read([TAGS[0], *wrong])
            bad = {tag.name: reading for tag, reading in found if not reading.values}
            assert bad["unknown"].reason == "BadNodeIdUnknown"
            assert "urn:nowhere" in bad["elsewhere"].reason
            if "short" in bad:
                assert "the tag map says 5" in bad["short"].reason or bad["short"].reason == "BadSensorFailure"
            assert {each.quality for each in bad.values()} <= {4, 16}
        finally:
            connection.close()


def test_a_subscription_tells_every_event_once(port: int, tmp_path: Path) -> None:
    connection = OpcUaConnection("kiln", login(port, tmp_path), subscribe=True)
    tags = [tag_of(signal, SECOND_NS // 2) for signal in SIGNALS]
    found: dict[str, list[Reading]] = {tag.name: [] for tag in tags}
    try:
        end_s = time.monotonic() + 5
        while time.monotonic() < end_s:
            for tag, reading in of_tags(connection.read(tags)):
                found[tag.name].append(reading)
            threading.Event().wait(0.25)
    finally:
        connection.close()
    for signal in SIGNALS:
        readings = found[signal.name]
        first, last = readings[0].source_ns, readings[-1].source_ns
        assert first is not None and last is not None and last - first > SECOND_NS
        events = list(signal.events(first, last + 100))
        if len(events) != len(readings):  # of the very first stamp only the newest event can be known
            events = events[len(events) - len(readings) :]
        for reading, event in zip(readings, events, strict=True):
            assert_same(signal, reading, event)


def test_clocks_are_told(port: int, tmp_path: Path) -> None:
    connection = OpcUaConnection("kiln", login(port, tmp_path))
    try:
        found = {tag.name: reading for tag, reading in connection.read(TAGS) if tag.name.startswith(CLOCKS)}
    finally:
        connection.close()
    assert set(found) == {"clock.kiln.server", "clock.kiln.source"}
    assert all(-2 < float(reading.values[0]) < 2 for reading in found.values())


def test_a_server_that_dies_and_comes_back(tmp_path: Path) -> None:
    port = free_port()
    for subscribe in (False, True):
        connection = OpcUaConnection("kiln", login(port, tmp_path, timeout_s=1.0), subscribe=subscribe)
        try:
            with opcua(port, "--points", "3", "--every", "0.2"):
                assert connection.read(TAGS[:3])
            with pytest.raises(Retry):
                connection.read(TAGS[:3])
            with pytest.raises(Retry):
                connection.read(TAGS[:3])
            with opcua(port, "--points", "3", "--every", "0.2"):
                assert connection.read(TAGS[:3])
        finally:
            connection.close()


def test_a_server_that_accepts_and_never_answers_is_given_up_in_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection = OpcUaConnection("kiln", login(silent.getsockname()[1], tmp_path, timeout_s=0.3))
        began_s = time.monotonic()
        with pytest.raises(Retry, match="no answer"):
            connection.read(TAGS)
        assert time.monotonic() - began_s < 3
        connection.close()


def test_nobody_there(tmp_path: Path) -> None:
    connection = OpcUaConnection("kiln", login(free_port(), tmp_path, timeout_s=0.5))
    with pytest.raises(Retry):
        connection.read(TAGS)


def certified(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate of a server, and its key."""
    key, certificate = folder / f"{name}.pem", folder / f"{name}.der"
    uri = "urn:historian-ferry:stand-in:server"
    asyncio.run(
        setup_self_signed_certificate(key, certificate, uri, "localhost", [ExtendedKeyUsageOID.SERVER_AUTH], {})
    )
    return certificate, key


def test_a_secured_server_with_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    certificate, key = certified(tmp_path, "server")
    other, _ = certified(tmp_path, "other")
    monkeypatch.setenv("KILN_PASSWORD", "right")
    monkeypatch.setenv("WRONG_PASSWORD", "wrong")
    auth = Auth(kind="basic", username="ferry", password_env="KILN_PASSWORD")
    wrong = Auth(kind="basic", username="ferry", password_env="WRONG_PASSWORD")
    secured = Channel(security="Basic256Sha256", server_certificate=certificate.name)
    told = ("--username", "ferry", "--password", "right", "--certificate", str(certificate), "--private-key", str(key))
    with opcua(port, "--points", "3", *told):

        def read(given: Auth, channel: Channel) -> None:
            connection = OpcUaConnection("kiln", login(port, tmp_path, given, channel))
            try:
                assert len(of_tags(connection.read(TAGS[:3]))) == 3
            finally:
                connection.close()

        read(auth, secured)
        assert (tmp_path / "pki" / "ferry.pem").stat().st_mode & 0o077 == 0
        assert asyncio.run(server_certificate(login(port, tmp_path, auth, secured))) == certificate.read_bytes()
        plant_file = tmp_path / "ferry.toml"
        plant_file.write_text(TRUSTING.format(url=login(port, tmp_path, auth, secured).url), encoding="utf-8")
        assert ferry(["trust", "--plant", str(plant_file)]) == 0
        assert (tmp_path / "saved.der").read_bytes() == certificate.read_bytes()
        with pytest.raises(Stop, match="refuses us"):
            read(wrong, secured)
        with pytest.raises(Stop, match="shows another certificate"):
            read(auth, Channel(security="Basic256Sha256", server_certificate=other.name))
        with pytest.raises(Stop, match=r"ferry trust"):
            read(auth, Channel(security="Basic256Sha256", server_certificate="nothing.der"))
        with pytest.raises(Stop, match="does not offer the security"):
            read(auth, Channel(security="Aes256Sha256RsaPss", server_certificate=certificate.name))


def test_a_silent_server_delays_no_other_connection(port: int, tmp_path: Path) -> None:
    beat_ns = SECOND_NS // 5
    with socket.create_server(("127.0.0.1", 0)) as silent:
        plcs = {
            "kiln": OpcUaConnection("kiln", login(port, tmp_path)),
            "silent": OpcUaConnection("silent", login(silent.getsockname()[1], tmp_path, timeout_s=0.5)),
        }
        tags = [replace(tag, interval_ns=beat_ns) for tag in TAGS[:6]]
        tags += [replace(tag, connection="silent", name=f"silent {tag.name}") for tag in tags]
        spool = MemorySpool(lambda rows: sum(row["point"] == "cycle.kiln.all" for row in rows) > 25)
        run(Collector(scans_of(tags), plcs, spool, {}), spool)
    kiln = [row for row in spool.rows if row["point"] == "cycle.kiln.all"]
    assert all(row["value"] is not None and row["value"] < beat_ns / SECOND_NS for row in kiln), (
        "none was missed or late"
    )
    dead = [row for row in spool.rows if row["point"] == "cycle.silent.all"]
    assert dead and all("no answer" in row["text"] for row in dead)
