"""discover, plan, backfill, status, verify, restate on a line in memory: what they do, show and answer."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from assets_defs.following import check_store
from pipelines.plant import load_plant
from pipelines.ports import Exclusion, NoRoom, Retry, SliceId, Stop, Unreachable
from pipelines.timeline import HOUR_NS, SECOND_NS, Interval, parse
from pipelines.transfer import DRIFT
from tests.memory import quiet
from tests.unit.cli.conftest import DAY, POINTS, START, Ferry, events

SPAN = ("--start", "2026-01-01T00:00:00Z", "--end", "2026-01-02T00:00:00Z")
PROOF_KEYS = {"annotations",
    "source", "points", "source_events", "landed_events", "stored_events", "rounded_events", "unproved_points", "proof",
    "drift",
}  # fmt: skip


def test_discover_counts_points(ferry: Ferry) -> None:
    answer = ferry("discover", "--json")
    assert answer.code == 0
    assert answer.json == {"source": "pi1", "points": 3, "changed": 3, "newcomers": 3, "kinds": {"number": 3}}
    assert "3 points" in answer.err
    assert ferry("discover", "--json").json["changed"] == 0


def test_backfill_moves_and_says_what_is_proved(ferry: Ferry) -> None:
    answer = ferry("backfill", "--source", "pi1", *SPAN, "--json")
    assert answer.code == 0, answer.err
    found = answer.json
    assert set(found) == PROOF_KEYS | {"seconds", "events_per_s", "slices"}
    assert [found[f"{side}_events"] for side in ("source", "landed", "stored")] == [72, 72, 72]
    assert found["unproved_points"] == 0
    assert found["proof"]["counted"] + found["proof"]["deep"] == 3
    assert found["drift"] == []
    assert found["slices"] >= 1
    assert "through" in answer.err


def test_a_second_backfill_has_nothing_to_do(ferry: Ferry) -> None:
    first = ferry("backfill", "--json").json
    second = ferry("backfill", "--json")
    assert second.code == 0
    assert second.json["slices"] == 0
    assert {key: second.json[key] for key in PROOF_KEYS} == {key: first[key] for key in PROOF_KEYS}
    assert "nothing to do" in second.err


def test_backfill_of_some_points_judges_those(ferry: Ferry) -> None:
    answer = ferry("backfill", "--points", "a*", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["points"] == 2
    assert answer.json["source_events"] == 48
    rest = ferry("backfill", "--json")
    assert rest.code == 0, rest.err
    assert rest.json["source_events"] == 72


def test_backfill_of_unknown_points_is_wrong_use(ferry: Ferry) -> None:
    answer = ferry("backfill", "--points", "Z*")
    assert answer.code == 2
    assert "names none of its 3 points" in answer.err


def test_an_unproved_point_is_named_and_the_exit_code_says_so(ferry: Ferry) -> None:
    ferry("discover")
    ferry.source.gone.add("B1")
    answer = ferry("backfill", "--json")
    assert answer.code == 1
    assert answer.json["unproved_points"] == 1
    assert answer.json["source_events"] == 48
    assert "B1" in answer.err
    assert "not found at the source" in answer.err


def test_a_count_that_differs_is_drift(ferry: Ferry) -> None:
    ferry("discover")
    ferry.source.lies["A1"] = 1
    answer = ferry("backfill", "--json")
    assert answer.code == 1
    [drift] = answer.json["drift"]
    assert (drift["point"], drift["window"], drift["landed"], drift["stored"]) == ("A1", "2026-01-01", 24, 24)
    assert drift["source"] > 24


def test_verify_counts_again(ferry: Ferry) -> None:
    ferry("backfill")
    clean = ferry("verify", *SPAN, "--json")
    assert clean.code == 0
    assert set(clean.json) == PROOF_KEYS
    assert clean.json["proof"] == {"counted": 3, "deep": 0}
    assert ferry("verify", "--deep", "--json").json["proof"] == {"counted": 0, "deep": 3}
    ferry.source.events = events(without=("A2",))
    answer = ferry("verify", "--json")
    assert answer.code == 1
    assert answer.json["drift"] == [
        {"point": "A2", "window": "2026-01-01", "source": 0, "landed": 24, "stored": 24},
    ]
    shown = ferry("verify")
    assert "A2" in shown.out
    assert "ferry backfill" in shown.out


def test_what_verify_found_is_unproved_until_it_is_mended(ferry: Ferry) -> None:
    ferry("backfill")
    lost = sorted(ferry.store.rows, key=str)[3]
    kept = ferry.store.rows.pop(lost)
    assert ferry("verify").code == 1
    status = ferry("status", "--json")
    assert (status.code, status.json["sources"][0]["unproved_points"]) == (1, 1)
    assert "no longer holds" in status.err
    plant = load_plant(ferry.plant_file)
    ferry.source.hook = None  # switched off
    check_store(ferry.line(plant), plant.find("pi1"), 60.0)
    ferry.source.hook = quiet
    assert ferry.store.rows[lost] == kept
    assert ferry("status").code == 0
    ferry.source.events = events(without=("A1",))
    assert ferry("verify").code == 1
    assert ferry("status").code == 1


def test_verify_of_nothing_proves_nothing(ferry: Ferry) -> None:
    answer = ferry("verify")
    assert answer.code == 2
    assert "ferry backfill first" in answer.err


def test_what_is_withdrawn_is_no_green_status(ferry: Ferry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not covered and never moved is work to do; covered once and not now is a loss until it is proved again."""
    monkeypatch.setattr("cli.standing._AT_WORK_NS", 0)
    ferry("backfill")
    assert ferry("status").code == 0
    assert ferry("restate", *SPAN).code == 0
    answer = ferry("status")
    assert answer.code == 1
    assert "was proved once and is not now: `ferry backfill --source pi1" in answer.out
    [withdrawn] = ferry("status", "--json").json["sources"][0]["withdrawn"]
    assert withdrawn["command"].endswith(f"--start {SPAN[1]} --end {SPAN[3]}")
    assert ferry("backfill").code == 0
    assert ferry("status").code == 0


def test_restate_reopens_and_backfill_mends(ferry: Ferry) -> None:
    ferry("backfill")
    ferry.source.events = events(without=("A2",))
    answer = ferry("restate", *SPAN, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["reopened"] == 2
    assert "ferry backfill --source pi1 --start 2026-01-01T00:00:00Z --end 2026-01-02T00:00:00Z" in answer.err
    doubted = ferry("backfill", "--json")
    assert doubted.code == 1
    assert "not believed" in doubted.err
    assert len(ferry.store.rows) == 72
    assert ferry("status", "--json").code == 1
    assert ferry("restate", *SPAN, "--accept-loss").code == 0
    assert ferry("backfill", "--json").code == 0
    assert len(ferry.store.rows) == 48
    assert ferry("verify", "--deep").code == 0


def test_restate_tells_dagster_of_what_it_reopened(ferry: Ferry) -> None:
    ferry("backfill")
    ferry("restate", *SPAN)
    assert ferry.reopened == [("g000", DAY), ("g001", DAY)]
    found = ferry("status", "--json").json["sources"][0]
    assert (found["events"], found["landed_events"]) == (0, 72)


def test_verify_without_a_span_looks_at_what_was_moved(ferry: Ferry) -> None:
    nothing = ferry("discover"), ferry("verify")
    assert nothing[1].code == 2
    assert "was moved yet" in nothing[1].err
    assert "ferry backfill --source pi1" in nothing[1].err
    ferry("backfill", "--start", "2026-01-01T00:00:00Z", "--end", "2026-01-01T12:00:00Z")
    half = ferry("verify", "--json")
    assert half.code == 0, half.err
    assert half.json["source_events"] == half.json["stored_events"] == 36
    assert "restate" not in half.err


def test_verify_names_what_was_never_moved_and_calls_it_no_drift(ferry: Ferry) -> None:
    ferry("backfill", "--start", "2026-01-01T00:00:00Z", "--end", "2026-01-01T12:00:00Z")
    answer = ferry("verify", *SPAN, "--json")
    assert answer.code == 1
    assert answer.json["drift"] == []
    assert {(each["start"], each["end"]) for each in answer.json["not_moved"]} == {
        ("2026-01-01T12:00:00Z", "2026-01-02T00:00:00Z")
    }
    assert "Not moved yet" in answer.err
    assert "ferry restate" not in answer.err
    assert "ferry backfill --source pi1 --start 2026-01-01T12:00:00Z --end 2026-01-02T00:00:00Z" in answer.err


def test_rows_in_the_store_where_nothing_was_moved_are_drift(ferry: Ferry) -> None:
    ferry("backfill", "--start", "2026-01-01T00:00:00Z", "--end", "2026-01-01T12:00:00Z")
    ferry.store.write("pi1", events().slice(20, 1))
    found = ferry("verify", *SPAN, "--json").json
    assert [(each["source"], each["landed"], each["stored"]) for each in found["drift"]] == [(0, 0, 1)]


def test_a_slice_that_is_cut_twice_counts_once(ferry: Ferry) -> None:
    ferry("backfill")
    for hour in (6, 12):
        part = Interval(START + hour * HOUR_NS, START + (hour + 1) * HOUR_NS)
        for group in ("g000", "g001"):
            ferry.ledger.withdraw(SliceId("pi1", group, part), "cut")
        ferry("backfill")
    found = ferry("status", "--json").json["sources"][0]
    assert (found["events"], found["landed_events"]) == (72, 72)


def test_restate_reopens_whole_slices(ferry: Ferry) -> None:
    ferry("backfill")
    answer = ferry("restate", "--start", "2026-01-01T03:10:00Z", "--end", "2026-01-01T03:20:00Z", "--json")
    assert answer.code == 0
    assert answer.json["start"] < "2026-01-01T03:10:00Z"
    assert answer.json["end"] > "2026-01-01T03:20:00Z"
    mended = ferry("backfill", "--json")
    assert mended.code == 0, mended.err
    assert mended.json["source_events"] == 72


def test_restate_leaves_what_is_being_worked_on(ferry: Ferry) -> None:
    ferry("backfill")
    covered = ferry.ledger.coverage("pi1", "g000")
    with ferry.ledger.lease("pi1", "g000", DAY, "a backfill"):
        answer = ferry("restate", *SPAN)
    assert answer.code == 1
    assert "being worked on" in answer.err
    assert ferry.ledger.coverage("pi1", "g000") == covered
    assert ferry.ledger.coverage("pi1", "g001") == []


def test_restate_wants_its_span(ferry: Ferry) -> None:
    assert ferry("restate").code == 2


def test_plan_counts_and_changes_nothing(ferry: Ferry) -> None:
    answer = ferry("plan", "--json")
    assert answer.code == 0
    found = answer.json
    assert (found["events"], found["slices"], found["points"]) == (72, 2, 3)
    assert found["events_from"] == "source"
    assert found["rate_from"] is found["events_per_s"] is found["minutes"] is found["landing_bytes"] is None
    assert [gap["group"] for gap in found["gaps"]] == ["g000", "g001"]
    assert ferry.ledger.slices == []
    assert ferry.ledger.points == []


def test_plan_says_what_is_not_measured(ferry: Ferry) -> None:
    shown = ferry("plan").out
    assert "events    72 (counted by the source), of 2 groups and 1 window, in about 2 slices" in shown
    assert "time      not measured yet" in shown
    assert "landing   not measured yet" in shown
    assert "2026-01-01  " not in shown, "gaps are behind a flag"
    assert "g001   2026-01-01" in ferry("plan", "--windows").out


def test_plan_and_status_say_what_the_last_runs_showed(ferry: Ferry) -> None:
    for hour in (0, 4, 8):
        span = ("--start", f"2026-01-01T{hour:02}:00:00Z", "--end", f"2026-01-01T{hour + 4:02}:00:00Z")
        assert ferry("backfill", *span).code == 0
    # Slices that ended a second apart; three are under way at once, so all but the first three count.
    clock = itertools.count(parse("2026-02-01T00:00:00Z"), SECOND_NS)
    ferry.ledger.slices = [
        replace(each, recorded_ns=next(clock)) for each in ferry.ledger.slices if each.state == "verified"
    ]
    counted = ferry.ledger.slices[3:]
    rate = sum(each.events for each in counted) / len(counted)
    landed = list((ferry.plant_file.parent / ".ferry" / "landing").rglob("*.parquet"))
    each_bytes = sum(file.stat().st_size for file in landed) / 36
    planned = ferry("plan", "--json").json
    assert planned["events"] == 36
    assert planned["rate_from"] == "ledger"
    assert planned["events_per_s"] == round(rate, 1)
    assert planned["minutes"] == round(36 / rate / 60, 2)
    assert planned["bytes_per_event"] == round(each_bytes, 2)
    assert planned["landing_bytes"] == round(36 * each_bytes)
    assert planned["requests"] == round(36 * 7 * ferry.source.pulls / 36)
    shown = ferry("plan").out
    assert f"at {rate:.0f} events/s, as in the last run" in shown
    assert f"about {36 * each_bytes / 1e6:.1f} MB, at {each_bytes:.1f} bytes an event, as landed last" in shown
    ns_per_s = sum(each.slice.span.length_ns for each in counted) / len(counted)
    left_s = 24 * HOUR_NS / ns_per_s  # of two groups half a day
    assert ferry("status", "--json").json["sources"][0]["left_s"] == round(left_s, 1)


def test_status_does_not_guess_how_long_the_rest_takes(ferry: Ferry) -> None:
    ferry("backfill", "--start", "2026-01-01T00:00:00Z", "--end", "2026-01-01T12:00:00Z")
    answer = ferry("status", "--json")
    assert answer.json["sources"][0]["left_s"] is None
    assert "how long the rest takes is not measured yet" in ferry("status").out


def test_plan_without_the_source(ferry: Ferry) -> None:
    ferry.outside.failure = Unreachable("nobody answers")
    assert ferry("plan").code == 3
    answer = ferry("plan", "--offline", "--json")
    assert answer.code == 0
    assert answer.json["events"] is None
    assert answer.json["minutes"] is None


def test_plan_of_what_is_covered(ferry: Ferry) -> None:
    ferry("backfill")
    answer = ferry("plan")
    assert "nothing to do" in answer.out
    ferry.ledger.open.append(Exclusion("pi1", "g000", "A1", DAY, "why not"))
    assert ferry("plan", "--json").json["mends"] == 1


def test_status_works_without_the_source(ferry: Ferry) -> None:
    ferry("backfill", "--start", "2026-01-01T00:00:00Z", "--end", "2026-01-01T12:00:00Z")
    ferry.outside.failure = Unreachable("nobody answers")
    answer = ferry("status", "--json")
    assert answer.code == 0
    [source] = answer.json["sources"]
    assert source["covered_percent"] == 50.0
    assert source["events"] == 36
    assert source["unproved_points"] == 0
    assert [group["watermark"] for group in source["groups"]] == ["2026-01-01T12:00:00Z"] * 2
    assert source["groups"][0]["gaps"] == [{"start": "2026-01-01T12:00:00Z", "end": "2026-01-02T00:00:00Z"}]
    shown = ferry("status")
    assert "50.0 % covered" in shown.out


def test_status_names_exceptions(ferry: Ferry) -> None:
    ferry("backfill")
    ferry.ledger.open.append(Exclusion("pi1", "g000", "A1", DAY, "why not"))
    answer = ferry("status")
    assert answer.code == 1
    assert "why not" in answer.out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unreachable("nobody answers at pi.example"), 3),
        (Stop("the login was refused"), 2),
        (NoRoom("the landing is full"), 4),
        (Retry("later"), 1),
        (MemoryError(), 4),
        (OSError(28, "No space left on device", "somewhere"), 4),
        (RuntimeError("a bug"), 1),
        (KeyboardInterrupt(), 130),
        (ExceptionGroup("both", [Retry("later"), Unreachable("nobody")]), 3),
    ],
)
def test_every_error_is_one_message_and_a_code(ferry: Ferry, error: BaseException, code: int) -> None:
    ferry.outside.failure = error
    answer = ferry("discover", "--json")
    assert answer.code == code
    assert answer.json["exit"] == code
    assert answer.json["error"] in answer.err.replace("\n", " ")
    assert "Traceback" not in answer.err


def test_no_secret_in_any_message(ferry: Ferry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRY_DEBUG", "1")
    words = "correct-horse-battery at postgresql://me:hunter2secret@127.0.0.1:1/x and https://u:other-pass@h/p"
    ferry.outside.failure = RuntimeError(words)
    for arguments in (("discover",), ("discover", "--json")):
        answer = ferry(*arguments)
        assert "Traceback" in answer.err
        for word in ("correct-horse-battery", "hunter2secret", "other-pass"):
            assert word not in answer.err + answer.out


def test_a_span_out_of_the_plant_file_is_refused(ferry: Ferry) -> None:
    answer = ferry("backfill", "--start", "2025-12-31T00:00:00Z")
    assert answer.code == 2
    assert "2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z" in answer.err
    assert ferry("verify", "--end", "2026-01-03T00:00:00Z").code == 2
    assert ferry("verify", "--start", "2026-01-01T05:00:00Z", "--end", "2026-01-01T05:00:00Z").code == 2


def test_an_open_end_is_cut_where_the_source_is_not_final(ferry: Ferry) -> None:
    text = ferry.plant_file.read_text(encoding="utf-8").replace("end = 2026-01-02T00:00:00Z\n", "")
    ferry.plant_file.write_text(text, encoding="utf-8")
    ferry.source.events = events(hours=2)
    answer = ferry("backfill", "--end", "2200-01-01T00:00:00Z", "--json")
    assert answer.code == 0, answer.err
    assert "not final" in answer.err


def test_proofs_that_do_not_fill_the_span_are_recounted(ferry: Ferry) -> None:
    ferry("backfill")
    half = Interval(START, START + 12 * HOUR_NS + HOUR_NS // 4)
    answer = ferry("backfill", "--end", "2026-01-01T12:15:00Z", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["source_events"] == 36 == sum(1 for key in ferry.store.rows if key[2] < half.end_ns)
    assert answer.json["points"] == len(POINTS)


def gauges(text: str) -> dict[tuple[str, ...], float]:
    """Samples of Prometheus text by name and labels."""
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_are_prometheus_text_and_need_no_source(ferry: Ferry, tmp_path: Path) -> None:
    ferry("backfill", "--start", "2026-01-01T00:00:00Z", "--end", "2026-01-01T12:00:00Z")
    ferry.ledger.open += [Exclusion("pi1", "g000", "A1", DAY, "why not"), Exclusion("pi1", "g001", "B1", DAY, DRIFT)]
    ferry.outside.failure = Unreachable("nobody answers")
    ferry.outside.used = 0.25
    answer = ferry("metrics")
    assert answer.code == 0
    found = gauges(answer.out)
    assert found["ferry_events", "pi1"] == 36
    assert found["ferry_covered_ratio", "pi1"] == 0.5
    assert found["ferry_gap_seconds", "pi1"] == 2 * 12 * 3600
    assert found["ferry_unproved_points", "pi1"] == 2
    assert found["ferry_point_exceptions", "drift", "pi1"] == 1
    assert found["ferry_point_exceptions", "unproved", "pi1"] == 1
    assert found["ferry_point_exceptions", "changed", "pi1"] == 0
    assert found["ferry_request_budget_used_ratio", "pi1"] == 0.25
    assert found["ferry_slices", "pi1", "quarantined"] == 0
    file = tmp_path / "ferry.prom"
    assert ferry("metrics", "--textfile", str(file)).code == 0
    assert gauges(file.read_text(encoding="utf-8")) == found


def test_a_textfile_that_cannot_be_written_is_named(ferry: Ferry, tmp_path: Path) -> None:
    ferry("backfill")
    answer = ferry("metrics", "--textfile", str(tmp_path / "none" / "ferry.prom"), "--json")
    assert answer.code == 2
    assert "ferry.prom" in answer.json["error"]
