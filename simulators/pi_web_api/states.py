"""Digital states: the vendor's system set, the plant's own sets, and the OPC quality of a system state.

Source: facts/historians.md 1.5 (numbers and names) and part 3 (quality); the quality table is written here a second
time on purpose, so that the product's table is checked against another one.
"""

from __future__ import annotations

from pipelines.samples import Quality

NO_DATA, PT_CREATED, SHUTDOWN, BAD_INPUT, IO_TIMEOUT = 248, 253, 254, 255, 246
UNDER_RANGE, OVER_RANGE = 251, 252
COERCION_FAILED = 315

SYSTEM_SET = "SYSTEM"
SYSTEM_STATES: dict[int, str] = {
    210: "Access Denied",
    211: "No Sample",
    212: "No Result",
    213: "Unit Down",
    214: "Sample Bad",
    215: "Equip Fail",
    216: "No Lab Data",
    217: "Trace",
    233: "DCS Failed",
    237: "Bad Output",
    238: "Scan Off",
    239: "Scan On",
    240: "Configure",
    241: "Failed",
    242: "Error",
    243: "Execute",
    244: "Filtered",
    245: "Calc Off",
    IO_TIMEOUT: "I/O Timeout",
    247: "Set to Bad",
    NO_DATA: "No Data",
    249: "Calc Failed",
    250: "Calc Overflow",
    UNDER_RANGE: "Under Range",
    OVER_RANGE: "Over Range",
    PT_CREATED: "Pt Created",
    SHUTDOWN: "Shutdown",
    BAD_INPUT: "Bad Input",
    256: "Bad Total",
    257: "No Alarm",
    258: "Over UCL",
    259: "Under LCL",
    # Sites fill unused slots, so numbers that no table knows occur.
    307: "Werkssperre",
    COERCION_FAILED: "Coercion Failed",
}

DIGITAL_SETS: dict[str, tuple[str, ...]] = {
    "OnOff": ("Off", "On"),
    "Valve": ("Closed", "Open", "Moving"),
    "Pump": ("Stopped", "Running", "Fault", "Maintenance"),
    "Modes": ("Manual", "Auto", "Cascade", "Remote", "Off", "Init", "Hold", "Störung"),
    # A plant state may share a system state's name: only IsSystem tells them apart.
    "Clash": ("Bad Input", "Shutdown", "", 'He said "on"', "режим 5"),
}

_QUALITY: dict[int, Quality] = {
    **dict.fromkeys((210, 240), Quality.BAD_CONFIG),
    **dict.fromkeys((248, 253), Quality.BAD_NOT_CONNECTED),
    **dict.fromkeys((233, 255), Quality.BAD_DEVICE),
    **dict.fromkeys((214, 215), Quality.BAD_SENSOR),
    246: Quality.BAD_COMM,
    **dict.fromkeys((213, 238, 245, 254), Quality.BAD_OUT_OF_SERVICE),
}


def quality_of_state(number: int) -> int:
    """OPC quality of a system state; BAD for one that the table does not name."""
    return int(_QUALITY.get(number, Quality.BAD))
