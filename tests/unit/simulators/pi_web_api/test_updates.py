"""Stream Updates of the PI stand-in: registration, markers, what counts as a change, and what ends a marker."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from simulators.pi_web_api.clock import iso, parse_iso
from simulators.pi_web_api.events import HOUR_NS, SECOND_NS, TICK_NS
from simulators.pi_web_api.settings import from_arguments

NAME, OTHER, FORECAST = "UNIT1.TEMP.TI002.PV", "UNIT1.PRESSURE.PI004.PV", "UNIT1.FORECAST.FC014.PV"
NOW = parse_iso("2026-01-02T06:00:00Z")
MARKER = re.compile(r"[0-9a-f]{32}_\d+")
UNKNOWN = "0" * 32 + "_0"
ITEM = ["Source", "SourceName", "SourcePath", "RequestedMarker", "LatestMarker", "Status", "Events", "Exception"]


class Follower:
    """A client that registers one stream and reads on from each latest marker."""

    def __init__(self, stage: Any, name: str = NAME) -> None:
        self.stage, self.web_id = stage, stage.web_id(name)
        self.marker = stage.post(f"/streams/{self.web_id}/updates")["LatestMarker"]

    def read(self) -> list[dict[str, Any]]:
        item = self.stage.get(f"/streams/updates/{self.marker}")
        assert item["Status"] == "Updated" and item["RequestedMarker"] == self.marker
        self.marker = item["LatestMarker"]
        return item["Events"]

    def told(self) -> list[tuple[str, str, Any]]:
        return [(event["Action"], event["Timestamp"], event["Value"]) for event in self.read()]

    def recorded(self, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
        window = {"startTime": iso(start_ns), "endTime": iso(end_ns), "maxCount": "10000"}
        return self.stage.get(f"/streams/{self.web_id}/recorded", **window)["Items"]

    def edit(self, op: str, time: str | int, value: Any = None, name: str = NAME) -> None:
        edit = {"point": name, "op": op, "time": time if isinstance(time, str) else iso(time)}
        self.stage.post("/_plant/edits", [edit if value is None else {**edit, "value": value}])

    def advance(self, seconds: float) -> None:
        self.stage.post("/_plant/clock", {"advance_s": seconds})


Stages = Callable[..., Any]


class TestRegistration:
    def test_one_stream(self, stage: Stages) -> None:
        plant = stage()
        web_id = plant.web_id(NAME)
        first, again = (plant.post(f"/streams/{web_id}/updates") for _ in range(2))
        assert MARKER.fullmatch(first["LatestMarker"])
        assert first == {
            "Source": web_id,
            "SourceName": NAME,
            "SourcePath": f"\\\\FERRYSIM\\{NAME}",
            "LatestMarker": first["LatestMarker"],
            "Status": "Succeeded",
            "Exception": None,
        }
        assert again == {**first, "Status": "AlreadyRegistered"}
        assert plant.get("/_plant/updates") == {"registered": 1}

    def test_selected_fields_and_kind_of_web_id(self, stage: Stages) -> None:
        plant = stage()
        item = plant.post(f"/streams/{plant.web_id(NAME)}/updates", selectedFields="Source;Status", webIdType="IDOnly")
        assert list(item) == ["Source", "Status"] and item["Source"].startswith("I1DP")

    @pytest.mark.parametrize(("web_id", "status"), [("nonsense", 400), ("P1DPRkVSUllTSU1cTk9QRQ", 404)])
    def test_a_stream_that_is_none(self, stage: Stages, web_id: str, status: int) -> None:
        plant = stage()
        answer = plant.ask("POST", f"/streams/{web_id}/updates")
        assert answer.status_code == status and answer.json()["Errors"]
        good = plant.web_id(NAME)
        items = {item["Source"]: item for item in plant.post("/streamsets/updates", webId=[web_id, good])["Items"]}
        assert items[good]["Status"] == "Succeeded" and items[good]["Exception"] is None
        failed = items[web_id]
        assert (failed["Status"], failed["LatestMarker"]) == ("Failed", None)
        assert failed["Exception"]["StatusCode"] == status and failed["Exception"]["Errors"]

    def test_long_sets_are_bounded_by_the_url(self, stage: Stages) -> None:
        plant = stage(points=450, web_id_type="IDOnly")
        catalogue = plant.plant.catalogue
        web_ids = [catalogue.web_id(catalogue.spec(number), "IDOnly") for number in catalogue.numbers()]
        document = plant.post("/streamsets/updates", webId=web_ids[:350])
        assert list(document) == ["Items"] and {item["Status"] for item in document["Items"]} == {"Succeeded"}
        assert {item["Source"] for item in document["Items"]} == set(web_ids[:350])
        assert plant.ask("POST", "/streamsets/updates", params={"webId": web_ids}).status_code == 414
        assert plant.get("/_plant/updates") == {"registered": 350}

    def test_a_set_of_nothing_is_refused(self, stage: Stages) -> None:
        for method in ("POST", "GET"):
            assert stage().ask(method, "/streamsets/updates").status_code == 400

    def test_without_the_csrf_header_it_is_a_bad_request(self, stage: Stages) -> None:
        plant = stage()
        web_id = plant.web_id(NAME)
        for path in (f"/streams/{web_id}/updates", f"/streamsets/updates?webId={web_id}"):
            answer = plant.ask("POST", path, headers={})
            assert answer.status_code == 400 and "X-Requested-With" in answer.json()["Message"]
        assert plant.ask("POST", f"/streams/{web_id}/value", headers={}).status_code == 403
        assert plant.get("/_plant/updates") == {"registered": 0}

    def test_methods_are_told_apart(self, stage: Stages) -> None:
        plant = stage()
        web_id = plant.web_id(NAME)
        assert plant.ask("GET", f"/streams/{web_id}/updates").status_code == 405
        assert plant.ask("POST", f"/streams/updates/{UNKNOWN}").status_code == 405
        assert plant.ask("PUT", "/streamsets/updates").status_code == 405
        assert plant.ask("POST", f"/streams/{web_id}/recorded").status_code == 405
        assert plant.ask("POST", "/streams/a/b/updates").status_code == 404

    def test_it_uses_up_the_rate_limit(self, stage: Stages) -> None:
        plant = stage(rate_limit=3)
        web_id = plant.web_id(NAME)
        statuses = [plant.ask("POST", f"/streams/{web_id}/updates").status_code for _ in range(3)]
        assert statuses == [200, 200, 429]

    def test_inside_a_batch(self, stage: Stages) -> None:
        plant = stage()
        batch = {
            "r": {"Method": "POST", "Resource": f"http://plant/piwebapi/streams/{plant.web_id(NAME)}/updates"},
            "u": {
                "Method": "GET",
                "Resource": "http://plant/piwebapi/streams/updates/{0}",
                "Parameters": ["$.r.Content.LatestMarker"],
                "ParentIds": ["r"],
            },
        }
        answer = plant.ask("POST", "/batch", content=json.dumps(batch)).json()
        assert [answer[name]["Status"] for name in "ru"] == [200, 200]
        assert answer["u"]["Content"]["Status"] == "Updated"


class TestEdits:
    def test_every_edit_after_the_registration_in_the_order_applied(self, stage: Stages) -> None:
        plant = stage()
        web_id = plant.web_id(NAME)
        first, second, third = plant.get(
            f"/streams/{web_id}/recorded", startTime=iso(NOW), maxCount="3", endTime="*+1h"
        )["Items"]
        follower = Follower(plant)
        assert follower.told() == []
        late = iso(NOW - 10 * HOUR_NS + TICK_NS)
        follower.edit("remove", third["Timestamp"])
        follower.edit("change", second["Timestamp"], 7.5)
        follower.edit("add", late, 3.25)
        follower.edit("add", late, 4.0)  # a tie
        follower.edit("change", first["Timestamp"], 1.5)
        follower.edit("remove", first["Timestamp"])
        follower.edit("add", late, 1.0, OTHER)  # another stream's
        assert follower.told() == [
            ("Delete", third["Timestamp"], third["Value"]),
            ("Update", second["Timestamp"], 7.5),
            ("Add", late, 3.25),
            ("Add", late, 4.0),
            ("Update", first["Timestamp"], 1.5),
            ("Delete", first["Timestamp"], 1.5),
        ]
        assert follower.told() == []

    def test_an_item_is_a_timed_value_with_its_action(self, stage: Stages) -> None:
        plant = stage()
        follower = Follower(plant)
        marker = follower.marker
        follower.edit("add", "2026-01-01T10:00:00.0000001Z", {"Name": "Bad Input", "Value": 255, "IsSystem": True})
        item = plant.get(f"/streams/updates/{marker}")
        assert list(item) == ITEM and item["LatestMarker"] != marker
        assert item["Source"] == follower.web_id and item["SourceName"] == NAME and item["Exception"] is None
        assert item["Events"] == [
            {
                "Timestamp": "2026-01-01T10:00:00.0000001Z",
                "UnitsAbbreviation": "",
                "Good": False,
                "Questionable": False,
                "Substituted": False,
                "Annotated": False,
                "Value": {"Name": "Bad Input", "Value": 255, "IsSystem": True},
                "Action": "Add",
                "PreviousEventAction": "PreviousEventArchived",
            }
        ]
        fields = "LatestMarker;Events.Timestamp;Events.Action"
        assert plant.get(f"/streams/updates/{marker}", selectedFields=fields) == {
            "LatestMarker": item["LatestMarker"],
            "Events": [{"Timestamp": "2026-01-01T10:00:00.0000001Z", "Action": "Add"}],
        }

    def test_a_swap_is_two_updates(self, stage: Stages) -> None:
        plant = stage()
        follower = Follower(plant)
        window = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z", "points": [NAME]}
        done = plant.post("/_plant/edits", {"seed": 1, "count": 1, "kinds": ["swap"], **window})["edits"]
        wanted = [("Update", one["time"], one["after"]["Value"]) for one in done]
        assert len(wanted) == 2 and follower.told() == wanted

    def test_a_marker_may_be_read_again(self, stage: Stages) -> None:
        plant = stage()
        follower = Follower(plant)
        marker = follower.marker
        follower.edit("add", "2026-01-01T10:00:00Z", 1.0)
        once, twice = (plant.get(f"/streams/updates/{marker}") for _ in range(2))
        assert once == twice and len(once["Events"]) == 1
        follower.edit("remove", "2026-01-01T10:00:00Z")
        assert [event["Action"] for event in plant.get(f"/streams/updates/{marker}")["Events"]] == ["Add", "Delete"]

    def test_what_was_before_the_registration_is_not_told(self, stage: Stages) -> None:
        plant = stage()
        plant.post("/_plant/edits", [{"point": NAME, "op": "add", "time": iso(NOW), "value": 1.0}])
        assert Follower(plant).told() == []

    def test_hidden_windows_are_no_changes(self, stage: Stages) -> None:
        plant = stage()
        follower = Follower(plant)
        window = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}
        plant.post("/_plant/hide", window)
        assert follower.told() == []
        plant.ask("DELETE", "/_plant/hide")
        assert follower.told() == []


class TestLive:
    def test_events_come_as_the_clock_goes_on(self, stage: Stages) -> None:
        plant = stage(live=True)
        follower = Follower(plant)
        assert follower.told() == []
        for hours in (1, 20):  # the second reaches over midnight
            start_ns = plant.plant.clock.now_ns()
            follower.advance(hours * 3_600)
            events = follower.read()
            assert {event.pop("Action") for event in events} == {"Add"}
            assert {event.pop("PreviousEventAction") for event in events} == {"PreviousEventArchived"}
            assert events == follower.recorded(start_ns + TICK_NS, plant.plant.clock.now_ns()) and len(events) > 40
            assert follower.told() == []

    def test_an_idle_stream_keeps_its_marker(self, stage: Stages) -> None:
        plant = stage(live=True)
        follower = Follower(plant, "UNIT1.SILENT.XI013.PV")
        marker = follower.marker
        for _ in range(5):
            follower.advance(60)
            assert follower.told() == [] and follower.marker == marker
        follower.edit("add", NOW + 250 * SECOND_NS, 2.0, "UNIT1.SILENT.XI013.PV")
        follower.edit("remove", NOW + 250 * SECOND_NS, name="UNIT1.SILENT.XI013.PV")
        assert [action for action, _, _ in follower.told()] == ["Add", "Delete"]

    def test_late_events_and_new_ones_in_one_answer(self, stage: Stages) -> None:
        plant = stage(live=True)
        follower = Follower(plant)
        late = NOW - HOUR_NS + TICK_NS
        follower.edit("add", late, 1.0)
        follower.advance(600)
        told = follower.told()
        assert told[0] == ("Add", iso(late), 1.0) and len(told) > 5
        times = [parse_iso(time) for _, time, _ in told[1:]]
        assert times == sorted(times)

    def test_an_edit_later_than_the_present_is_told_once_and_when_visible(self, stage: Stages) -> None:
        plant = stage(live=True)
        follower = Follower(plant)
        ahead = [int(time) for time in plant.plant.unhidden(2, NOW // (24 * HOUR_NS)).times if time > NOW][:4]
        new = ahead[2] + TICK_NS
        follower.edit("change", ahead[0], 7.5)
        follower.edit("remove", ahead[1])
        follower.edit("add", new, 1.0)
        follower.edit("change", new, 2.0)
        assert follower.told() == []
        follower.advance(1_800)
        told = follower.told()
        assert {action for action, _, _ in told} == {"Add"}
        assert told[0] == ("Add", iso(ahead[0]), 7.5)
        times = [parse_iso(time) for _, time, _ in told]
        assert ahead[1] not in times and times == sorted(times)
        assert [one for one in told if one[1] == iso(new)] == [("Add", iso(new), 2.0)]
        follower.advance(1)
        assert not {iso(ahead[0]), iso(new)} & {time for _, time, _ in follower.told()}
        follower.edit("change", new, 3.0)
        assert follower.told() == [("Update", iso(new), 3.0)]

    def test_an_edit_of_an_event_not_told_yet_comes_with_the_event(self, stage: Stages) -> None:
        plant = stage(live=True)
        follower = Follower(plant)
        follower.advance(1_800)
        time = follower.recorded(NOW + TICK_NS, NOW + HOUR_NS)[3]["Timestamp"]
        follower.edit("change", time, 7.5)
        assert [one for one in follower.told() if one[1] == time] == [("Add", time, 7.5)]

    def test_edits_of_future_data_are_told_at_once(self, stage: Stages) -> None:
        plant = stage(live=True)
        follower = Follower(plant, FORECAST)
        follower.edit("add", NOW + 100 * HOUR_NS + TICK_NS, 5.0, FORECAST)
        assert follower.told() == [("Add", iso(NOW + 100 * HOUR_NS + TICK_NS), 5.0)]
        follower.advance(3_600)
        assert follower.told() == []

    def test_new_events_are_told_even_where_they_are_hidden(self, stage: Stages) -> None:
        plant = stage(live=True)
        follower = Follower(plant)
        plant.post("/_plant/hide", {"start": iso(NOW), "end": iso(NOW + HOUR_NS)})
        follower.advance(1_800)
        assert follower.recorded(NOW, NOW + HOUR_NS) == []
        told = follower.told()
        plant.ask("DELETE", "/_plant/hide")
        assert [time for _, time, _ in told] == [one["Timestamp"] for one in follower.recorded(NOW + 1, NOW + HOUR_NS)]
        assert follower.told() == []

    def test_a_clock_set_back_tells_nothing_twice(self, stage: Stages) -> None:
        plant = stage(live=True)
        follower = Follower(plant)
        follower.advance(600)
        assert follower.told()
        follower.advance(-600)
        assert follower.told() == []
        follower.advance(600)
        assert follower.told() == []

    def test_two_clients_at_their_own_pace(self, stage: Stages) -> None:
        plant = stage(live=True)
        slow, fast = Follower(plant), Follower(plant)
        parts: list[tuple[str, str, Any]] = []
        for _ in range(4):
            fast.advance(900)
            parts += fast.told()
        assert slow.told() == parts and slow.marker == fast.marker


class TestMarkers:
    @pytest.mark.parametrize(
        ("marker", "status"),
        [(UNKNOWN, 404), ("nonsense", 409), ("0" * 32, 409), ("0" * 32 + "_x", 409), ("0" * 31 + "_1", 409)],
    )
    def test_bad_markers(self, stage: Stages, marker: str, status: int) -> None:
        plant = stage()
        answer = plant.ask("GET", f"/streams/updates/{marker}")
        assert answer.status_code == status and marker in answer.json()["Errors"][0]
        follower = Follower(plant)
        follower.edit("add", "2026-01-01T10:00:00Z", 1.0)
        document = plant.get("/streamsets/updates", marker=[marker, follower.marker])
        assert list(document) == ["Items"]
        items = {item["RequestedMarker"]: item for item in document["Items"]}
        assert items[follower.marker]["Status"] == "Updated" and len(items[follower.marker]["Events"]) == 1
        failed = items[marker]
        assert list(failed) == ITEM and (failed["Status"], failed["Events"]) == ("Failed", [])
        assert failed["LatestMarker"] is None and failed["Exception"]["StatusCode"] == status

    def test_selected_fields_of_a_set(self, stage: Stages) -> None:
        plant = stage()
        one, two = Follower(plant), Follower(plant, OTHER)
        one.edit("add", "2026-01-01T10:00:00Z", 1.0)
        fields = "Items.Source;Items.Events.Value"
        items = plant.get("/streamsets/updates", marker=[one.marker, two.marker], selectedFields=fields)["Items"]
        assert {item["Source"]: item["Events"] for item in items} == {one.web_id: [{"Value": 1.0}], two.web_id: []}
        assert all(list(item) == ["Source", "Events"] for item in items)

    def test_a_marker_never_given_is_invalid(self, stage: Stages) -> None:
        plant = stage()
        cache = Follower(plant).marker.partition("_")[0]
        assert plant.ask("GET", f"/streams/updates/{cache}_5").status_code == 409

    def test_more_changes_than_are_kept_make_old_markers_invalid(self, stage: Stages) -> None:
        plant = stage(updates_kept=5)
        follower = Follower(plant)
        first = follower.marker
        for turn in range(5):
            follower.edit("add", "2026-01-01T10:00:00Z", float(turn))
        assert len(follower.told()) == 5
        follower.edit("add", "2026-01-01T10:00:00Z", 5.0)
        assert len(follower.told()) == 1
        assert plant.ask("GET", f"/streams/updates/{first}").status_code == 409
        follower.marker = plant.post(f"/streams/{follower.web_id}/updates")["LatestMarker"]
        assert follower.told() == []

    def test_so_does_the_clock(self, stage: Stages) -> None:
        plant = stage(live=True, updates_kept=50)
        follower = Follower(plant)
        follower.advance(20 * 3_600)
        assert plant.ask("GET", f"/streams/updates/{follower.marker}").status_code == 409
        again = plant.post(f"/streams/{follower.web_id}/updates")
        assert again["Status"] == "AlreadyRegistered" and again["LatestMarker"] != follower.marker
        follower.marker = again["LatestMarker"]
        follower.advance(600)
        assert follower.told()

    def test_positions_are_bounded(self, stage: Stages) -> None:
        plant = stage(live=True, updates_kept=20)
        follower = Follower(plant)
        for _ in range(60):
            follower.advance(60)
            follower.told()
        (signup,) = plant.app.service.signups._by_point.values()
        assert len(signup.positions) <= 21

    def test_a_restart_forgets_all_registrations(self, stage: Stages) -> None:
        plant = stage()
        follower = Follower(plant)
        Follower(plant, OTHER)
        assert plant.get("/_plant/updates") == {"registered": 2}
        assert plant.ask("DELETE", "/_plant/updates").json() == {"registered": 0}
        assert plant.ask("GET", f"/streams/updates/{follower.marker}").status_code == 404
        again = plant.post(f"/streams/{follower.web_id}/updates")
        assert again["Status"] == "Succeeded" and again["LatestMarker"][:32] != follower.marker[:32]

    def test_how_many_are_kept_is_a_setting(self) -> None:
        assert from_arguments([]).updates_kept == 10_000
        assert from_arguments(["--updates-kept", "7"]).updates_kept == 7

    def test_events_told_are_counted(self, stage: Stages) -> None:
        plant = stage()
        follower = Follower(plant)
        follower.edit("add", "2026-01-01T10:00:00Z", 1.0)
        before = plant.get("/_plant/stats")["events_served"]
        follower.told()
        assert plant.get("/_plant/stats")["events_served"] == before + 1


class TestPoints:
    def test_a_rename_is_no_change(self, stage: Stages) -> None:
        plant = stage()
        follower = Follower(plant)
        plant.post("/_plant/points", {"op": "rename", "name": NAME, "to": "NEW.NAME"})
        item = plant.get(f"/streams/updates/{follower.marker}")
        assert (item["SourceName"], item["Events"], item["LatestMarker"]) == ("NEW.NAME", [], follower.marker)

    def test_a_deleted_point_fails_and_is_unregistered(self, stage: Stages) -> None:
        plant = stage()
        follower, other = Follower(plant), Follower(plant, OTHER)
        plant.post("/_plant/points", {"op": "delete", "name": NAME})
        items = plant.get("/streamsets/updates", marker=[follower.marker, other.marker])["Items"]
        found = {item["SourceName"]: item for item in items}
        assert (found[NAME]["Status"], found[NAME]["LatestMarker"]) == ("Failed", None)
        assert found[NAME]["Source"] == follower.web_id and found[NAME]["Exception"]["StatusCode"] == 404
        assert found[OTHER]["Status"] == "Updated"
        assert plant.get("/_plant/updates") == {"registered": 1}
        assert plant.ask("GET", f"/streams/updates/{follower.marker}").status_code == 404
        assert plant.ask("POST", f"/streams/{follower.web_id}/updates").status_code == 404

    def test_the_single_form_tells_of_a_deleted_point_too(self, stage: Stages) -> None:
        plant = stage()
        follower = Follower(plant)
        plant.post("/_plant/points", {"op": "delete", "name": NAME})
        assert plant.get(f"/streams/updates/{follower.marker}")["Status"] == "Failed"
        assert plant.get("/_plant/updates") == {"registered": 0}
