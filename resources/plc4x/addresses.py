"""Addresses of tags checked by PLC4X's own parsers, and what those let pass and the drivers then read wrongly.

Measured with PLC4J 0.13.1. A driver that brings no parser that we know (an extra jar) is not checked.
"""

from __future__ import annotations

import re
from typing import Any

import jpype

from pipelines.ports import Tag
from resources.plc4x.jvm import Plc4j, said

_JAVA = "org.apache.plc4x.java."
_PARSERS = {
    "modbus-tcp": "modbus.base.tag.ModbusTagHandler",
    "modbus-rtu": "modbus.base.tag.ModbusTagHandler",
    "modbus-ascii": "modbus.base.tag.ModbusTagHandler",
    "s7": "s7.readwrite.tag.S7PlcTagHandler",
    "eip": "eip.base.tag.EipTagHandler",
    "ads": "ads.tag.AdsTagHandler",
    "simulated": "simulated.tag.SimulatedTagHandler",
}
_MODBUS = (
    (
        re.compile(r"unit-id"),
        "PLC4X ignores unit-id: make one connection a unit (default-unit-identifier)",
    ),
    (re.compile(r"\{[^}']*:\s*[^'\s]"), "options in braces need their value in quotes, or PLC4X ignores them"),
    (
        re.compile(r":(BOOL|WORD)\[(?!1\])"),
        "PLC4X reads only the first element: give each its own address",
    ),
    (
        re.compile(r":(W?STRING|TIME|L?DATE\w*|TIME_OF_DAY)\b"),
        "PLC4X reads nothing of this type from Modbus; for text use CHAR[n]",
    ),
)


def address_of(tag: Tag) -> str:
    """The address as PLC4X takes it: the tag map's type goes behind it, before options in braces."""
    if not tag.type:
        return tag.address
    address, brace, options = tag.address.partition("{")
    return f"{address}:{tag.type}{brace}{options}"


def address_error(java: Plc4j, url: str, tag: Tag) -> str:
    """What is wrong with the address of a tag of this connection; '' where nothing is known to be. Asks no PLC."""
    driver, address = url.partition(":")[0], address_of(tag)
    if driver not in _PARSERS:
        return ""
    wrong = f"address {tag.address!r}" + (f" of type {tag.type}" if tag.type else "")
    try:
        parsed = _parser(java, driver).parseTag(address)
    except jpype.JException as error:
        return f"{wrong}: {said(error)}"
    if parsed is None:
        return f"{wrong}: not one of driver {driver}"
    if driver.startswith("modbus"):
        return next((f"{wrong}: {why}" for pattern, why in _MODBUS if pattern.search(address)), "")
    return ""


def _parser(java: Plc4j, driver: str) -> Any:
    if driver not in java.parsers:
        java.parsers[driver] = jpype.JClass(_JAVA + _PARSERS[driver])()
    return java.parsers[driver]
