"""Points seen with bad events, to find out whether the server's Count takes them and its Total leaves them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipelines.points import NUMERIC_KINDS, Point
from pipelines.ports import Pulled
from pipelines.samples import UNCERTAIN, same_sum, written
from pipelines.timeline import Interval
from resources.pi_web_api.precision import bits_of


@dataclass(frozen=True, slots=True)
class Specimen:
    """A point with bad events: how many events it has over a span, how many of them are bad, and the sum of the finite
    numbers that are not bad, of their texts, and of their absolutes."""

    point: Point
    span: Interval
    events: int
    bad: int
    total: float = 0.0
    written: float = 0.0
    magnitude: float = 0.0


class Specimens:
    """One specimen for numeric points and one for the others, until each question is answered."""

    def __init__(self) -> None:
        self._known: dict[bool, Specimen] = {}
        self._counts_bad: dict[bool, bool] = {}
        self.sums_usable = True
        """Whether Total is of the numbers that are not bad; believed until it is found out."""

    def counts_bad(self, numeric: bool) -> bool:
        """Whether Count takes bad events; believed until it is found out."""
        return self._counts_bad.get(numeric, True)

    def open_questions(self) -> list[Specimen]:
        """Specimens to ask the server about."""
        return [each for numeric, each in self._known.items() if numeric not in self._counts_bad]

    def answer(self, specimen: Specimen, counted: int, total: float | None = None) -> None:
        """What Count and Total said. Neither count: the point has changed meanwhile; another specimen is waited for."""
        numeric = specimen.point.kind in NUMERIC_KINDS
        if total is not None and counted in (specimen.events, specimen.events - specimen.bad):
            added = (specimen.total, specimen.written)
            same = any(same_sum(each, total, specimen.magnitude, specimen.events) for each in added)
            self.sums_usable = self.sums_usable and same
        if counted == specimen.events:
            self._counts_bad[numeric] = True
        elif counted == specimen.events - specimen.bad:
            self._counts_bad[numeric] = False
        else:
            self._known.pop(numeric, None)

    def look(self, batch: Pulled, points: Mapping[str, Point], span: Interval) -> None:
        """Keeps the first point with bad events of a pulled batch, if one is still needed."""
        if len(self._known) == 2 or not batch.samples.num_rows:
            return
        bad = np.asarray(batch.samples["quality"].combine_chunks()) < UNCERTAIN
        if not bad.any():
            return
        column = batch.samples["point"].combine_chunks()
        codes, names = np.asarray(column.indices), column.dictionary
        for code in np.unique(codes[bad]):
            point = points[names[int(code)].as_py()]
            numeric = point.kind in NUMERIC_KINDS
            if numeric not in self._known:
                mine = codes == code
                events, wrong = int(np.count_nonzero(mine)), int(np.count_nonzero(mine & bad))
                values = np.asarray(batch.samples["value"].combine_chunks().fill_null(np.nan))[mine & ~bad]
                usable = values[np.isfinite(values)]
                bits = bits_of(point)
                texts = written(usable, bits) if bits else usable
                sums = (float(each.sum()) for each in (usable, texts, np.abs(usable)))
                self._known[numeric] = Specimen(point, span, events, wrong, *sums)
            if len(self._known) == 2:
                return
