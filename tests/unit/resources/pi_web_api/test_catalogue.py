"""Discovery: pages, kinds, keys, filters, and which Data Archive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from pipelines.points import Point
from pipelines.ports import Retry, Stop
from resources.budget import Budget
from resources.pi_web_api.source import PiWebApiSource
from resources.pi_web_api.transport import Transport
from tests.unit.resources.pi_web_api.fake_plant import QUICK, URL

SERVERS = [{"WebId": "S1", "Id": "guid-1", "Name": "PISRV1"}, {"WebId": "S2", "Id": "guid-2", "Name": "PISRV2"}]


def listed(number: int, name: str, point_type: str = "Float32", **more: Any) -> dict[str, Any]:
    return {"WebId": f"W{number}", "Id": number, "Name": name, "PointType": point_type, **more}


def discovered(
    points: list[dict[str, Any]],
    servers: list[dict[str, Any]] = SERVERS[:1],
    data_server: str = "",
    include: tuple[str, ...] = ("*",),
    exclude: tuple[str, ...] = (),
    most: int = 150_000,
    clamp: int = 150_000,
) -> tuple[list[Point], list[httpx.Request]]:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        query = {name: texts[0] for name, texts in parse_qs(request.url.query.decode()).items()}
        if request.url.path.endswith("/dataservers"):
            return httpx.Response(200, json={"Items": servers})
        if int(query["maxCount"]) > most:
            return httpx.Response(400, json={"Errors": [f"'maxCount' is greater than the maximum allowed ({most})."]})
        begin = int(query["startIndex"])
        return httpx.Response(200, json={"Items": points[begin : begin + min(int(query["maxCount"]), clamp)]})

    async def work() -> list[Point]:
        transport = Transport("pi1", URL, Budget(1e6), patience=QUICK, wire=httpx.MockTransport(answer))
        source = PiWebApiSource(transport, data_server, include, exclude)
        try:
            return await source.discover()
        finally:
            await source.close()

    return asyncio.run(work()), seen


def test_everything_that_the_plant_wants_to_know() -> None:
    odd = listed(
        7, "Überlauf 1 (°C)", "Digital", DigitalSetName="OnOff", EngineeringUnits="°C", Descriptor="d", Step=True,
        Future=True, Zero=-5, Span=10.5, PointClass="classic", Path="\\\\PISRV1\\x",
    )  # fmt: skip
    [point], _ = discovered([odd])
    assert point.id == "%C3%9Cberlauf%201%20%28%C2%B0C%29" and point.name == "Überlauf 1 (°C)"
    assert (point.kind, point.source_type, point.source_key, point.address) == ("digital", "Digital", "guid-1:7", "W7")
    assert (point.unit, point.description, point.step, point.future) == ("°C", "d", True, True)
    assert (point.digital_set, point.zero, point.span) == ("OnOff", -5.0, 10.5)
    assert point.attributes == {"point_class": "classic", "path": "\\\\PISRV1\\x"}


def test_kinds() -> None:
    types = ("Int16", "Int32", "Float16", "Float32", "Float64", "Digital", "String", "Timestamp", "Blob", "Novel")
    points, _ = discovered([listed(at, kind, kind, Zero={"Name": "x"}) for at, kind in enumerate(types)])
    assert {point.name: point.kind for point in points} == {
        "Int16": "integer", "Int32": "integer", "Float16": "number", "Float32": "number", "Float64": "number",
        "Digital": "digital", "String": "string", "Timestamp": "timestamp", "Blob": "blob", "Novel": "string",
    }  # fmt: skip
    assert points[0].zero is None


@pytest.mark.parametrize(("most", "clamp"), [(150_000, 150_000), (700, 150_000), (150_000, 333), (1_000, 1)])
def test_every_page_whatever_its_size(most: int, clamp: int) -> None:
    wanted = [listed(number, f"T{number}") for number in range(40 if clamp == 1 else 2_500)]
    points, _ = discovered(wanted, most=most, clamp=clamp)
    assert {point.address for point in points} == {each["WebId"] for each in wanted}
    assert [point.id for point in points] == sorted(point.id for point in points)


def test_one_glob_is_the_server_s_work_and_several_are_ours() -> None:
    points = [listed(1, "UNIT1.A"), listed(2, "UNIT2.A"), listed(3, "unit1.B")]
    found, seen = discovered(points, include=("UNIT1.*",))
    assert b"nameFilter=UNIT1" in seen[-1].url.query
    assert [point.name for point in found] == ["UNIT1.A", "unit1.B"]
    found, seen = discovered(points, include=("UNIT1.*", "*.A"), exclude=("UNIT2*",))
    assert b"nameFilter" not in seen[-1].url.query
    assert [point.name for point in found] == ["UNIT1.A", "unit1.B"]
    _, seen = discovered(points, include=("UNIT[12]*",))
    assert b"nameFilter" not in seen[-1].url.query


def test_which_data_archive() -> None:
    points = [listed(1, "A")]
    with pytest.raises(Stop, match="'PISRV1', 'PISRV2'"):
        discovered(points, SERVERS)
    found, seen = discovered(points, SERVERS, "pisrv2")
    assert found[0].source_key == "guid-2:1" and "/dataservers/S2/points" in seen[-1].url.path
    with pytest.raises(Stop, match="no data_server 'PISRV3'"):
        discovered(points, SERVERS, "PISRV3")
    with pytest.raises(Stop, match="none"):
        discovered(points, [])


def test_something_else_at_the_address() -> None:
    async def work() -> None:
        wire = httpx.MockTransport(lambda _: httpx.Response(404))
        source = PiWebApiSource(Transport("pi1", URL, Budget(1e6), patience=QUICK, wire=wire))
        await source.discover()

    with pytest.raises(Stop, match="no PI Web API"):
        asyncio.run(work())


def test_a_server_too_slow_to_list_is_a_retry() -> None:
    def slow(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/dataservers"):
            return httpx.Response(200, json={"Items": SERVERS[:1]})
        raise httpx.ReadTimeout("slow")

    async def work(answer: Callable[[httpx.Request], httpx.Response]) -> None:
        wire = httpx.MockTransport(answer)
        await PiWebApiSource(Transport("pi1", URL, Budget(1e6), patience=QUICK, wire=wire)).discover()

    with pytest.raises(Retry, match="pi1"):
        asyncio.run(work(slow))
