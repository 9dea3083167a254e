"""`ferry init`: asks where a historian is, tries the login, shows its first points, writes a plant file."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.options import Moment, framed
from cli.plant_answers import LOGINS, WITH_PASSWORD, Answers, asked, assumed, forgotten
from cli.session import Session

if TYPE_CHECKING:
    from pipelines.plant import Plant
    from pipelines.points import Point

_SHOWN = 10
_COMMENT, _COMMENT_AT = " ## ", 36


@dataclass(slots=True)
class Found:
    """What the server said."""

    said: str = "not asked"
    points: list[Point] = field(default_factory=list)
    asked: bool = False


@click.command(short_help="Write a plant file: asks, tries the login, shows points.")
@framed
@click.option("--kind", type=click.Choice(list(LOGINS)), help="Of the historian.")
@click.option(
    "--address", default="", metavar="WHERE", help="url of a PI Web API or OPC UA server, host of a Historian."
)
@click.option("--name", default="", help="Of the plant, also of its IoTDB database.  [default: the folder's name]")
@click.option("--source", default="", help="What the source is called.  [default: pi1, historian1, opcua1]")
@click.option("--auth", default="", help="basic, bearer, kerberos, ntlm or none.  [default: basic with --username]")
@click.option("--username", default="", help="Who logs in.")
@click.option("--password-env", default="", metavar="VARIABLE", help="Environment variable with the password.")
@click.option("--token-env", default="", metavar="VARIABLE", help="Environment variable with the token.")
@click.option("--token-url", default="", metavar="URL", help="OAuth2 token endpoint that gives ferry its tokens.")
@click.option("--client-id", default="", help="Whom it gives them to.")
@click.option("--client-secret-env", default="", metavar="VARIABLE", help="Environment variable with its secret.")
@click.option("--data-server", help="Of PI, where it has several.")
@click.option("--points", multiple=True, metavar="GLOB", help="Which points; may be given often.  [default: *]")
@click.option("--start", "start_ns", type=Moment(), help="From when on.  [default: 1 January of last year]")
@click.option("--ca-file", default="", help="PEM file of the authority that signed the server's certificate.")
@click.option("--tls/--no-tls", default=True, help="Of a Historian's connection.")
@click.option("--offline", is_flag=True, help="Do not ask the server.")
@click.option("--force", is_flag=True, help="Write over a plant file that is there.")
def init(session: Session, offline: bool, force: bool, **given: Any) -> None:
    """Write a plant file for one historian.

    On a terminal it asks for what no option says; elsewhere --kind and --address are needed. Passwords never stand in
    the file: it names the environment variables that hold them. PLCs are added by hand (docs/plant-file.md).
    """
    from pipelines.plant import plant_of
    from pipelines.ports import Stop

    screen, path = session.screen, session.plant_file
    if path.exists() and not force:
        raise Stop(f"{path} is there already: name another file with --plant, or write over it with --force")
    ask = sys.stdin.isatty() and not screen.as_json
    answers = Answers(**{key: value for key, value in given.items() if value is not None})
    while True:
        answers = asked(answers, path) if ask else assumed(answers, path)
        try:
            text = _text(answers)
            plant = plant_of(text, path)
            found = Found() if offline else _tried(session, plant, answers, ask)
            break
        except Stop as error:
            if not ask:
                raise
            screen.fail(str(error))
            if not click.confirm("Answer again?", default=True, err=True):
                raise
            answers = forgotten(answers)
    _write(path, text)
    _show(session, answers, found)
    screen.emit(
        {
            "plant_file": str(path), "source": answers.source, "said": found.said,
            "points": len(found.points) if found.asked else None,
            "first": [
                {"name": each.name, "unit": each.unit, "type": each.source_type} for each in found.points[:_SHOWN]
            ],
        }
    )  # fmt: skip


def _tried(session: Session, plant: Plant, answers: Answers, ask: bool) -> Found:
    """Logs in and lists the points. Raises Stop, Unreachable."""
    from cli.probes import source_probe
    from pipelines.ports import Stop
    from resources.outside import Outside

    variable, screen = answers.secret_env, session.screen
    if variable and not os.environ.get(variable):
        if not ask:
            raise Stop(f"{variable} is not set: export it, so that the login can be tried, or give --offline")
        os.environ[variable] = click.prompt(
            f"{variable} is not set. The secret, to try the login now; it is not kept", hide_input=True, err=True
        )
    screen.secrets.add(os.environ.get(variable, ""))
    outside, [settings] = Outside(plant), plant.source
    with screen.busy(f"logging in at {settings.place}"):
        said, _, secret_shown = source_probe(outside, settings, settings.place)
    with screen.busy(f"asking {settings.name} for its points"):
        points = _listed(outside, settings)
    if not points:
        raise Stop(f"{said}; but points = {list(settings.points)} selects nothing that this login may see")
    if secret_shown:
        screen.note("the password goes readable by anybody on the way: use TLS (an https url)", style="yellow")
    return Found(said, sorted(points, key=lambda point: point.name), asked=True)


def _listed(outside: Any, settings: Any) -> list[Point]:
    import asyncio

    async def listed() -> list[Point]:
        source = outside.source(settings)
        try:
            found: list[Point] = await source.discover()
            return found
        finally:
            await source.close()

    return asyncio.run(listed())


def _text(answers: Answers) -> str:
    """The plant file, with comments."""
    from cli.demo_plant import to_value
    from pipelines.plant import PLACES
    from pipelines.timeline import iso

    assert answers.start_ns is not None
    auth = {"kind": answers.auth}
    if answers.auth in WITH_PASSWORD:
        auth |= {"username": answers.username, "password_env": answers.password_env}
    elif answers.auth == "bearer" and answers.token_url:
        auth |= {name: getattr(answers, name) for name in ("token_url", "client_id", "client_secret_env")}
    elif answers.auth == "bearer":
        auth |= {"token_env": answers.token_env}
    more = {"data_server": answers.data_server, "ca_file": answers.ca_file, "tls": False if not answers.tls else None}
    extra = "".join(f"{key} = {to_value(value)}\n" for key, value in more.items() if value not in ("", None))
    text = _FILE.format(
        name=to_value(answers.name), source=to_value(answers.source), kind=to_value(answers.kind),
        key=PLACES[answers.kind][0], address=to_value(answers.address), auth=to_value(auth), extra=extra,
        points=to_value(list(answers.points)), start=iso(answers.start_ns),
    )  # fmt: skip
    lines = (line.partition(_COMMENT) for line in text.splitlines())
    return "".join(f"{key + ' ':{_COMMENT_AT}}# {words}\n" if mark else f"{key}\n" for key, mark, words in lines)


_FILE = """\
# Written by `ferry init`. docs/plant-file.md explains every key; `ferry doctor` says what is wrong and what to do.

[plant]
name = {name} ## also the IoTDB database
state_dir = ".ferry" ## servers, landing, marts, reports, Dagster's home, logs; beside this file

[[source]]
name = {source}
kind = {kind}
{key} = {address}
# Secrets stand in environment variables, never here.
auth = {auth}
{extra}points = {points} ## globs of point names; `exclude` leaves some of them out
point_groups = 8 ## buckets of points, the unit that is scheduled; choose once
window = "month" ## time span of a Dagster partition: "month" or "day"
start = {start} ## history from here on; `end` where it is wanted up to a time only
requests_per_s = 20 ## the historian is somebody's running plant
# quiet_hours = ["05:30-06:30"] ## UTC; nothing is asked then
# lateness = "2 d" ## how long late events are waited for

[store]
iotdb = "embedded" ## or "host:6667" with username and password_env: an IoTDB of your own

[ledger]
postgres = "embedded" ## or {{ dsn_env = "VARIABLE" }}: a PostgreSQL of your own
"""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _show(session: Session, answers: Answers, found: Found) -> None:
    from cli.points import legible

    screen, path = session.screen, session.plant_file
    if found.asked:
        screen.say(found.said)
        screen.say(f"{len(found.points):,} points; the first of them:", style="bold")
        rows = [
            (legible(each.name, 80), legible(each.unit, 12), each.source_type or each.kind, legible(each.description))
            for each in found.points[:_SHOWN]
        ]
        screen.table("", ("name", "unit", "type", "description"), rows)
    screen.say(f"wrote {path}", style="green")
    plant = "" if not session.chosen else f" --plant {path}"
    if answers.secret_env:
        screen.say(f"next: export {answers.secret_env}=…, then ferry doctor{plant}, discover, plan, backfill")
    else:
        screen.say(f"next: ferry doctor{plant}, discover, plan, backfill")
