"""The ledger in PostgreSQL against a model of a few lines, over random orders of what can happen to it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from pipelines.ledger import COUNTS, current, newest_first, quarantined, resumable, rewrites
from pipelines.ports import Exclusion, Lease, Retry, State
from pipelines.timeline import Interval, merge
from resources.embedded import PostgresAddress
from resources.postgres import PostgresLedger, slices
from tests.ledger import proof_table, schema_dsn, slice_id, verified

END = 12
ALL = Interval(0, END)
GROUPS = st.sampled_from(["g000", "g001"])
POINTS = st.sampled_from(["a", "b", "c"])
SPANS = st.tuples(st.integers(0, END - 1), st.integers(1, 5)).map(lambda it: Interval(it[0], min(sum(it), END)))


def cells(span: Interval) -> range:
    return range(span.start_ns, span.end_ns)


def intervals(cells: set[int]) -> list[Interval]:
    return merge(Interval(cell, cell + 1) for cell in cells)


@pytest.fixture(scope="module")
def ledger(postgres: PostgresAddress) -> Iterator[PostgresLedger]:
    with schema_dsn(postgres.dsn("ledger")) as dsn:
        ledger = PostgresLedger(dsn)
        ledger.migrate()
        yield ledger
        ledger.close()


class LedgerMachine(RuleBasedStateMachine):
    """The model: sets of covered cells, reasons by excepted cell, the proofs that stand, when losses were accepted."""

    def __init__(self, ledger: PostgresLedger) -> None:
        super().__init__()
        self.ledger = ledger
        self.source = f"s{uuid.uuid4().hex}"
        self.covered: dict[str, set[int]] = {}
        self.reasons: dict[tuple[str, str], dict[int, str]] = {}
        self.standing: set[tuple[str, str, Interval, int]] = set()
        self.accepted: dict[str, dict[int, int]] = {}
        self.last_verified: dict[str, dict[int, int]] = {}
        self.leases: dict[tuple[str, Interval], AbstractContextManager[Lease]] = {}
        self.step = 0

    def teardown(self) -> None:
        for held in self.leases.values():
            held.__exit__(None, None, None)

    @rule(
        group=GROUPS, span=SPANS, proven=st.sets(POINTS), unproved=st.dictionaries(POINTS, SPANS), whole=st.booleans()
    )
    def verify(self, group: str, span: Interval, proven: set[str], unproved: dict[str, Interval], whole: bool) -> None:
        self.step += 1
        given = {point: span if whole else asked for point, asked in unproved.items()}
        self.ledger.commit(
            verified(self.source, span.start_ns, span.end_ns, group),
            proof_table(dict.fromkeys(proven, self.step)),
            [Exclusion(self.source, group, point, asked, f"why {point}") for point, asked in given.items()],
        )
        self.covered.setdefault(group, set()).update(cells(span))
        for point in proven:
            for cell in cells(span):
                self.reasons.setdefault((group, point), {}).pop(cell, None)
        for point, asked in given.items():
            self.reasons.setdefault((group, point), {}).update(dict.fromkeys(cells(asked), f"why {point}"))
        self.standing = {
            each for each in self.standing
            if not (each[0] == group and each[1] in proven and each[2].overlaps(span))
        } | {(group, point, span, self.step) for point in proven}  # fmt: skip
        self.last_verified.setdefault(group, {}).update(dict.fromkeys(cells(span), self.step))

    @rule(group=GROUPS, span=SPANS, proven=st.sets(POINTS))
    def quarantine(self, group: str, span: Interval, proven: set[str]) -> None:
        record = verified(self.source, span.start_ns, span.end_ns, group, "quarantined")
        self.ledger.commit(record, proof_table(dict.fromkeys(proven, -1)))

    @rule(group=GROUPS, span=SPANS, state=st.sampled_from(["planned", "landed", "written", "retry_at", "settled"]))
    def record(self, group: str, span: Interval, state: State) -> None:
        self.ledger.record([verified(self.source, span.start_ns, span.end_ns, group, state)])

    @rule(group=GROUPS, span=SPANS)
    def what_was_replaced_changes_nothing(self, group: str, span: Interval) -> None:
        every = self.ledger.history(self.source, group, span, replaced=True)
        found = self.ledger.history(self.source, group, span)
        assert found == [each for each in every if each in found], "in the same order"
        for meaning in (current, newest_first, resumable, quarantined, rewrites):
            assert meaning(found, span) == meaning(every, span)
        replacing = [each for each in every if each.state in COUNTS]
        for lost in set(every) - set(found):
            assert any(each.slice.span.contains(lost.slice.span) and each.seq > lost.seq for each in replacing)
        assert len(found) < len(every) or not any(
            each.slice.span.contains(other.slice.span) and each.seq > other.seq
            for each in replacing for other in every
        ), "what was replaced is kept"  # fmt: skip

    @rule(group=GROUPS, span=SPANS)
    def withdraw(self, group: str, span: Interval) -> None:
        self.ledger.withdraw(slice_id(self.source, span.start_ns, span.end_ns, group), "restated")
        self.covered.setdefault(group, set()).difference_update(cells(span))
        self.standing = {each for each in self.standing if each[0] != group or not each[2].overlaps(span)}

    @rule(group=GROUPS, point=POINTS, span=SPANS)
    def exclude(self, group: str, point: str, span: Interval) -> None:
        self.ledger.exclude([Exclusion(self.source, group, point, span, "found later")])
        held = self.reasons.setdefault((group, point), {})
        for cell in cells(span):
            held.setdefault(cell, "found later")

    @rule(group=GROUPS, span=SPANS)
    def accept(self, group: str, span: Interval) -> None:
        self.step += 1
        self.ledger.accept_loss(self.source, group, span, "me")
        self.accepted.setdefault(group, {}).update(dict.fromkeys(cells(span), self.step))

    @rule(group=GROUPS, span=SPANS)
    def lease(self, group: str, span: Interval) -> None:
        held = self.ledger.lease(self.source, group, span, "me")
        if any(of_group == group and other.overlaps(span) for of_group, other in self.leases):
            with pytest.raises(Retry):
                held.__enter__()
        else:
            held.__enter__().check()
            self.leases[group, span] = held

    @rule()
    def free(self) -> None:
        if self.leases:
            _, held = self.leases.popitem()
            held.__exit__(None, None, None)

    @rule(group=GROUPS, span=SPANS)
    def ask_whether_accepted(self, group: str, span: Interval) -> None:
        last = max((self.last_verified.get(group, {}).get(cell, 0) for cell in cells(span)), default=0)
        accepted = all(self.accepted.get(group, {}).get(cell, 0) > last for cell in cells(span))
        assert self.ledger.loss_accepted(slice_id(self.source, span.start_ns, span.end_ns, group)) == accepted

    @rule(span=SPANS)
    def ask_a_part(self, span: Interval) -> None:
        rows = self.ledger.proofs(self.source, span).to_pylist()
        assert len(rows) == sum(span.contains(each[2]) for each in self.standing)
        expected = {
            (group, point) for (group, point), held in self.reasons.items() if any(cell in held for cell in cells(span))
        }
        assert {(each.group, each.point) for each in self.ledger.exclusions(self.source, None, span)} == expected

    @invariant()
    def coverage_agrees(self) -> None:
        for group in ("g000", "g001"):
            assert self.ledger.coverage(self.source, group) == intervals(self.covered.get(group, set()))

    @invariant()
    def exceptions_agree(self) -> None:
        found: dict[tuple[str, str], dict[int, str]] = {}
        for each in self.ledger.exclusions(self.source, None, ALL):
            held = found.setdefault((each.group, each.point), {})
            for cell in cells(each.span):
                assert cell not in held
                held[cell] = each.reason
        assert found == {key: held for key, held in self.reasons.items() if held}

    @invariant()
    def proofs_agree(self) -> None:
        rows = self.ledger.proofs(self.source, ALL).to_pylist()
        found = {(row["group"], row["point"], Interval(row["start_ns"], row["end_ns"]), row["events"]) for row in rows}
        assert found == self.standing
        assert len(rows) == len(found)


def test_it_agrees_with_the_model(ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "CHECKPOINT_ROWS", 3)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: LedgerMachine(ledger),
        settings=settings(
            max_examples=20,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking against a server takes minutes
        ),
    )
