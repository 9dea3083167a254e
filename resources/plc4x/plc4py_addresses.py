"""Addresses and urls that plc4py takes without a word and then reads wrongly: it ignores what it does not know.

Measured with the snapshot of October 2024. Only its Modbus driver is known here; others are not checked.
"""

from __future__ import annotations

import re

from pipelines.ports import Tag
from resources.plc4x.addresses import address_of

_DRIVER = "modbus:"
_URL = re.compile(r"modbus(:tcp)?://[\w.]+(:\d+)?/?(\?unit_identifier=\d+)?")
_ADDRESS = re.compile(
    r"(?P<area>(coil|discrete-input|input-register|holding-register):|[0134]x?(?=\d{4,5}(?!\d)))"
    r"(?P<number>\d+)(:(?P<type>[A-Z]+))?(\[(?P<length>\d+)\])?"
)
_BITS = ("c", "d", "0", "1")
"""How the areas begin that hold bits."""
_ARRAYS = frozenset({"INT", "UINT", "DINT", "UDINT", "LINT", "ULINT", "REAL", "LREAL"})
_ALONE = frozenset({"BOOL", "BYTE", "SINT", "USINT", "WORD", "DWORD", "LWORD"})


def url_error(url: str) -> str:
    """What is wrong with a url of plc4py; '' where nothing is known to be."""
    if not url.startswith(_DRIVER) or _URL.fullmatch(url):
        return ""
    return (
        f"{url}: plc4py would read this wrongly; it takes modbus:tcp://host:port?unit_identifier=n with a host of "
        "letters, digits, _ and dots. It ignores other options, and gets byte_order wrong"
    )


def address_error(url: str, tag: Tag) -> str:
    """What is wrong with the address of a tag; '' where nothing is known to be. Needs no plc4py, asks no PLC."""
    if not url.startswith(_DRIVER):
        return ""
    found = _ADDRESS.fullmatch(address_of(tag))
    if found is None:
        why = "plc4py's Modbus takes holding-register:1 or 4x00001, without options, and an IEC type"
    elif int(found["number"]) == 0:
        why = "numbers begin at 1"
    elif int(found["length"] or 1) != tag.length:
        why = "the length of an array belongs into the type"
    elif found["area"].startswith(_BITS):
        why = "" if found["type"] in (None, "BOOL") else "coils and discrete inputs are BOOL"
    else:
        why = _register_error(found["type"] or "INT", tag.length)
    return f"address {tag.address!r}{f' of type {tag.type}' if tag.type else ''}: {why}" if why else ""


def _register_error(kind: str, length: int) -> str:
    if kind in _ARRAYS or (kind in _ALONE and length == 1):
        return ""
    if kind in _ALONE:
        return f"plc4py does not read {kind} from registers as an array: give each element its own address"
    return f"plc4py does not read {kind} from registers"
