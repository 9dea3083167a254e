"""The plant file (TOML): sources, stores, windows. Read and checked once, with errors that name the key.

Secrets never stand in it: only the names of environment variables that hold them.
"""

from __future__ import annotations

import datetime as dt
import difflib
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from pipelines.ports import Stop
from pipelines.timeline import (
    DAY_NS,
    HOUR_NS,
    MINUTE_NS,
    SECOND_NS,
    Interval,
    days,
    from_datetime,
    months,
    parse,
)

_UNITS_NS = {"s": SECOND_NS, "m": MINUTE_NS, "min": MINUTE_NS, "h": HOUR_NS, "d": DAY_NS, "w": 7 * DAY_NS}
PARTITIONS_MAX = 100_000


def duration_ns(value: object) -> int:
    """'90 s', '15 min', '6 h', '2 d' → nanoseconds. Raises ValueError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", str(value))
    if not match or match[2] not in _UNITS_NS:
        raise ValueError(f"{value!r} is not a duration: expected a number and one of {', '.join(_UNITS_NS)}")
    return int(float(match[1]) * _UNITS_NS[match[2]])


def _time_ns(value: object) -> int:
    if isinstance(value, dt.datetime):
        return from_datetime(value if value.tzinfo else value.replace(tzinfo=dt.UTC))
    return parse(str(value))


Duration = Annotated[int, BeforeValidator(duration_ns)]
Time = Annotated[int, BeforeValidator(_time_ns)]


class Section(BaseModel):
    """A table of the plant file; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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


class SourceSettings(Section):
    """One historian."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    kind: Literal["pi_web_api", "wonderware", "plc4x"]
    url: str = ""
    """Of a PI Web API."""
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
    simulate: Simulate | None = None

    @model_validator(mode="after")
    def _complete(self) -> SourceSettings:
        if not self.place and self.simulate is None:
            key = "address" if self.kind == "wonderware" else "url"
            raise ValueError(f"source {self.name!r} needs {key} (or simulate, for a stand-in)")
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


class StoreSettings(Section):
    """IoTDB: `embedded`, or node urls host:port of a server that is already there."""

    iotdb: str | tuple[str, ...] = "embedded"
    username: str = "root"
    password_env: str = ""
    database: str = ""
    allow_coarse_clock: bool = False
    staging: str = ""
    """A folder that this host and the IoTDB server both see, absolute; without it the tablets path is used."""
    heap_mb: int = Field(1_024, ge=256)


class LedgerSettings(Section):
    """PostgreSQL: `embedded`, or the name of an environment variable with a DSN (`postgres = {dsn_env = "…"}`)."""

    postgres: Literal["embedded"] | dict[Literal["dsn_env"], str] = "embedded"


class Folder(Section):
    """Where Parquet files go: a folder, relative to state_dir, or absolute."""

    uri: str = ""


class Limits(Section):
    """What one ferry process may use."""

    slice_events: int = Field(400_000, ge=1_000)
    """Target size of a slice in events; memory is about 600 bytes times this times `slices_at_once`."""
    slices_at_once: int = Field(3, ge=1, le=64)
    believe_shrink: float = Field(0.01, ge=0, lt=1)
    deep_share: float = Field(0.01, ge=0, le=1)


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


class PlantSettings(Section):
    """The plant itself."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    state_dir: str = ".ferry"


class Plant(Section):
    """The whole file."""

    plant: PlantSettings
    source: tuple[SourceSettings, ...] = Field(min_length=1)
    store: StoreSettings = StoreSettings()
    ledger: LedgerSettings = LedgerSettings()
    landing: Folder = Folder()
    exports: Folder = Folder()
    limits: Limits = Limits()
    retention: Retention = Retention()
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
        raise Stop(f"no source {name!r} in the plant file{_nearest(name, names)}; there are: {', '.join(names)}")

    @property
    def state_dir(self) -> Path:
        return (self.folder / self.plant.state_dir).resolve()

    @property
    def landing_dir(self) -> Path:
        return self.state_dir / (self.landing.uri or "landing")

    @property
    def exports_dir(self) -> Path:
        return self.state_dir / (self.exports.uri or "exports")

    @property
    def database(self) -> str:
        return self.store.database or self.plant.name


def expiry_ns(now_ns: int, keep_ns: int) -> int:
    """What is older than this is not written any more to a store that keeps rows for `keep_ns`.

    Whole hours, and an hour early: the store's own clock decides, and a slice takes its time.
    """
    return -(-(now_ns - keep_ns) // HOUR_NS) * HOUR_NS + HOUR_NS


def quiet_span(text: str) -> tuple[int, int]:
    """'22:00-06:00' → seconds of the UTC day at which quiet begins and ends. Raises ValueError."""
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", text)
    if not match:
        raise ValueError(f"{text!r} is not a span of the UTC day: expected HH:MM-HH:MM")
    a, b, c, d = (int(part) for part in match.groups())
    return a * 3600 + b * 60, c * 3600 + d * 60


def load_plant(path: Path) -> Plant:
    """Reads and checks a plant file. Raises Stop with one line per mistake: file, key, what was expected."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Stop(f"{path}: no such plant file; name one with --plant or FERRY_PLANT") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Stop(f"{path}: cannot be read as TOML: {error}") from None
    if "folder" in raw:
        raise Stop(f"{path}: unknown key 'folder'")
    try:
        return Plant(**raw, folder=path.parent.resolve())
    except ValidationError as error:
        raise Stop("\n".join(f"{path}: {line}" for line in _complaints(error))) from None


def secret(variable: str) -> str:
    """The value of an environment variable that holds a secret. Raises Stop when it is not set."""
    value = os.environ.get(variable, "")
    if not value:
        raise Stop(f"the environment variable {variable} is not set; it must hold the password, token or DSN")
    return value


def _complaints(error: ValidationError) -> Iterator[str]:
    every = error.errors()
    inner = {problem["loc"][0] for problem in every if len(problem["loc"]) > 1}
    for problem in every:
        if problem["type"] == "too_short" and problem["loc"][0] in inner:
            continue  # only because what is inside is wrong
        parts = [str(part) for part in problem["loc"] if not str(part).startswith(("function-", "literal", "dict["))]
        key = ".".join(parts)
        if problem["type"] == "extra_forbidden":
            yield f"unknown key {key!r}{_nearest(parts[-1], _keys_at(parts[:-1]))}"
        else:
            yield f"{key or 'plant'}: {problem['msg'].removeprefix('Value error, ')}"


def _keys_at(path: list[str]) -> list[str]:
    model: Any = Plant
    for part in path:
        if part.isdigit():
            continue
        model = _section_of(model.model_fields[part].annotation)
    return [key for key in model.model_fields if key != "folder"]


def _section_of(annotation: Any) -> Any:
    """The Section inside an annotation such as tuple[SourceSettings, ...] or Simulate | None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(found for each in annotation.__args__ if (found := _section_of(each)) is not None)


def _nearest(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
