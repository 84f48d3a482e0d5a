"""Settings: `prometheus.toml` in the working directory, then a fixed list of variables, then flags.

Later ones win. Variables that begin with PROMETHEUS_ but are not in `VARIABLES` are ignored, because clusters inject
their own. This is the one file of `core`, with `db_health`, that touches the world.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from prometheus.core.errors import SettingsError

VARIABLES: Mapping[str, tuple[str, ...]] = {
    "PROMETHEUS_HOME": ("home",),
    "PROMETHEUS_LEDGER_URL": ("ledger", "url"),
    "PROMETHEUS_PATIENCE": ("ledger", "patience"),
    "PROMETHEUS_GRACE": ("executor", "grace"),
    "PROMETHEUS_HISTORICAL_PATH": ("historical", "path"),
    "PROMETHEUS_RUNTIME_URL": ("runtime", "url"),
    "PROMETHEUS_DATA_MIRROR": ("data", "mirror"),
    "PROMETHEUS_DATA_CACHE": ("data", "cache"),
    "PROMETHEUS_EXECUTOR": ("executor", "kind"),
    "PROMETHEUS_CPU": ("resources", "cpu"),
    "PROMETHEUS_MEMORY": ("resources", "memory"),
    "PROMETHEUS_WEB_PORT": ("web", "port"),
    "PROMETHEUS_CALENDAR_TABLE": ("calendars", "table"),
    "PROMETHEUS_SEED": ("seed",),
}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LedgerSettings(_Section):
    """Where the scheduler remembers."""

    url: str | None = None
    alone: bool = False  # look at no other ledger, replays included: so when a flag names it
    patience: str = "30s"  # how long it may be away before a run in the foreground gives up


class PathSettings(_Section):
    """Where a store lies."""

    path: Path | None = None


class RuntimeSettings(_Section):
    """The desk's own database."""

    url: str | None = None


class CalendarSettings(_Section):
    """A compiled calendar table newer than the one that came with the package."""

    table: Path | None = None


class DataSettings(_Section):
    """Where reference data comes from and is kept."""

    mirror: Path | None = None
    cache: Path | None = None


class CapacityChangeSettings(_Section):
    """From one moment to another the machine offers something else; what is left out stays (docs/settings.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    begin: str = Field(alias="from")  # moments of the session language
    until: str
    market: str | None = None  # whose `session` it is
    cpu: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    memory: str | None = None
    pools: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _says_something(self) -> CapacityChangeSettings:
        if self.cpu is None and self.memory is None and not self.pools:
            raise ValueError("it changes nothing; cpu, memory or pools was expected")
        return self


class ResourceSettings(_Section):
    """What the machine offers; what is left out is found out (`prometheus doctor` shows it)."""

    cpu: float | None = Field(default=None, gt=0)
    memory: str | None = None
    gpu: tuple[float, ...] = ()  # one number a device, normally 1.0 each
    pools: dict[str, int] = Field(default_factory=dict)
    changes: tuple[CapacityChangeSettings, ...] = ()


class ExecutorSettings(_Section):
    """What runs the attempts."""

    kind: Literal["local", "ray"] = "local"
    log_limit: str = "10MB"
    grace: str = "10s"  # between asking a job to stop and killing it


class ForecastSettings(_Section):
    """Looking ahead while a run goes on: P(miss) of each promise."""

    enabled: bool = True
    samples: int = Field(default=100, ge=1, le=10_000)
    every: str = "5min"  # at least so often while Tier 1 work is open; sooner after what matters


class EngineSettings(_Section):
    """Which engine decides, and what it is told beside its defaults (docs/engines.md)."""

    use: str | None = None  # package.module:name or path/file.py:name; None = the shipped one
    config: dict[str, Any] = Field(default_factory=dict)


class SourceSettings(_Section):
    """Where a dataset comes from (docs/sources.md). `columns`: our name -> the name it has there."""

    kind: Literal["folder", "sql", "reference", "synthetic", "none"]
    name: str | None = None  # what its rows are marked with; None = kind and market
    path: Path | None = None  # folder: a file, or a folder of files
    url: str | None = None  # sql
    url_from: str | None = None  # sql: the variable that holds the url, when it has a password
    query: str | None = None  # sql: a SELECT with :known_at, :first and :last
    columns: dict[str, str] = Field(default_factory=dict)
    values: dict[str, str] = Field(
        default_factory=dict
    )  # for columns that are not there: one value for every row
    known_on: str | None = None  # the column that says from which day on a row was known
    date_format: str = "%Y-%m-%d"
    separator: str = Field(default=",", min_length=1, max_length=1)
    decimal: Literal[".", ","] = "."


class MarketSources(_Section):
    """The sources of a market: of single datasets, and of all others."""

    default: SourceSettings | None = None
    datasets: dict[str, SourceSettings] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _split(cls, given: object) -> object:
        """In the file both stand in one table: a table in it that is no setting of a source is a dataset."""
        if not isinstance(given, dict) or set(given) <= {"default", "datasets"}:
            return given
        own = SourceSettings.model_fields
        datasets = {name: told for name, told in given.items() if isinstance(told, dict) and name not in own}
        default = {name: told for name, told in given.items() if name not in datasets}
        return {"default": default or None, "datasets": datasets}


class RetentionSettings(_Section):
    """How long things are kept (docs/housekeeping.md): "forever", days ("400d"), or sessions ("250 sessions")."""

    decisions: str = "forever"  # then archived, never thrown away
    archive: Path | None = None  # where to
    versions: str = "30d"  # of historical tables; then only those that a retained replay needs
    replays: str = "forever"
    quarantine: str = "forever"
    files: int = Field(default=20, ge=2)  # small files of one market and year that are worth folding
    free: str = "2GB"  # on each disk that the desk writes to; less is an alarm


class WebSettings(_Section):
    """The page and the API."""

    port: int = Field(default=8470, ge=0, le=65535)


class AlertSettings(_Section):
    """Whom to tell."""

    urls: tuple[str, ...] = ()


class Settings(_Section):
    """Every setting, checked. Paths may be relative to the working directory; `resolved` makes them absolute."""

    home: Path = Path(".prometheus")
    seed: int = 0
    ledger: LedgerSettings = LedgerSettings()
    historical: PathSettings = PathSettings()
    runtime: RuntimeSettings = RuntimeSettings()
    data: DataSettings = DataSettings()
    resources: ResourceSettings = ResourceSettings()
    executor: ExecutorSettings = ExecutorSettings()
    forecast: ForecastSettings = ForecastSettings()
    web: WebSettings = WebSettings()
    alerts: AlertSettings = AlertSettings()
    retention: RetentionSettings = RetentionSettings()
    engines: dict[str, EngineSettings] = Field(default_factory=dict)
    sources: dict[str, MarketSources] = Field(default_factory=dict)
    calendars: CalendarSettings = CalendarSettings()
    markets: dict[str, dict[str, Any]] = Field(default_factory=dict)
    overrides: tuple[dict[str, Any], ...] = ()  # docs/calendars.md
    auth: dict[str, Any] = Field(default_factory=dict)

    @property
    def ledger_url(self) -> str:
        return self.ledger.url or f"sqlite:///{self.home / 'ledger.db'}"

    @property
    def historical_path(self) -> Path:
        return self.historical.path or self.home / "historical"

    @property
    def runtime_url(self) -> str:
        return self.runtime.url or f"sqlite:///{self.home / 'runtime.db'}"

    @property
    def archive_path(self) -> Path:
        return self.retention.archive or self.home / "archive"

    @property
    def data_mirror(self) -> Path | None:
        return self.data.mirror

    @property
    def cache(self) -> Path:
        """Where fetched reference data is kept; shared by every checkout of a user, unlike `home`."""
        if self.data.cache is not None:
            return self.data.cache
        base = os.environ.get("XDG_CACHE_HOME")
        return (Path(base) if base else Path.home() / ".cache") / "prometheus-desk"

    def environment(self) -> dict[str, str]:
        """The variables that make a worker process see these same settings, wherever it runs."""
        found = {
            "PROMETHEUS_HOME": str(self.home),
            "PROMETHEUS_HISTORICAL_PATH": str(self.historical_path),
            "PROMETHEUS_RUNTIME_URL": self.runtime_url,
            "PROMETHEUS_DATA_CACHE": str(self.cache),
            "PROMETHEUS_SEED": str(self.seed),
        }
        if self.data_mirror is not None:
            found["PROMETHEUS_DATA_MIRROR"] = str(self.data_mirror)
        if self.calendars.table is not None:
            found["PROMETHEUS_CALENDAR_TABLE"] = str(self.calendars.table)
        return found


def load_settings(
    directory: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[tuple[str, ...], object] | None = None,
) -> Settings:
    """The settings in force: file, then variables, then `flags` (keyed by path, such as ("ledger", "url")).

    Raises `SettingsError` that names the file or variable, the value and what was allowed. Paths come back absolute.
    """
    directory = Path.cwd() if directory is None else directory
    environ = os.environ if environ is None else environ
    values = _read_file(directory / "prometheus.toml")
    source: dict[tuple[str, ...], str] = {}
    for variable, path in VARIABLES.items():
        if environ.get(variable):
            _put(values, path, environ[variable])
            source[path] = f"the variable {variable}"
    for path, value in (flags or {}).items():
        if value is not None:
            _put(values, path, value)
            source[path] = f"the flag for {'.'.join(path)}"
            if path == ("ledger", "url"):
                _put(values, ("ledger", "alone"), True)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise _explain(error, source) from None
    return _absolute(settings, directory)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{path} cannot be read: {error}", hint="check its permissions and encoding"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(
            f"{path} is not valid TOML: {error}", hint="see https://toml.io for the syntax"
        ) from None


def _put(values: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    for key in path[:-1]:
        section = values.setdefault(key, {})
        if not isinstance(section, dict):
            raise SettingsError(f"the setting {key!r} is {section!r}", allowed=f"a table [{key}]")
        values = section
    values[path[-1]] = value


def _absolute(settings: Settings, directory: Path) -> Settings:
    def full(path: Path | None) -> Path | None:
        return None if path is None else (directory / path.expanduser()).absolute()

    def placed(told: SourceSettings) -> SourceSettings:
        return told.model_copy(update={"path": full(told.path)})

    sources = {
        market: MarketSources(
            default=None if told.default is None else placed(told.default),
            datasets={name: placed(each) for name, each in told.datasets.items()},
        )
        for market, told in settings.sources.items()
    }

    return settings.model_copy(
        update={
            "home": full(settings.home),
            "historical": PathSettings(path=full(settings.historical.path)),
            "sources": sources,
            "calendars": CalendarSettings(table=full(settings.calendars.table)),
            "data": DataSettings(mirror=full(settings.data.mirror), cache=full(settings.data.cache)),
            "retention": settings.retention.model_copy(update={"archive": full(settings.retention.archive)}),
        }
    )


def _explain(error: ValidationError, source: Mapping[tuple[str, ...], str]) -> SettingsError:
    lines = []
    for fault in error.errors():
        path = tuple(str(part) for part in fault["loc"])
        if path[0] == "sources":  # as it stands in the file
            path = tuple(part for part in path if part not in ("default", "datasets"))
        where = source.get(path, "prometheus.toml")
        lines.append(f"{'.'.join(path)} in {where} is {fault['input']!r}: {fault['msg'].lower()}")
    return SettingsError("; ".join(lines), hint="docs/settings.md lists every setting with its values")
