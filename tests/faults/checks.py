"""What must hold after every command, by the oracle: (a) to (e) of docs/proof.md. Each returns what is violated."""

from __future__ import annotations

import re
import time
from collections import Counter

from pipelines.timeline import Interval, clip, iso, parse
from tests.faults.ground import PATIENCE_S, SOURCE, Done, Plant
from tests.faults.oracle import Claims, Event, Held, claims, exported, inside, is_whole, landed, shown

_SILENT = "ended with {code} and said nothing"
_UGLY = re.compile(r"Traceback|unexpected [A-Z]\w+:|said nothing")
_SHOWN = 4


def proved_is_stored(plant: Plant) -> list[str]:
    """(a) What the ledger calls proved is in IoTDB as it is in the landing, and as the source once held it."""
    if plant.tampered:  # nobody has had the time to see it: (c) is about that
        return []
    found, stored = claims(plant.dsn, SOURCE, _all(plant)), _stored(plant)
    said: list[str] = []
    for piece in found.pieces:
        file = landed(plant.landing, piece)
        for point in sorted(set(stored) | plant.named()):
            parts = [
                both
                for group, span in found.proved(point, plant.groups, _all(plant))
                if group == piece.group
                for own in piece.spans
                if (both := span.intersect(own))
            ]
            if not parts:
                continue
            there = inside(stored, point, parts)
            if file is not None and (here := inside(file, point, parts)) != there:
                said.append(f"(a) {point} {parts[0]}: landed {_difference(here, there)}")
            elif wrong := _untrue(plant, point, parts, there, piece.recorded_ns):
                said.append(f"(a) {point} {parts[0]}: {wrong}")
    return said


def _untrue(plant: Plant, point: str, parts: list[Interval], there: Counter[Event], proved_ns: int) -> str:
    """Why these events are no state of the source, '' where they are."""
    mixed = plant.edited_meanwhile or parts[0].start_ns >= plant.span.end_ns  # passes are joined to hours
    if wrong := _never_true(plant, point, parts, there, mixed):
        return wrong
    began_ns = max([d.began_ns for d in plant.done if d.began_ns <= proved_ns], default=0)
    counts = {inside(held, point, parts).total() for held in plant.truth.between(began_ns, time.time_ns())}
    if there.total() not in counts:
        return f"proved at {iso(proved_ns)} with {there.total()} events, the source had {sorted(counts)}"
    return ""


def _never_true(plant: Plant, point: str, parts: list[Interval], there: Counter[Event], mixed: bool) -> str:
    """Why the source never held just this, '' where it did. `mixed`: each event may be of another state of it."""
    states = [inside(version.held, point, parts) for version in plant.truth.versions]
    low, high = states[0], states[0]
    for state in states:
        low, high = low & state, high | state
    if there in states or (mixed and low <= there <= high):
        return ""
    return f"source {_difference(states[-1], there)}"


def export_is_true(plant: Plant, folder: str) -> list[str]:
    """(b) What is proved is in the export as the source once held it and as IoTDB has it; nothing is in it twice."""
    held, twice = exported(plant.folder / folder)
    said = [f"(b) {point} at {time_ns} tie {tie} is exported twice" for point, time_ns, tie in twice[:_SHOWN]]
    found, stored = claims(plant.dsn, SOURCE, plant.span), _stored(plant)
    for point in sorted(set(stored) | plant.named()):
        parts = [span for _, span in found.proved(point, plant.groups, plant.span)]
        there, here = inside(stored, point, parts), inside(held, point, parts)
        if not plant.tampered and there != here:
            said.append(f"(b) {point}: stored {_difference(there, here)} in the export")
        if wrong := _never_true(plant, point, parts, here, mixed=True):
            said.append(f"(b) {point}, in the export: {wrong}")
    return said


def differences_are_named(plant: Plant, status: Done) -> list[str]:
    """(c) After two sweeps: what is still called proved is what the source has now; `status` names all else."""
    sources = status.told.get("sources") or [{}]
    unproved = {each["point"] for each in sources[0].get("unproved", [])}
    quarantined = [
        Interval(*(parse(each[key]) for key in ("start", "end")))
        for group in sources[0].get("groups", [])
        for each in group["quarantined"]
    ]
    found, stored = claims(plant.dsn, SOURCE, plant.span), _stored(plant)
    damaged = [
        piece.generation
        for piece in found.pieces
        if any(clip(found.covered.get(piece.group, []), span) for span in piece.spans)
        and not is_whole(plant.landing, piece)
    ]
    said = [f"(c) {damaged} are damaged in the landing, and status says that all is well"] * (
        bool(damaged) and status.code == 0
    )
    for point in sorted(set(stored) | plant.named()):
        parts = [span for _, span in found.proved(point, plant.groups, plant.span)]
        named = plant.name_of(point) in unproved or any(q.overlaps(part) for q in quarantined for part in parts)
        there, true = inside(stored, point, parts), inside(plant.truth.now, point, parts)
        if there != true and not named:
            said.append(f"(c) {point}: source {_difference(true, there)} in IoTDB, and status names nothing")
        if point not in plant.truth.now and stored[point] and point not in status.out and point not in status.err:
            said.append(f"(c) IoTDB has {stored[point].total()} rows of the unknown point {point!r}")
    return said


def code_agrees(plant: Plant, done: Done) -> list[str]:
    """(d) The exit code, the message and the state say the same."""
    told, said = done.told, []
    if done.code == -99:
        return [f"(d) {done}: it did not end within {PATIENCE_S:.0f} s; stderr {done.err[-200:]!r}"]
    if done.code < 0:
        return []
    if plant.expected and done.code not in plant.expected:
        said.append(f"(d) {done}: expected one of {sorted(plant.expected)}: {done.err.strip()[-300:]!r}")
    if _UGLY.search(done.err):
        said.append(f"(d) {done}: {done.err.strip()[-300:]!r}")
    if done.code and not (done.err.strip() or told.get("error")):
        said.append(f"(d) {done}: {_SILENT.format(code=done.code)}")
    for source in told.get("sources", ()):
        doubts = source.get("unproved_points") or any(group["quarantined"] for group in source.get("groups", ()))
        if doubts and not done.code:
            said.append(f"(d) {done}: {doubts} unproved points or spans")
    if done.code == 0 and done.words[0] in ("backfill", "verify") and (told["unproved_points"] or told["drift"]):
        said.append(f"(d) {done}: {told['unproved_points']} unproved, drift {told['drift'][:2]}")
    if done.code == 0 and done.words[0] == "backfill":
        left = _left(plant, claims(plant.dsn, SOURCE, plant.span), plant.span)
        said += [f"(d) {done}: {point} is not proved in {span}" for point, span in left[:_SHOWN]]
    return said


def nobody_is_stopped(plant: Plant, done: Done) -> list[str]:
    """(e) Of a backfill over everything that ran to its end, only points that a fault was aimed at may be left out."""
    if done.code not in (0, 1):
        return [f"(e) {done}: {(done.told.get('error') or done.err).strip()[-300:]}"]
    left = _left(plant, claims(plant.dsn, SOURCE, plant.span), plant.span)
    strangers = sorted({point for point, _ in left} - plant.touched)
    if not strangers:
        return []
    return [f"(e) {done}: {strangers[:_SHOWN]} of {len(strangers)} are unproved, and nothing happened to them; "
            f"{done.err.strip()[-300:]}"]  # fmt: skip


def _left(plant: Plant, found: Claims, span: Interval) -> list[tuple[str, Interval]]:
    """Points of the catalogue that are not proved over all of the span."""
    left = []
    for point in plant.wanted():
        proved = [part for _, part in found.proved(point, plant.groups, span)]
        if sum(part.length_ns for part in proved) < span.length_ns:
            left.append((point, span))
    return left


def _stored(plant: Plant) -> Held:
    return plant.store.held(_all(plant), SOURCE)


def _all(plant: Plant) -> Interval:
    return Interval(plant.span.start_ns, plant.truth.spans[-1].end_ns)


def _difference(wanted: Counter[Event], there: Counter[Event]) -> str:
    parts = [f"has {wanted.total()} events, {there.total()} are there"]
    if lacking := wanted - there:
        parts.append(f"lacking {shown(lacking)}")
    if beyond := there - wanted:
        parts.append(f"beyond {shown(beyond)}")
    return ", ".join(parts)
