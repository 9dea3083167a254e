"""One quality number from the three that a Historian row has (docs/decisions/0005, facts/historians.md part 3)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipelines.samples import GOOD, GOOD_EDITED, GOOD_FLOOR, UNCERTAIN, Quality

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

INITIAL_VALUE = 133
"""`Quality` of a row that the retrieval engine made up for the start of a query (2.4)."""
NO_DATA = 65_536
"""`QualityDetail` of a row that stands for nothing stored (2.4)."""
NO_OPC = -1
"""Stands for a null `OPCQuality`."""
_BAD_QUALITY, _DOUBTFUL = 1, 16
_EDITED = 202
_BAD_BY_DETAIL = {
    10: Quality.BAD_COMM,
    24: Quality.BAD_COMM,
    1: Quality.BAD_NOT_CONNECTED,
    64: Quality.BAD_CONFIG,
}
_BAD = np.zeros(256, np.int32)
_BAD[list(_BAD_BY_DETAIL)] = [int(each) for each in _BAD_BY_DETAIL.values()]


def made_up(quality: Ints, detail: Ints) -> Bools:
    """Rows that no source ever sent."""
    marked: Bools = (quality == INITIAL_VALUE) | (detail == NO_DATA)
    return marked


def opc_quality(quality: Ints, detail: Ints, opc: Ints, has_value: Bools) -> npt.NDArray[np.int32]:
    """OPC classic quality of each row; `opc` is NO_OPC where it is null."""
    base = detail & 0xFF
    code = (opc & 0xFF).astype(np.int32)
    bad = _BAD[base]
    told = np.where((code > 0) & (code < UNCERTAIN), code, bad)  # the OPC number where it says why
    edited = base == _EDITED
    usable = np.select(
        [(quality == _DOUBTFUL) & (code >= GOOD_FLOOR), edited & (code == GOOD), code >= UNCERTAIN],
        [np.int32(UNCERTAIN), np.int32(GOOD_EDITED), code],
        told,
    )
    untold = np.select(
        [(quality == 0) & has_value, quality == _DOUBTFUL],
        [np.where(edited, GOOD_EDITED, GOOD).astype(np.int32), np.int32(UNCERTAIN)],
        bad,
    )
    known = np.where(has_value & (quality != _BAD_QUALITY), usable, told)
    return np.where(opc == NO_OPC, untold, known).astype(np.int32)
