"""A PLC through Apache PLC4X: one connection, requests built once, each tag answered for itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jpype

from pipelines.ports import Reading, Retry, Tag
from pipelines.samples import Quality
from resources.plc4x.addresses import address_of
from resources.plc4x.jvm import Plc4j, said

_QUALITIES = {
    "NOT_FOUND": Quality.BAD_CONFIG,
    "ACCESS_DENIED": Quality.BAD_CONFIG,
    "INVALID_ADDRESS": Quality.BAD_CONFIG,
    "INVALID_DATATYPE": Quality.BAD_CONFIG,
    "INVALID_DATA": Quality.BAD_CONFIG,
    "UNSUPPORTED": Quality.BAD_CONFIG,
    "REMOTE_BUSY": Quality.BAD_COMM,
    "REMOTE_ERROR": Quality.BAD_DEVICE,
}
"""By the name of PLC4X's response code; BAD for the others. `detail` of a reading is the code's number."""
_INTEGERS = frozenset(
    f"Plc{name}" for name in ("SINT", "USINT", "INT", "UINT", "DINT", "UDINT", "LINT", "BYTE", "WORD", "DWORD")
)
_FLOATS = frozenset({"PlcREAL", "PlcLREAL"})
_OUT_OF_RANGE = "INVALID_ADDRESS"
_ALONE = frozenset({_OUT_OF_RANGE, "INTERNAL_ERROR", "UNSUPPORTED"})
"""Codes that PLC4X gives to the neighbours of the tag that has earned them, too."""


class Plc4jConnection:
    """One connection; after any failure it is made anew, since PLC4X leaves the old one hanging."""

    def __init__(self, java: Plc4j, url: str, timeout_s: float) -> None:
        self._java, self._url, self._timeout_s = java, url, timeout_s
        self._connection: Any = None
        self._requests: dict[tuple[Tag, ...], tuple[Any, dict[int, Reading]]] = {}
        self._lonely: dict[Tag, str] = {}  # read alone from now on, and why

    def read(self, tags: Sequence[Tag]) -> list[tuple[Tag, Reading]]:
        """A reading for each tag. Raises Retry when the connection fails, Stop for a url that no driver takes."""
        try:
            if self._connection is None or not self._connection.isConnected():
                self.close()
                self._connection = self._java.connect(self._url, self._timeout_s)
            together = tuple(tag for tag in tags if tag not in self._lonely)
            found = dict(zip(together, self._answers(together), strict=True))
            if len(together) > 1:
                self._lonely |= {tag: found[tag].reason for tag in together if found[tag].reason in _ALONE}
            for tag in tags:
                if tag in self._lonely:
                    [found[tag]] = self._answers((tag,))
                    if found[tag].values and self._lonely[tag] == _OUT_OF_RANGE:  # it was a neighbour's fault
                        del self._lonely[tag]
        except Retry:
            self.close()
            raise
        except jpype.JException as error:
            self.close()
            raise Retry(said(error)) from None
        return [(tag, found[tag]) for tag in tags]

    def close(self) -> None:
        """Gives the connection up; may be called twice."""
        if self._connection is not None:
            self._java.close(self._connection)
        self._connection = None
        self._requests.clear()

    def _answers(self, tags: tuple[Tag, ...]) -> list[Reading]:
        request, malformed = self._request(tags)
        if request is None:
            return [malformed[place] for place in range(len(tags))]
        response = self._java.got(request.execute(), self._timeout_s)
        if response is None:
            raise Retry("an answer without a response")
        return [malformed.get(place) or self._reading(response, place) for place in range(len(tags))]

    def _request(self, tags: tuple[Tag, ...]) -> tuple[Any, dict[int, Reading]]:
        """The request without the malformed tags, which would throw for all of it; and what is said of those."""
        if tags not in self._requests:
            request, codes = self._built(tags, ())
            malformed = {place: _bad(code) for place, code in codes.items() if code != self._java.fine}
            if malformed:
                request = self._built(tags, malformed)[0] if len(malformed) < len(tags) else None
            self._requests[tags] = request if tags else None, malformed
        return self._requests[tags]

    def _built(self, tags: tuple[Tag, ...], without: Any) -> tuple[Any, dict[int, Any]]:
        builder = self._connection.readRequestBuilder()
        for place, tag in enumerate(tags):
            if place not in without:
                builder.addTagAddress(str(place), address_of(tag))
        request = builder.build()
        places = [place for place in range(len(tags)) if place not in without]
        return request, {place: request.getTagResponseCode(str(place)) for place in places}

    def _reading(self, response: Any, place: int) -> Reading:
        name = str(place)
        code = response.getResponseCode(name)
        if code != self._java.fine:
            return _bad(code)
        value = response.getPlcValue(name)
        if value is None:
            return Reading((), int(Quality.BAD_CONFIG), reason="the driver reads no value of this type")
        items = value.getList() if value.isList() else [value]
        return Reading(tuple(_plain(item) for item in items), int(Quality.GOOD))


def _bad(code: Any) -> Reading:
    name = str(code)
    return Reading((), int(_QUALITIES.get(name, Quality.BAD)), int(code.getValue()), name)


def _plain(item: Any) -> bool | int | float | str:
    """A value of PLC4X as Python's own, by the getter that is exact for its type: others overflow silently.

    A boxed number would never be freed (JPype 1.7.1, issue 1379), so getObject is for what is none of these.
    """
    kind = type(item).__name__.rsplit(".", 1)[-1]
    if kind in _INTEGERS:
        return int(item.getLong())
    if kind in _FLOATS:
        return float(item.getDouble())
    if kind == "PlcBOOL":
        return bool(item.getBoolean())
    value = item.getObject()
    return int(str(value)) if isinstance(value, jpype.JClass("java.math.BigInteger")) else str(value)
