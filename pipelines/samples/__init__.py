"""The one Arrow schema of an event, quality codes, normalising rules, and the tally of a set of events.

An event has either a number (`value`) or a state (`text` and `code`), never both and never neither:

========= ======================= ===================================================================
point     dictionary<int32,string> stable id (percent-encoded)
time      timestamp[ns, UTC]      as the source holds it
tie       int32                   0, or 1, 2, … for further events of one point at one stamp, in the source's order
value     double, nullable        the number, a single as exactly what it is; NaN and infinities are numbers
text      string, nullable        text of a string, name of a state; '' for none
code      int64, nullable         number of a state, an integer beyond 2^53, or NO_CODE
quality   int32                   OPC classic quality (192 good, 64 uncertain, 0 bad)
detail    int32                   the source's raw code
annotated bool, nullable          true where a person has annotated the event at the source; else null. No part of the
                                  event: neither tally nor digest knows it, and it is in the landing, not in the store
========= ======================= ===================================================================
"""

from pipelines.samples.events import (
    NO_CODE,
    SCHEMA,
    coarsen,
    empty,
    flagged,
    is_number,
    number_ties,
    ordered,
    samples_table,
    times_ns,
)
from pipelines.samples.fields import EXACT, fields_of
from pipelines.samples.precision import HALF, SINGLE, narrowed, same_sum, written
from pipelines.samples.quality import BAD, GOOD, GOOD_EDITED, GOOD_FLOOR, UNCERTAIN, Quality
from pipelines.samples.sizes import EVENT_TEXT_MAX, Size, besides_longest, crowded_ns, cut_by_bytes, text_bytes
from pipelines.samples.tally import TALLY_SCHEMA, merged, tally

__all__ = [
    "BAD",
    "EVENT_TEXT_MAX",
    "EXACT",
    "GOOD",
    "GOOD_EDITED",
    "GOOD_FLOOR",
    "HALF",
    "NO_CODE",
    "SCHEMA",
    "SINGLE",
    "TALLY_SCHEMA",
    "UNCERTAIN",
    "Quality",
    "Size",
    "besides_longest",
    "coarsen",
    "crowded_ns",
    "cut_by_bytes",
    "empty",
    "fields_of",
    "flagged",
    "is_number",
    "merged",
    "narrowed",
    "number_ties",
    "ordered",
    "same_sum",
    "samples_table",
    "tally",
    "text_bytes",
    "times_ns",
    "written",
]
