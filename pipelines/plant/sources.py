"""The tables of a source in the plant file and what each key may be."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from pipelines.plant.section import Section
from pipelines.plant.spans import Duration, Time, quiet_span
from pipelines.timeline import DAY_NS, MINUTE_NS, SECOND_NS, Interval, days, months

OPC_UA = "opc.tcp://"
"""What the urls of OPC UA servers begin with."""
PLC4PY = "plc4py:"
"""What the urls begin with that go to plc4py, without this prefix, and not to PLC4J."""


class Auth(Section):
    """How to log in; passwords and tokens come from the environment variables that are named here."""

    kind: Literal["none", "basic", "bearer", "kerberos", "ntlm"] = "none"
    username: str = ""
    password_env: str = ""
    token_env: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Auth:
        if self.kind in ("basic", "ntlm") and not (self.username and self.password_env):
            raise ValueError(f"auth of kind {self.kind!r} needs username and password_env")
        if self.kind == "bearer" and not self.token_env:
            raise ValueError("auth of kind 'bearer' needs token_env")
        return self


class Simulate(Section):
    """A stand-in plant that `ferry up` starts for this source."""

    points: int = Field(2_000, ge=1, le=1_000_000)
    seed: int = 1
    hours: float = Field(24.0, gt=0)


class Sync(Section):
    """How the newest history is followed."""

    cron: str = Field("* * * * *", pattern=r"^\S+( \S+){4}$")
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

    cron: str = Field("17 * * * *", pattern=r"^\S+( \S+){4}$")
    budget: Duration = 5 * MINUTE_NS
    """How long one sweep may take."""
    restate: Literal["auto", "ask"] = "ask"
    """Whether drift is mended at once, or named and left to `ferry backfill`."""


class Channel(Section):
    """How an OPC UA server is spoken with: OPC 10000-7, security policies; files are relative to the plant file."""

    security: str = Field(
        "None", pattern=r"^(None|(Basic256Sha256|Aes128Sha256RsaOaep|Aes256Sha256RsaPss)(:Sign|:SignAndEncrypt)?)$"
    )
    certificate: str = ""
    """Ours, with `private_key` (PEM or DER); without it one is made below `state_dir` at the first start."""
    private_key: str = ""
    server_certificate: str = ""
    """The server's own, which it must prove to have; `ferry discover --trust` writes it."""

    @model_validator(mode="after")
    def _whole(self) -> Channel:
        if self.security != "None" and not self.server_certificate:
            raise ValueError(
                f"security {self.security!r} needs server_certificate, the file with the server's certificate "
                "(`ferry discover --trust` writes it)"
            )
        if bool(self.certificate) != bool(self.private_key):
            raise ValueError("certificate and private_key go together")
        return self


class Connection(Channel):
    """One PLC of a source of kind plc4x."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")
    url: str = Field("", pattern=r"^([a-z][a-z0-9+.:-]*://\S+)?$")
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
            raise ValueError(f"connection {self.name!r} needs url (or simulate, for a stand-in)")
        if not self.opc_ua and (self.subscribe or self.security != "None" or self.auth.kind != "none"):
            raise ValueError(f"connection {self.name!r}: subscribe, security and auth are for {OPC_UA}… only")
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

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    kind: Literal["pi_web_api", "wonderware", "opcua", "plc4x"]
    url: str = ""
    """Of a PI Web API, or of an OPC UA server whose history is wanted (`opc.tcp://…`)."""
    address: str = ""
    """host or host:port of a Historian's SQL Server."""
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
    quiet_hours: tuple[str, ...] = ()
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
        if self.kind == "plc4x":
            if not (self.connection and (self.tags or self.tag)):
                raise ValueError(
                    f"source {self.name!r} needs tags (a CSV file) or [[source.tag]], and at least one "
                    "[[source.connection]]"
                )
            names = [each.name for each in self.connection]
            if len(set(names)) < len(names):
                raise ValueError(f"source {self.name!r} has two connections of one name")
            if self.spool_keep is not None and self.spool_keep < self.lateness + DAY_NS:
                raise ValueError(
                    f"source {self.name!r}: spool_keep is shorter than its lateness and a day: what is still looked "
                    "after would be gone"
                )
            return self
        if self.spool_keep is not None:
            raise ValueError(f"source {self.name!r}: spool_keep is for PLCs; nothing else has a spool")
        if not self.place and self.simulate is None:
            key = "address" if self.kind == "wonderware" else "url"
            raise ValueError(f"source {self.name!r} needs {key} (or simulate, for a stand-in)")
        if self.kind == "opcua":
            if self.url and not self.url.startswith(OPC_UA):
                raise ValueError(f"source {self.name!r}: url {self.url!r} must begin with {OPC_UA}")
            if self.auth.kind not in ("none", "basic"):
                raise ValueError(f'source {self.name!r}: OPC UA takes auth of kind "none" or "basic"')
        if self.kind == "wonderware" and self.auth.kind != "basic":
            raise ValueError(f'source {self.name!r} needs auth = {{ kind = "basic", username, password_env }}')
        for hours in self.quiet_hours:
            quiet_span(hours)
        return self

    @property
    def place(self) -> str:
        """Where it is: the key that its kind has for that."""
        return self.address if self.kind == "wonderware" else self.url

    def windows(self, end_ns: int) -> list[Interval]:
        """The windows from `start` to `end` (or `end_ns` plus the horizon where the file names none)."""
        span = Interval(self.start, self.end or max(end_ns + self.horizon, self.start + 1))
        return months(span) if self.window == "month" else days(span)
