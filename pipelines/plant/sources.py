"""The tables of a source in the plant file and what each key may be."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field, model_validator

from pipelines.plant.section import Cron, Section, Word
from pipelines.plant.spans import Duration, QuietHours, Time
from pipelines.timeline import DAY_NS, MINUTE_NS, SECOND_NS, Interval, days, iso, months

OPC_UA = "opc.tcp://"
"""What the urls of OPC UA servers begin with."""
PLACES = {
    "pi_web_api": ("url", "https://piserver.example/piwebapi"),
    "wonderware": ("address", "historian.example"),
    "opcua": ("url", f"{OPC_UA}10.0.0.9:4840/server"),
}
"""By kind of historian the key that says where it is, and what it looks like."""
PLC4PY = "plc4py:"
"""What the urls begin with that go to plc4py, without this prefix, and not to PLC4J."""


class Auth(Section):
    """How to log in; passwords and tokens come from the environment variables that are named here."""

    kind: Literal["none", "basic", "bearer", "kerberos", "ntlm"] = "none"
    username: str = ""
    password_env: str = ""
    token_env: str = ""
    token_url: str = Field(
        "", pattern=r"^(https?://[^\s@]+)?$", description='a url such as "https://aim.example/token"'
    )
    """Of an OAuth2 token endpoint (client credentials), in the place of `token_env`."""
    client_id: str = ""
    client_secret_env: str = ""
    scope: str = ""
    audience: str = ""

    @property
    def secret_env(self) -> str:
        """The environment variable that holds the secret; '' where there is none."""
        return self.password_env or self.token_env or self.client_secret_env

    @model_validator(mode="after")
    def _complete(self) -> Auth:
        if self.kind in ("basic", "ntlm") and not (self.username and self.password_env):
            raise ValueError(
                f'kind "{self.kind}" needs username and password_env, the name of the environment variable with the '
                "password"
            )
        fetched = bool(self.token_url and self.client_id and self.client_secret_env)
        if self.kind == "bearer" and fetched == bool(self.token_env):
            raise ValueError(
                'kind "bearer" needs token_env, the name of the environment variable with the token, or token_url, '
                "client_id and client_secret_env, with which tokens are fetched and renewed"
            )
        return self


class Simulate(Section):
    """A stand-in plant that `ferry up` starts for this source."""

    points: int = Field(2_000, ge=1, le=1_000_000)
    seed: int = 1
    hours: float = Field(24.0, gt=0)


class Sync(Section):
    """How the newest history is followed."""

    cron: Cron = "* * * * *"
    """Of Dagster's schedule, UTC."""
    every: Duration = 5 * SECOND_NS
    """From one pass of `ferry sync --follow` to the next."""
    lag: Duration = 60 * SECOND_NS
    """What is younger is left for later: PI's snapshot event is not final until the next one comes."""
    overlap: Duration = 2 * MINUTE_NS
    """Every pass reads so much again of what it has, for events that come a little late."""
    fresh: Duration = 10 * MINUTE_NS
    """A point group that is farther behind is called stale."""
    feed: bool = True
    """Whether the source's change feed is listened to, where it has one (PI's stream updates)."""


class Sweep(Section):
    """How history that is settled is looked at again."""

    cron: Cron = "17 * * * *"
    budget: Duration = 5 * MINUTE_NS
    """How long one sweep may take."""
    restate: Literal["auto", "ask"] = "ask"
    """Whether drift is mended at once, or named and left to `ferry backfill`."""
    store: Duration = 7 * DAY_NS
    """What is not older is compared with IoTDB in every sweep; older history the more seldom the older it is."""


class Channel(Section):
    """How an OPC UA server is spoken with: OPC 10000-7, security policies; files are relative to the plant file."""

    security: str = Field(
        "None", pattern=r"^(None|(Basic256Sha256|Aes128Sha256RsaOaep|Aes256Sha256RsaPss)(:Sign|:SignAndEncrypt)?)$",
        description='"None", "Basic256Sha256", "Aes128Sha256RsaOaep" or "Aes256Sha256RsaPss", with ":Sign" to leave '
        "encryption out",
    )  # fmt: skip
    certificate: str = ""
    """Ours, with `private_key` (PEM or DER); without it one is made below `state_dir` at the first start."""
    private_key: str = ""
    server_certificate: str = ""
    """The server's own, which it must prove to have; `ferry trust` writes it. PI: `state_dir/pki/trusted/NAME.der`
    where it is there and this names no other."""

    @model_validator(mode="after")
    def _whole(self) -> Channel:
        if self.security != "None" and not self.server_certificate:
            raise ValueError(
                f'security "{self.security}" needs server_certificate, the file with the server\'s certificate '
                "(`ferry trust` writes it)"
            )
        if bool(self.certificate) != bool(self.private_key):
            raise ValueError("certificate and private_key go together")
        return self


class Connection(Channel):
    """One PLC of a source of kind plc4x."""

    name: str = Field(
        pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$",
        description="a word of letters, digits, _ and - that begins with a letter, at most 63 long",
    )
    url: str = Field(
        "", pattern=r"^([a-z][a-z0-9+.:-]*://\S+)?$",
        description='a url such as "modbus-tcp:tcp://10.0.0.5:502" or "opc.tcp://10.0.0.9:4840/path"',
    )  # fmt: skip
    """PLC4X: `modbus-tcp:tcp://host:502?…`, `s7://host`, …; OPC UA: `opc.tcp://host:4840/path`.

    `plc4py:` stands before a url for Apache's plc4py, an optional library."""
    timeout: Duration = 2 * SECOND_NS
    """A cycle that is not answered by then is missed, and the connection is made anew."""
    auth: Auth = Auth()
    """OPC UA: `none` (anonymous) or `basic`."""
    subscribe: bool = False
    """OPC UA: changes as the server tells them, instead of a read each interval."""
    simulate: Literal["", "modbus", "opcua"] = ""
    """A stand-in that `ferry up` starts in the place of a url."""

    @property
    def opc_ua(self) -> bool:
        return self.simulate == "opcua" or self.url.startswith(OPC_UA)

    @property
    def plc4py(self) -> bool:
        return self.url.startswith(PLC4PY)

    @model_validator(mode="after")
    def _of_opc_ua(self) -> Connection:
        if not self.url and not self.simulate:
            raise ValueError("it needs url (or simulate, for a stand-in)")
        if not self.opc_ua and (self.subscribe or self.security != "None" or self.auth.kind != "none"):
            raise ValueError(f"subscribe, security and auth are for urls {OPC_UA}… only")
        return self


class TagRow(Section):
    """A row of the tag map that stands in the plant file; see `tags`."""

    name: str
    connection: str = ""
    address: str
    type: str = ""
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""
    deadband: float | None = None
    interval: str = ""
    group: str = ""
    description: str = ""


class SourceSettings(Channel):
    """One historian, or the PLCs of one collector."""

    name: Word
    kind: Literal["pi_web_api", "wonderware", "opcua", "plc4x"]
    url: str = ""
    """Of a PI Web API, or of an OPC UA server whose history is wanted (`opc.tcp://…`)."""
    address: str = ""
    """host, host:port or host\\INSTANCE of a Historian's SQL Server."""
    database: str = ""
    data_server: str = ""
    auth: Auth = Auth()
    points: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    point_groups: int = Field(8, ge=1, le=1_000)
    window: Literal["month", "day"] = "month"
    start: Time
    end: Time | None = None
    horizon: Duration = 0
    lateness: Duration = 2 * DAY_NS
    requests_per_s: float = Field(50.0, gt=0)
    concurrency: int = Field(4, ge=1, le=64)
    quiet_hours: tuple[QuietHours, ...] = ()
    ca_file: str = ""
    tls: bool = True
    """Of a Historian's connection; certificates are verified. PI's is in its url."""
    sync: Sync = Sync()
    sweep: Sweep = Sweep()
    simulate: Simulate | None = None
    tags: str = ""
    """Of PLCs: the tag map, a CSV file; relative to the plant file."""
    tag: tuple[TagRow, ...] = ()
    """Of PLCs: rows of the tag map in the plant file itself, for a few."""
    connection: tuple[Connection, ...] = ()
    jars: tuple[str, ...] = ()
    """Of PLCs: more drivers of PLC4X, relative to the plant file."""
    interval: Duration = SECOND_NS
    """Of PLCs: how often a tag is read for which the tag map says nothing else."""
    spool_keep: Duration | None = None
    """Of PLCs: how long the spool keeps what is proved in IoTDB; without a word for ever."""

    @model_validator(mode="before")
    @classmethod
    def _of_plcs(cls, given: Any) -> Any:
        """What a collector spools is final soon: a shorter lag than a historian's, unless the file says one."""
        if isinstance(given, dict) and given.get("kind") == "plc4x" and isinstance(given.get("sync", {}), dict):
            return {**given, "sync": {"lag": "3 s", "overlap": "10 s", **given.get("sync", {})}}
        return given

    @model_validator(mode="after")
    def _complete(self) -> SourceSettings:
        if self.end is not None and self.end <= self.start:
            raise ValueError(f"end {iso(self.end)} is not after start {iso(self.start)}")
        if self.kind == "plc4x":
            self._check_plcs()
            return self
        if self.simulate is not None and self.auth.token_url:
            raise ValueError("a stand-in's tokens are not fetched: name token_env in the place of token_url")
        if self.spool_keep is not None:
            raise ValueError("spool_keep is for PLCs; nothing else has a spool")
        if not self.place and self.simulate is None:
            key, like = PLACES[self.kind]
            raise ValueError(f'it needs {key}, such as {key} = "{like}" (or simulate, for a stand-in)')
        if self.kind == "opcua":
            if self.url and not self.url.startswith(OPC_UA):
                raise ValueError(f'url "{self.url}" must begin with {OPC_UA}')
            if self.auth.kind not in ("none", "basic"):
                raise ValueError('OPC UA takes auth of kind "none" or "basic"')
        if self.kind == "wonderware" and self.auth.kind != "basic":
            raise ValueError(
                'it needs auth = { kind = "basic", username = "…", password_env = "…" }, a login of SQL Server\'s own: '
                "Windows logins (NTLM, Kerberos) are not offered"
            )
        return self

    def _check_plcs(self) -> None:
        if not (self.connection and (self.tags or self.tag)):
            raise ValueError("it needs tags (a CSV file) or [[source.tag]], and at least one [[source.connection]]")
        names = [each.name for each in self.connection]
        if len(set(names)) < len(names):
            raise ValueError("two of its connections have one name")
        if self.spool_keep is not None and self.spool_keep < self.lateness + DAY_NS:
            raise ValueError("spool_keep is shorter than lateness and a day: what is still looked after would be gone")

    @property
    def place(self) -> str:
        """Where it is: the key that its kind has for that."""
        return self.address if self.kind == "wonderware" else self.url

    @property
    def selection(self) -> str:
        """What it asks for of the points that the source has."""
        return json.dumps([sorted(self.points), sorted(self.exclude)], ensure_ascii=False)

    def windows(self, end_ns: int) -> list[Interval]:
        """The windows from `start` to `end` (or `end_ns` plus the horizon where the file names none)."""
        span = Interval(self.start, self.end or max(end_ns + self.horizon, self.start + 1))
        return months(span) if self.window == "month" else days(span)
