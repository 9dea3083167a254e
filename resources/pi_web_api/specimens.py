"""Points seen with bad events, to find out whether the server's Count takes bad events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipelines.points import NUMERIC_KINDS, Point
from pipelines.ports import Pulled
from pipelines.samples import UNCERTAIN
from pipelines.timeline import Interval


@dataclass(frozen=True, slots=True)
class Specimen:
    """A point with bad events: how many events it has over a span, and how many of them are bad."""

    point: Point
    span: Interval
    events: int
    bad: int


class Specimens:
    """One specimen for numeric points and one for the others, until each question is answered."""

    def __init__(self) -> None:
        self._known: dict[bool, Specimen] = {}
        self._counts_bad: dict[bool, bool] = {}

    def counts_bad(self, numeric: bool) -> bool:
        """Whether Count takes bad events; believed until it is found out."""
        return self._counts_bad.get(numeric, True)

    def open_questions(self) -> list[Specimen]:
        """Specimens to ask the server about."""
        return [each for numeric, each in self._known.items() if numeric not in self._counts_bad]

    def answer(self, specimen: Specimen, counted: int) -> None:
        """What Count said. Neither number: the point has changed meanwhile, and another specimen is waited for."""
        numeric = specimen.point.kind in NUMERIC_KINDS
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
                self._known[numeric] = Specimen(point, span, events, wrong)
            if len(self._known) == 2:
                return
