"""Endpoints about the server and its points: landing, system, data servers, points, enumeration sets."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from simulators.pi_web_api import webids
from simulators.pi_web_api.catalogue import UnknownPointError
from simulators.pi_web_api.clock import iso
from simulators.pi_web_api.exchange import Answer, Question, RefusalError, listed
from simulators.pi_web_api.service import Service
from simulators.pi_web_api.specs import Spec
from simulators.pi_web_api.states import SYSTEM_SET, SYSTEM_STATES

VERSION = "1.19.0.1133"
_STARTED_S = time.monotonic()
_SEARCH_MOST = 1_000  # /points/search gives no more (facts 1.2)
_CONDITION = re.compile(r'\s*(?:AND\s+)?([A-Za-z]+)\s*:\s*(=|<>)\s*("[^"]*"|\'[^\']*\'|\S+)', re.IGNORECASE)


def landing(service: Service, question: Question) -> Answer:
    """GET /."""
    del service
    names = {"Self": "/", "AssetServers": "/assetservers", "DataServers": "/dataservers", "System": "/system"}
    return listed(question, {"Links": {name: question.base + path for name, path in names.items()}})


def system(service: Service, question: Question) -> Answer:
    """GET /system."""
    del service
    names = ("cacheinstances", "configuration", "userinfo", "versions", "status", "instanceconfiguration")
    links = {name: f"{question.base}/system/{name}" for name in names}
    return listed(question, {"ProductTitle": "PI Web API (stand-in)", "ProductVersion": VERSION, "Links": links})


def status(service: Service, question: Question) -> Answer:
    """GET /system/status."""
    up = (time.monotonic() - _STARTED_S) / 60
    now = iso(service.plant.clock.now_ns())
    return listed(question, {"UpTimeInMinutes": up, "State": "Running", "CacheInstances": 1, "ServerTime": now})


def userinfo(service: Service, question: Question) -> Answer:
    """GET /system/userinfo."""
    settings = service.settings
    name = {"none": "NT AUTHORITY\\ANONYMOUS LOGON", "basic": settings.username, "bearer": "client"}[settings.auth]
    return listed(
        question,
        {
            "IdentityType": "WindowsIdentity",
            "Name": name,
            "IsAuthenticated": settings.auth != "none",
            "SID": "S-1-5-7",
            "ImpersonationLevel": "Impersonation",
        },
    )


def data_servers(service: Service, question: Question) -> Answer:
    """GET /dataservers, also with ?name= or ?path=."""
    name, path = question.text("name"), question.text("path")
    if not name and not path:
        return listed(question, {"Links": {}, "Items": [_server(service, question)]})
    wanted = name or re.sub(r"^\\\\PIServers\[(.*)\]$", r"\1", path).lstrip("\\")
    if wanted.upper() != service.catalogue.server.upper():
        raise RefusalError(404, f"PI Data Archive '{wanted}' not found.")
    return listed(question, _server(service, question))


def data_server(service: Service, question: Question, web_id: str) -> Answer:
    """GET /dataservers/{webId}."""
    service.check_server(web_id)
    return listed(question, _server(service, question))


def server_points(service: Service, question: Question, web_id: str) -> Answer:
    """GET /dataservers/{webId}/points."""
    service.check_server(web_id)
    matches = _glob(question.text("nameFilter", "*"))
    specs = [spec for spec in service.catalogue.listed() if matches(spec.name)]
    return _page(service, question, specs, f"/dataservers/{web_id}/points", service.max_count(question))


def search(service: Service, question: Question) -> Answer:
    """GET /points/search."""
    if question.text("dataServerWebId"):
        service.check_server(question.text("dataServerWebId"))
    query = question.text("query")
    conditions = _CONDITION.findall(query)
    if not conditions or _CONDITION.sub("", query).strip():
        raise RefusalError(400, f"The query '{query}' could not be parsed.")
    specs = service.catalogue.listed()
    for field, sign, text in conditions:
        matches = _glob(text.strip("\"'"))
        specs = [spec for spec in specs if matches(_searched(spec, field)) == (sign == "=")]
    return _page(service, question, specs, "/points/search", service.max_count(question, _SEARCH_MOST))


def by_path(service: Service, question: Question) -> Answer:
    """GET /points?path=."""
    if not question.text("path"):
        raise RefusalError(400, "Parameter 'path' is required.")
    try:
        spec = service.catalogue.by_path(question.text("path"))
    except UnknownPointError as error:
        raise RefusalError(404, str(error)) from error
    return listed(question, point_document(service, question, spec))


def point(service: Service, question: Question, web_id: str) -> Answer:
    """GET /points/{webId}."""
    return listed(question, point_document(service, question, service.point(web_id)))


def multiple(service: Service, question: Question) -> Answer:
    """GET /points/multiple; 207 where some were not found."""
    items: list[dict[str, Any]] = []
    failed = False
    names = [("Path", path) for path in question.texts("path")]
    for kind, name in [("WebID", web_id) for web_id in question.texts("webId")] + names:
        item: dict[str, Any] = {"Identifier": name, "IdentifierType": kind}
        try:
            spec = service.catalogue.by_path(name) if kind == "Path" else service.point(name)
            item["Object"] = point_document(service, question, spec)
        except (UnknownPointError, RefusalError) as error:
            item["Exception"] = {"Errors": [str(error)]}
            failed = True
        items.append(item)
    if not items:
        raise RefusalError(400, "Parameter 'webId' or 'path' is required.")
    return listed(question, {"Links": {}, "Items": items}, 207 if failed else 200)


def attributes(service: Service, question: Question, web_id: str) -> Answer:
    """GET /points/{webId}/attributes."""
    spec = service.point(web_id)
    known: dict[str, Any] = {
        "tag": spec.name, "descriptor": spec.description, "engunits": spec.unit, "pointid": spec.number,
        "pointsource": "S", "pointtype": spec.pi_type, "step": int(spec.step), "zero": spec.zero,
        "span": spec.span, "typicalvalue": spec.zero + spec.span / 2, "digitalset": spec.digital_set,
        "compressing": 1, "compdev": spec.span / 500, "compdevpercent": 0.2, "compmax": 28_800, "compmin": 0,
        "excdev": spec.span / 1_000, "excdevpercent": 0.1, "excmax": 600, "excmin": 0, "archiving": 1, "scan": 1,
        "shutdown": 0, "future": int(spec.future), "ptclassname": "classic", "displaydigits": -5,
        "instrumenttag": f"DCS.{spec.name}", "exdesc": "", "sourcetag": "", "location1": 1,
        "location2": spec.number % 4, "location3": 0,
        "location4": 1 + spec.number % 3, "location5": 0, "filtercode": 0, "squareroot": 0,
        "totalcode": 0, "convers": 1.0, "userint1": 0, "userreal1": 0.0, "ptowner": "piadmin",
        "creationdate": "2019-05-06T07:08:09Z", "changedate": "2024-02-03T04:05:06.0070129Z", "changer": "PLANT\\pi",
        **service.plant.attributes.get(spec.number, {}),
    }  # fmt: skip
    matches = _glob(question.text("nameFilter", "*"))
    wanted = [name.lower() for name in question.texts("name")] or [name for name in sorted(known) if matches(name)]
    for name in wanted:
        if name not in known:
            raise RefusalError(400, f"The attribute '{name}' is not known for the PI Point.")
    link = f"{question.base}/points/{web_id}/attributes"
    items = [{"Name": name, "Value": known[name], "Links": {"Self": f"{link}/{name}"}} for name in wanted]
    return listed(question, {"Links": {}, "Items": items})


def enumeration_sets(service: Service, question: Question, web_id: str) -> Answer:
    """GET /dataservers/{webId}/enumerationsets."""
    service.check_server(web_id)
    items = []
    for name in (SYSTEM_SET, *service.plant.digital_sets):
        own = _set_id(service, question, name)
        links = {
            "Self": f"{question.base}/enumerationsets/{own}",
            "DataServer": f"{question.base}/dataservers/{web_id}",
            "Values": f"{question.base}/enumerationsets/{own}/enumerationvalues",
        }
        path = f"\\\\{service.catalogue.server}\\{name}"
        items.append({"WebId": own, "Name": name, "Description": "", "Path": path, "Links": links})
    return listed(question, {"Links": {}, "Items": items})


def enumeration_values(service: Service, question: Question, set_id: str) -> Answer:
    """GET /enumerationsets/{webId}/enumerationvalues."""
    states: dict[int, str] = {}
    for name in (SYSTEM_SET, *service.plant.digital_sets):
        if set_id in (
            webids.of_set(kind, service.catalogue.guid, service.catalogue.server, name) for kind in webids.TYPES
        ):
            states = SYSTEM_STATES if name == SYSTEM_SET else dict(enumerate(service.plant.digital_sets[name]))
    if not states:
        raise RefusalError(404, "The specified enumeration set was not found.")
    items = [{"Name": name, "Description": "", "Value": number} for number, name in states.items()]
    return listed(question, {"Links": {}, "Items": items})


def point_document(service: Service, question: Question, spec: Spec) -> dict[str, Any]:
    """The Point object."""
    own = service.web_id(question, spec)
    streams = f"{question.base}/streams/{own}"
    return {
        "WebId": own,
        "Id": spec.number,
        "Name": spec.name,
        "Path": service.catalogue.path(spec),
        "Descriptor": spec.description,
        "PointClass": "classic",
        "PointType": spec.pi_type,
        "DigitalSetName": spec.digital_set,
        "EngineeringUnits": spec.unit,
        "Span": spec.span,
        "Zero": spec.zero,
        "Step": spec.step,
        "Future": spec.future,
        "DisplayDigits": -5,
        "Links": {
            "Self": f"{question.base}/points/{own}",
            "DataServer": f"{question.base}/dataservers/{_server_id(service, question)}",
            "Attributes": f"{question.base}/points/{own}/attributes",
            "InterpolatedData": f"{streams}/interpolated",
            "RecordedData": f"{streams}/recorded",
            "PlotData": f"{streams}/plot",
            "SummaryData": f"{streams}/summary",
            "Value": f"{streams}/value",
            "EndValue": f"{streams}/end",
        },
    }


def _page(service: Service, question: Question, specs: list[Spec], path: str, count: int) -> Answer:
    """One page of points with its links; a page beyond the end is empty."""
    start = question.number("startIndex", 0)
    shown = specs[start : start + count]
    base = f"{question.base}{path}"
    links = {"First": f"{base}?startIndex=0&maxCount={count}"}
    if start:
        links["Previous"] = f"{base}?startIndex={max(start - count, 0)}&maxCount={count}"
    if start + count < len(specs):
        links["Next"] = f"{base}?startIndex={start + count}&maxCount={count}"
    links["Last"] = f"{base}?startIndex={max(len(specs) - 1, 0) // count * count}&maxCount={count}"
    items = [point_document(service, question, spec) for spec in shown]
    return listed(question, {"Links": links, "Items": items})


def _server(service: Service, question: Question) -> dict[str, Any]:
    own = _server_id(service, question)
    link = f"{question.base}/dataservers/{own}"
    return {
        "WebId": own,
        "Id": str(service.catalogue.guid),
        "Name": service.catalogue.server,
        "Path": f"\\\\PIServers[{service.catalogue.server}]",
        "IsConnected": True,
        "ServerVersion": "3.4.440.477",
        "ServerTime": iso(service.plant.clock.now_ns()),
        "Links": {"Self": link, "Points": f"{link}/points", "EnumerationSets": f"{link}/enumerationsets"},
    }


def _server_id(service: Service, question: Question) -> str:
    return webids.of_server(service.kind(question), service.catalogue.guid, service.catalogue.server)


def _set_id(service: Service, question: Question, name: str) -> str:
    return webids.of_set(service.kind(question), service.catalogue.guid, service.catalogue.server, name)


def _glob(pattern: str) -> Callable[[str], bool]:
    """A test of a name against `*` and `?`, whatever its case."""
    parts = (".*" if mark == "*" else "." if mark == "?" else re.escape(mark) for mark in pattern)
    test = re.compile("".join(parts), re.IGNORECASE | re.DOTALL)
    return lambda name: test.fullmatch(name) is not None


def _searched(spec: Spec, field: str) -> str:
    fields = {
        "tag": spec.name, "name": spec.name, "descriptor": spec.description, "pointtype": spec.pi_type,
        "engunits": spec.unit, "pointid": str(spec.number), "pointsource": "S",
    }  # fmt: skip
    if field.lower() not in fields:
        raise RefusalError(400, f"The query field '{field}' is not known.")
    return fields[field.lower()]
