"""The tables of the plant file and what each key may be; those of a source are in `sources`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, field_validator, model_validator

from pipelines.plant.section import Section, Word, nearest
from pipelines.plant.sources import SourceSettings
from pipelines.plant.spans import Duration
from pipelines.ports import Stop
from pipelines.timeline import DAY_NS, MINUTE_NS

PARTITIONS_MAX = 100_000
Readers = Literal["owner", "group", "everyone"]
_OWNER = re.compile(r"team:.+|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}")


def _owner(text: str) -> str:
    if not _OWNER.fullmatch(text):
        raise ValueError(f"{text!r} is neither a mail address nor team: and a name, such as team:historian")
    return text


class StoreSettings(Section):
    """IoTDB: `embedded`, or node urls host:port of a server that is already there."""

    iotdb: str | tuple[str, ...] = Field("embedded", description='"embedded", "host:port" or a list of such')
    username: str = "root"
    password_env: str = ""
    database: str = ""
    allow_coarse_clock: bool = False
    staging: str = ""
    """A folder that this host and the IoTDB server both see, absolute; without it the tablets path is used."""
    heap_mb: int = Field(1_024, ge=256)


class LedgerSettings(Section):
    """PostgreSQL: `embedded`, or the name of an environment variable with a DSN (`postgres = {dsn_env = "…"}`)."""

    postgres: Literal["embedded"] | dict[Literal["dsn_env"], str] = Field(
        "embedded", description='"embedded", or { dsn_env = "VARIABLE" } with the name of an environment variable'
    )


class Folder(Section):
    """Where Parquet files go: a folder, relative to state_dir, or absolute."""

    uri: str = ""


class Exports(Folder):
    """Where exports go, and who may read them."""

    readable_by: Readers | None = None
    """Without a word as all else of the plant."""


class Limits(Section):
    """What one ferry process may use."""

    slice_events: int = Field(400_000, ge=1_000)
    """Target size of a slice in events; memory is about 600 bytes times this times `slices_at_once`."""
    slice_bytes: int = Field(8 << 20, ge=1 << 20)
    """Target size of a slice in bytes of its texts; a slice takes some 25 times as much on its way."""
    slices_at_once: int = Field(3, ge=1, le=64)
    believe_shrink: float = Field(0.01, ge=0, lt=1)
    believe_change: float = Field(0.5, gt=0, lt=1)
    deep_share: float = Field(0.01, ge=0, le=1)
    clock_apart: Duration = Field(5 * MINUTE_NS, gt=0, description='a duration such as "5 min"')
    """So far apart the clocks of this host, of the ledger, of a source and of the store may be."""


class Retention(Section):
    """How long IoTDB keeps rows, by their time; without a word for ever. The landing is not touched."""

    raw: Duration | None = None
    """Events: the tables `samples` and `states`."""
    minutes: Duration | None = None
    """1-minute aggregates; those of hours and days stay."""

    @model_validator(mode="after")
    def _rising(self) -> Retention:
        if self.raw is not None and self.minutes is not None and self.minutes < self.raw:
            raise ValueError("minutes must be kept at least as long as raw, of which they are made")
        return self


class Email(Section):
    """Where mail goes, and the server that takes it."""

    to: tuple[str, ...] = Field(min_length=1)
    sender: str
    smtp: str
    """host or host:port; 25 without a port."""
    tls: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password_env: str = ""


class Notify(Section):
    """Who is told when something goes wrong, and when it is right again; without a word nobody."""

    webhook_env: str = ""
    """Name of the environment variable that holds the URL: such URLs are secrets."""
    email: Email | None = None

    @property
    def wanted(self) -> bool:
        return bool(self.webhook_env or self.email)


class PlantSettings(Section):
    """The plant itself."""

    name: Word
    state_dir: str = ".ferry"
    readable_by: Readers = "owner"
    """Who of this host may read what is written: landing, logs, reports, exports and all else."""
    time_zone: str = "UTC"
    """Of the times in reports, an IANA name such as Europe/Berlin; all else is in UTC."""
    owners: tuple[Annotated[str, AfterValidator(_owner)], ...] = ()
    """Who answers for the assets, in Dagster's words: mail addresses, or `team:` and a name."""

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):  # not there; not a name; a folder such as "Europe"
            near = nearest(name, available_timezones())
            raise ValueError(
                f"{name!r} is not a time zone: expected an IANA name such as 'Europe/Berlin'{near}"
            ) from None
        return name


class Plant(Section):
    """The whole file."""

    plant: PlantSettings
    source: tuple[SourceSettings, ...] = Field(min_length=1)
    store: StoreSettings = StoreSettings()
    ledger: LedgerSettings = LedgerSettings()
    landing: Folder = Folder()
    exports: Exports = Exports()
    limits: Limits = Limits()
    retention: Retention = Retention()
    notify: Notify = Notify()
    folder: Path = Path()
    """Where the plant file is; relative paths start there. Not a key of the file."""

    @model_validator(mode="after")
    def _consistent(self) -> Plant:
        names = [source.name for source in self.source]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two sources are called {name!r}")
        for source in self.source:
            if self.retention.raw is not None and self.retention.raw < source.lateness + DAY_NS:
                raise ValueError(
                    f"retention.raw is shorter than the lateness of source {source.name!r} and a day: what is still "
                    "looked after would be forgotten"
                )
        return self

    def find(self, name: str) -> SourceSettings:
        """The source of that name. Raises Stop naming the sources that there are."""
        for source in self.source:
            if source.name == name:
                return source
        names = [source.name for source in self.source]
        raise Stop(f"no source {name!r} in the plant file{nearest(name, names)}; there are: {', '.join(names)}")

    @property
    def state_dir(self) -> Path:
        return (self.folder / self.plant.state_dir).resolve()

    @property
    def landing_dir(self) -> Path:
        return self.state_dir / (self.landing.uri or "landing")

    def spool_dir(self, source: str) -> Path:
        """Where the readings of a source of PLCs are kept first."""
        return self.state_dir / "spool" / source

    @property
    def exports_dir(self) -> Path:
        return self.state_dir / (self.exports.uri or "exports")

    @property
    def database(self) -> str:
        return self.store.database or self.plant.name
