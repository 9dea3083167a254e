"""A PLC through Apache's plc4py, for those who install it: one connection, one request a tag.

Measured with the snapshot of October 2024. Its one deadline is 10 s, an answer that it cannot read leaves the request
waiting that long, and every exception of Modbus kills the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from pipelines.ports import Reading, Retry, Stop, Tag
from pipelines.samples import Quality
from resources.plc4x.addresses import address_of
from resources.plc4x.plc4py_addresses import url_error
from resources.plc4x.plc4py_library import loop, manager

_QUALITIES = {
    "SLAVE_DEVICE_FAILURE": Quality.BAD_DEVICE,
    "MEMORY_PARITY_ERROR": Quality.BAD_DEVICE,
    "ACKNOWLEDGE": Quality.BAD_COMM,
    "SLAVE_DEVICE_BUSY": Quality.BAD_COMM,
    "GATEWAY_PATH_UNAVAILABLE": Quality.BAD_COMM,
    "GATEWAY_TARGET_DEVICE_FAILED_TO_RESPOND": Quality.BAD_COMM,
    "REMOTE_BUSY": Quality.BAD_COMM,
    "REMOTE_ERROR": Quality.BAD_DEVICE,
}
"""By the name of Modbus' exception or plc4py's response code; BAD_CONFIG for the others. `detail` is its number."""
_LOOK_S = 0.05
"""How often a request that waits looks whether its connection is still there."""
_REQUESTS_MAX = 60_000
"""Of one connection: plc4py counts them, and cannot send a number above 65,535."""


class Plc4pyConnection:
    """One connection; made anew when it has failed, also in the middle of a read. `url` as plc4py takes it.

    Raises Unreachable where plc4py is not installed, Stop for a url that it would not take, or take wrongly.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self._manager = manager()
        drivers = self._manager.list_drivers()
        wrong = url_error(url)
        if url.partition(":")[0] not in drivers:
            wrong = f"{url}: no driver of plc4py, which are {', '.join(sorted(drivers))}"
        if wrong:
            raise Stop(wrong)
        self._url, self._timeout_s, self._loop = url, timeout_s, loop()
        self._connection: Any = None
        self._requests = 0  # of this connection

    def read(self, tags: Sequence[Tag]) -> list[tuple[Tag, Reading]]:
        """A reading for each tag. Raises Retry when the PLC cannot be reached, or all is not read in time."""
        reading = asyncio.run_coroutine_threadsafe(self._readings(tags), self._loop)
        try:
            return reading.result(self._timeout_s)
        except TimeoutError:
            reading.cancel()
            self.close()
            raise Retry(f"no answer within {self._timeout_s:g} s") from None

    def close(self) -> None:
        """Gives the connection up, without waiting; may be called twice."""
        self._loop.call_soon_threadsafe(self._drop)

    def _drop(self) -> None:
        gone, self._connection, self._requests = self._connection, None, 0
        if gone is not None:
            gone.close()

    async def _readings(self, tags: Sequence[Tag]) -> list[tuple[Tag, Reading]]:
        await self._opened()
        return [(tag, await self._reading(tag)) for tag in tags]

    async def _opened(self) -> Any:
        alive = self._connection is not None and self._connection.is_connected()
        if not alive or self._requests >= _REQUESTS_MAX:
            self._drop()
            try:
                self._connection = await self._manager.get_connection(self._url)
            except Exception as error:  # OSError, ValueError after 10 s: all mean that nobody is there
                raise Retry(_said(error)) from None
        return self._connection

    async def _reading(self, tag: Tag) -> Reading:
        try:
            response = await self._response(tag)
            if response is None:  # the connection had died before, maybe: once more, with another
                response = await self._response(tag)
            if response is None:
                return Reading((), int(Quality.BAD_COMM), reason="the connection breaks when it is read")
            return _told(response.tags[tag.name])
        except Retry:
            raise
        except Exception as error:  # what plc4py raises for a tag may be of any class
            return Reading((), int(Quality.BAD_CONFIG), reason=_said(error))

    async def _response(self, tag: Tag) -> Any:
        """None where the connection broke meanwhile: plc4py would wait on."""
        connection = await self._opened()
        self._requests += 1
        builder = connection.read_request_builder()
        builder.add_item(tag.name, address_of(tag))
        asking = asyncio.ensure_future(connection.execute(builder.build()))
        try:
            while not asking.done() and connection.is_connected():
                await asyncio.wait({asking}, timeout=_LOOK_S)
            response = asking.result() if asking.done() else None
        except TimeoutError as error:  # plc4py's own, after 10 s
            self._drop()
            raise Retry(_said(error)) from None
        finally:
            asking.cancel()
        return None if response is None or response.response_code.name == "NOT_CONNECTED" else response


def _told(item: Any) -> Reading:
    if item.response_code.name != "OK":
        code = getattr(item.value, "value", None) or item.response_code
        return Reading((), int(_QUALITIES.get(code.name, Quality.BAD_CONFIG)), int(code.value), code.name)
    if item.value is None:
        return Reading((), int(Quality.BAD_CONFIG), reason="the driver reads no value of this type")
    items = item.value.value if isinstance(item.value.value, list) else [item.value]
    values = (each.value for each in items)
    plain = tuple(value if isinstance(value, bool | int | float | str) else str(value) for value in values)
    return Reading(plain, int(Quality.GOOD))


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")
