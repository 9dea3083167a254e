"""What OPC UA answers, as our values and qualities.

Source: OPC 10000-4, 7.39 (status codes); OPC 10000-8, A.4.3.3 (their OPC classic qualities).
"""

from __future__ import annotations

import json
import uuid
from base64 import b64encode
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any

from asyncua import ua

from pipelines.ports import Reading
from pipelines.samples import Quality
from pipelines.timeline import iso
from resources.opcua.stamps import ns_of

_QUALITIES = {
    0x0096: Quality.GOOD_EDITED,  # GoodLocalOverride
    0x4090: Quality.UNCERTAIN_LAST_USABLE,
    0x4091: Quality.UNCERTAIN_SUBSTITUTED,
    0x8089: Quality.BAD_CONFIG,
    0x8034: Quality.BAD_CONFIG,  # BadNodeIdUnknown
    0x8033: Quality.BAD_CONFIG,  # BadNodeIdInvalid
    0x8035: Quality.BAD_CONFIG,  # BadAttributeIdInvalid
    0x803A: Quality.BAD_CONFIG,  # BadNotReadable
    0x801F: Quality.BAD_CONFIG,  # BadUserAccessDenied
    0x808A: Quality.BAD_NOT_CONNECTED,
    0x808B: Quality.BAD_DEVICE,
    0x808C: Quality.BAD_SENSOR,
    0x8031: Quality.BAD_COMM,
    0x8005: Quality.BAD_COMM,  # BadCommunicationError
    0x800A: Quality.BAD_COMM,  # BadTimeout
    0x808D: Quality.BAD_OUT_OF_SERVICE,
}
_BY_SEVERITY = (Quality.GOOD, Quality.UNCERTAIN, Quality.BAD, Quality.BAD)
_DATA_VALUE, _OVERFLOW = 0x400, 0x80
Plain = bool | int | float | str
_TEXTS: dict[type, Callable[[Any], str]] = {
    datetime: lambda moment: iso(moment_ns) if (moment_ns := ns_of(moment)) is not None else "",
    bytes: lambda given: b64encode(given).decode(),
    ua.LocalizedText: lambda given: given.Text or "",
    ua.QualifiedName: lambda given: f"{given.NamespaceIndex}:{given.Name}",
    ua.NodeId: lambda given: str(given.to_string()),
    ua.StatusCode: lambda given: name_of(int(given.value)),
    uuid.UUID: str,
}


def quality_of(status: int) -> Quality:
    """The OPC classic quality of a status code: by its sub-code, else by its severity (the two highest bits)."""
    return _QUALITIES.get(status >> 16, _BY_SEVERITY[status >> 30])


def detail_of(status: int) -> int:
    """The status code as the 32 bits that a signed column holds."""
    return status - (1 << 32) if status >= 1 << 31 else status


def name_of(status: int) -> str:
    """Its name, without the information bits; hexadecimal where nobody knows it."""
    known = ua.StatusCode(ua.UInt32(status & 0xFFFF0000)).name
    return known if not known.startswith("Unknown") else f"0x{status:08X}"


def overflowed(status: int) -> bool:
    """Whether the server says that it lost changes before this one (OPC 10000-4, 7.39.1, bits 10 and 7)."""
    return status & (_DATA_VALUE | _OVERFLOW) == _DATA_VALUE | _OVERFLOW


def status_of(value: ua.DataValue) -> int:
    """The status code as a number; none means good."""
    return int(value.StatusCode.value) if value.StatusCode is not None else 0


def reading_of(value: ua.DataValue, length: int = 1, received_ns: int | None = None) -> Reading:
    """A value of `length` elements; without a source time it has the time at which it comes."""
    status = status_of(value)
    quality = quality_of(status)
    values, reason = _values(value.Value, length)
    if not values and quality >= Quality.UNCERTAIN:
        quality = Quality.BAD_CONFIG if reason else Quality.BAD
        reason = reason or "no value"
    elif quality < Quality.UNCERTAIN:
        reason = name_of(status)
    source_ns, server_ns = ns_of(value.SourceTimestamp), ns_of(value.ServerTimestamp)
    return Reading(values, int(quality), detail_of(status), reason, source_ns, server_ns, received_ns)


def plain(value: Any) -> Plain:
    """One element as a number or a text: times as ISO 8601, bytes as base64, structures as JSON."""
    if isinstance(value, bool | int | float | str):
        return value
    for kind, text in _TEXTS.items():
        if isinstance(value, kind):
            return text(value)
    return json.dumps(asdict(value) if is_dataclass(value) else value, default=str)  # type: ignore[arg-type]


def _values(variant: ua.Variant | None, length: int) -> tuple[tuple[Plain, ...], str]:
    """The elements, or none and why there are none."""
    given = variant.Value if variant is not None else None
    if given is None:
        return (), ""
    elements = _flat(given) if isinstance(given, list) else [given]
    if len(elements) != length:
        return (), f"it has {len(elements)} elements, the tag map says {length}"
    return tuple(plain(each) for each in elements), ""


def _flat(given: list[Any]) -> list[Any]:
    return [one for each in given for one in (_flat(each) if isinstance(each, list) else [each])]
