"""Kerberos for real: a KDC of MIT's, tickets, a stand-in plant behind SPNEGO; where both are installed."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines.plant import SourceSettings
from pipelines.ports import Stop, Unreachable
from pipelines.timeline import HOUR_NS, Interval, parse
from resources.pi_web_api import Patience, PiWebApiSource
from simulators.pi_web_api import Plant, Settings, truth
from simulators.pi_web_api.server import application
from tests.contract.source_contract import drained, events_of, same
from tests.contract.stand_in import serving

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
TOOLS = ("krb5kdc", "kdb5_util", "kadmin.local", "kinit", "kdestroy")
MISSING = [tool for tool in TOOLS if shutil.which(tool, path=PATH) is None]
MISSING += [module for module in ("gssapi", "httpx_gssapi") if importlib.util.find_spec(module) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(MISSING),
        reason=f"not installed: {', '.join(MISSING)} (Debian: krb5-kdc krb5-admin-server krb5-user libkrb5-dev; "
        "pip: historian-ferry[kerberos])",
    ),
]
REALM, BEGIN = "FERRY.TEST", "2026-01-01T00:00:00Z"
PLANT = Plant(Settings(points=20, hours=2))
SPAN = Interval(parse(BEGIN), parse(BEGIN) + 2 * HOUR_NS)
KRB5 = """
[libdefaults]
default_realm = {realm}
dns_lookup_kdc = false
dns_canonicalize_hostname = false
rdns = false
qualify_shortname = ""
udp_preference_limit = 1
clockskew = 1
[realms]
{realm} = {{
  kdc = 127.0.0.1:{port}
}}
[domain_realm]
localhost = {realm}
127.0.0.1 = {realm}
"""
KDC = """
[kdcdefaults]
kdc_listen = ""
kdc_tcp_listen = 127.0.0.1:{port}
[realms]
{realm} = {{
  database_name = {folder}/principal
  key_stash_file = {folder}/stash
  acl_file = {folder}/acl
}}
[logging]
kdc = FILE:{folder}/kdc.log
"""


@dataclass
class Realm:
    """A KDC that runs, and its keytabs: the server's and the user's."""

    folder: Path
    kdc: subprocess.Popen[bytes]

    def file(self, name: str) -> str:
        return str(self.folder / name)

    def tool(self, *command: str, given: str = "") -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **surroundings(self.folder), "PATH": PATH}
        return subprocess.run(command, env=environment, input=given, text=True, capture_output=True, check=False)

    def kinit(self, *options: str) -> None:
        done = self.tool("kinit", *options, "ferry", given="geheim\n")
        assert done.returncode == 0, done.stderr


def surroundings(folder: Path) -> dict[str, str]:
    return {
        "KRB5_CONFIG": str(folder / "krb5.conf"), "KRB5_KDC_PROFILE": str(folder / "kdc.conf"),
        "KRB5CCNAME": f"FILE:{folder}/tickets", "KRB5_CLIENT_KTNAME": str(folder / "none.keytab"),
    }  # fmt: skip


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    folder = tmp_path_factory.mktemp("kdc")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, text in (("krb5.conf", KRB5), ("kdc.conf", KDC)):
        (folder / name).write_text(text.format(realm=REALM, port=port, folder=folder), encoding="utf-8")
    environment = {**os.environ, **surroundings(folder), "PATH": PATH}

    def run(*command: str) -> None:
        done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    run("kdb5_util", "create", "-s", "-W", "-P", "master", "-r", REALM)
    for query in (
        "addprinc -pw geheim ferry", f"ktadd -norandkey -k {folder}/ferry.keytab ferry",
        "addprinc -randkey HTTP/localhost", f"ktadd -k {folder}/http.keytab HTTP/localhost",
        "addprinc -randkey HTTP/impostor", f"ktadd -k {folder}/impostor.keytab HTTP/impostor",
    ):  # fmt: skip
        run("kadmin.local", "-r", REALM, "-q", query)
    with subprocess.Popen(["krb5kdc", "-n", "-r", REALM], env=environment, stderr=sys.stderr) as kdc:
        while True:
            assert kdc.poll() is None
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
        try:
            yield Realm(folder, kdc)
        finally:
            kdc.terminate()


@pytest.fixture
def realm(started: Realm, monkeypatch: pytest.MonkeyPatch) -> Realm:
    """With an empty ticket cache, and this process in it."""
    for name, value in surroundings(started.folder).items():
        monkeypatch.setenv(name, value)
    started.tool("kdestroy")
    return started


class Behind:
    """A stand-in that lets in who shows a ticket for it; `lie`: answers everybody, and proves nothing."""

    def __init__(self, realm: Realm, lie: bool = False) -> None:
        import gssapi

        self._gate = application(PLANT)
        self.settings = self._gate.settings
        self.initiators: list[str] = []
        self.answered = 0
        self._lie, self._gssapi = lie, gssapi
        self._credentials = gssapi.Credentials(usage="accept", store={"keytab": realm.file("http.keytab")})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._lie:
            await self._gate(scope, receive, send)
            return
        headers = {name.lower(): value.decode() for name, value in scope["headers"]}
        scheme, _, token = headers.get(b"authorization", "").partition(" ")
        context = self._gssapi.SecurityContext(creds=self._credentials, usage="accept")
        reply, who = b"", ""
        if scheme == "Negotiate":
            try:
                reply = context.step(base64.b64decode(token)) or b""
                who = str(context.initiator_name) if context.complete else ""
            except self._gssapi.exceptions.GSSError:
                who = ""
        challenge = b"Negotiate" + (b" " + base64.b64encode(reply) if reply else b"")
        if not who:
            await send({"type": "http.response.start", "status": 401, "headers": [(b"www-authenticate", challenge)]})
            await send({"type": "http.response.body", "body": b""})
            return
        self.initiators.append(who)

        async def proved(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.answered += 1
                message = {**message, "headers": [*message["headers"], (b"www-authenticate", challenge)]}
            await send(message)

        await self._gate(scope, receive, proved)


def asked(behind: Behind, work: Callable[[PiWebApiSource], Awaitable[Any]], host: str = "localhost") -> Any:
    """What `work` finds with a source whose login is a ticket."""

    async def main(url: str) -> Any:
        settings = SourceSettings.model_validate(
            {"name": "pi1", "kind": "pi_web_api", "url": url, "start": BEGIN, "auth": {"kind": "kerberos"}}
        )
        source = PiWebApiSource.from_settings(settings, patience=Patience(tries=2, first_wait_s=0.01))
        try:
            return await work(source)
        finally:
            await source.close()

    with serving(behind) as (url, _):  # type: ignore[arg-type]
        return asyncio.run(main(f"{url.replace('127.0.0.1', host)}/piwebapi"))


async def everything(source: PiWebApiSource) -> Any:
    return await drained(source, await source.discover(), SPAN)


def test_every_event_with_a_ticket_and_the_server_s_proof(realm: Realm) -> None:
    realm.kinit()
    behind = Behind(realm)
    same(events_of(asked(behind, everything)), truth(PLANT, None, SPAN.start_ns, SPAN.end_ns))
    assert set(behind.initiators) == {f"ferry@{REALM}"}
    assert behind.answered == len(behind.initiators) > 2


def test_a_keytab_fetches_tickets_by_itself(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRB5_CLIENT_KTNAME", realm.file("ferry.keytab"))
    behind = Behind(realm)
    assert len(asked(behind, lambda source: source.discover())) == 20
    expire(realm)
    assert len(asked(behind, lambda source: source.discover())) == 20


def expire(realm: Realm) -> None:
    """Gets a ticket of a second, and lets it end: times are whole seconds, and one of skew is forgiven."""
    realm.kinit("-l", "1s")
    end_s = time.time() + 3.0
    while time.time() < end_s:
        time.sleep(0.05)


def test_no_ticket(realm: Realm) -> None:
    behind = Behind(realm)
    with pytest.raises(Stop, match=r"source pi1: no Kerberos login at localhost .*; get a ticket with kinit"):
        asked(behind, everything)
    assert not behind.initiators


def test_an_expired_ticket(realm: Realm) -> None:
    expire(realm)
    with pytest.raises(Stop, match=r"no Kerberos login at localhost .*expired.*get a ticket with kinit"):
        asked(Behind(realm), everything)


def test_a_server_that_proves_nothing_is_another(realm: Realm) -> None:
    realm.kinit()
    with pytest.raises(Stop, match="did not prove that it is HTTP/localhost"):
        asked(Behind(realm, lie=True), everything)


def test_a_server_whose_principal_nobody_registered(realm: Realm) -> None:
    realm.kinit()
    with pytest.raises(Stop, match=r"register the service principal HTTP/127\.0\.0\.1"):
        asked(Behind(realm), everything, host="127.0.0.1")


def test_a_server_that_does_not_take_the_ticket(realm: Realm) -> None:
    realm.kinit()
    behind = Behind(realm)
    behind._credentials = behind._gssapi.Credentials(usage="accept", store={"keytab": realm.file("impostor.keytab")})
    with pytest.raises(Stop, match=r"as the owner of the Kerberos ticket was refused \(401.*setspn -L"):
        asked(behind, everything)


def test_a_kdc_that_is_away(realm: Realm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    realm.kinit()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = KRB5.format(realm=REALM, port=free.getsockname()[1])
    (tmp_path / "krb5.conf").write_text(nobody, encoding="utf-8")
    monkeypatch.setenv("KRB5_CONFIG", str(tmp_path / "krb5.conf"))
    with pytest.raises(Unreachable, match=r"no KDC: .*Cannot contact any KDC"):
        asked(Behind(realm), everything)
