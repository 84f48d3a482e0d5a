"""What the regime of the whole world is judged from, as it was known tonight.

- the regions' log volatility and Fisher's z of mean correlation (see `observing`), each standardised within its own
  history up to tonight and averaged over the regions that had it: a region that joins late shifts no level
- the credit spread, Moody's BAA less AAA (Gertler and Lown, "The information in the high-yield bond spread for the
  business cycle", OREP 1999, on spreads as a gauge of stress), as last published, in logs
- the volatility of the currencies over 21 fixings, averaged, in logs
- the VIX, in logs, where its history is long enough

A region or series that is not there is named with its reason. Values are carried forward to later sessions of other
regions, at most `stale_days`; macro series until the next publication.
"""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import polars as pl

from prometheus.core.ids import Json
from prometheus.engines.outcome import ShortHistoryError, historical_ref, rounded
from prometheus.engines.regime.config import GlobeConfig
from prometheus.engines.regime.observing import (
    FEATURES,
    PANELS,
    Observed,
    features_of,
    observations,
    standardised,
)
from prometheus.stores.historical import HistoricalView
from prometheus.stores.wide import FloatArray

MARKET = "GLOBAL"
MACRO, FX = "macro_daily", "fx_daily"
FX_WINDOW = 21
SESSIONS_PER_YEAR = 252

# A log needs something above zero: a hundredth of a percent of spread or of volatility is none.
FLOOR = 1e-4

Refs = list[Json]


def of_globe(view: HistoricalView, config: GlobeConfig, minimum_sessions: int) -> Observed:
    """The world as of the view's date; raises `ShortHistoryError` if fewer regions than the quorum have data."""
    absent: dict[str, str] = {}
    panels = _panels(view, config, minimum_sessions, absent)
    if len(panels) < config.quorum:
        told = "; ".join(f"{region}: {reason}" for region, reason in absent.items())
        raise ShortHistoryError(
            f"the global regime of {view.as_of_date} cannot be judged: {len(panels)} regions have data ({told})",
            allowed=f"at least {config.quorum} of {', '.join(config.regions)}",
            hint="run the regions' own pipelines for the session first",
        )
    days = sorted({day for panel in panels.values() for day in panel["date"]})
    if days[-1] != view.as_of_date:
        raise ShortHistoryError(
            f"the global regime of {view.as_of_date} cannot be judged: the last session of any region is {days[-1]}",
            hint="run the pipeline of a region that traded on that day first",
        )
    values = [_regions(days, panels, config.stale_days)]
    now: dict[str, Json] = {
        region: {**features_of(panel), "session": panel["date"][-1].isoformat()}
        for region, panel in panels.items()
    }
    refs: Refs = [_ref(region, PANELS, panel) for region, panel in panels.items()]
    for name, series in _context(view, tuple(panels), config, refs).items():
        if isinstance(series, str):
            absent[name] = series
            continue
        column = _as_of(days, series, "value")[:, None]
        known = float((~np.isnan(column)).mean())
        if known < config.coverage:
            absent[name] = f"known from {series['date'][0]}: {known:.0%} of the sessions"
            continue
        values.append(np.log(np.maximum(column, FLOOR)))
        now[name] = rounded(float(column[-1, 0]))
    whole = np.hstack(values)
    complete = np.flatnonzero(~np.isnan(whole).any(axis=1))
    return Observed(tuple(days[row] for row in complete), whole[complete], now, tuple(refs), absent)


def _panels(
    view: HistoricalView, config: GlobeConfig, minimum_sessions: int, absent: dict[str, str]
) -> dict[str, pl.DataFrame]:
    """The regions with enough sessions, up to a recent one."""
    found = {}
    for region in config.regions:
        theirs = view.beside(region)
        last = theirs.last_date(PANELS)
        if last is None:
            absent[region] = "its pipeline has written no correlation_panels"
            continue
        panel = theirs.read(PANELS, columns=["date", *FEATURES]).drop_nulls()
        if (view.as_of_date - last).days > config.stale_days:
            absent[region] = f"its last session is {last}"
        elif panel.height < minimum_sessions:
            absent[region] = f"{panel.height} sessions with all features, {minimum_sessions} needed"
        else:
            found[region] = panel
    return found


def _regions(days: list[date], panels: dict[str, pl.DataFrame], stale_days: int) -> FloatArray:
    """The mean over the regions of each standardised feature, shape (days, 2)."""
    layers = []
    for panel in panels.values():
        scaled = standardised(observations(panel))
        frame = pl.DataFrame({"date": panel["date"], "vol": scaled[:, 0], "correlation": scaled[:, 1]})
        both = [_as_of(days, frame, name, stale_days) for name in ("vol", "correlation")]
        layers.append(np.column_stack(both))
    stacked = np.stack(layers)
    known = ~np.isnan(stacked)
    mean: FloatArray = np.where(known, stacked, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known.any(axis=0), mean, np.nan)


def _context(
    view: HistoricalView, regions: tuple[str, ...], config: GlobeConfig, refs: Refs
) -> dict[str, pl.DataFrame | str]:
    """Each series by name, as (date, value), or why it is not there. The first region that has a table gives it."""
    macro = _first_with(view, regions, MACRO)
    if macro is None:
        reason = f"no region has {MACRO}"
        found: dict[str, pl.DataFrame | str] = {"credit_spread": reason, "vix": reason}
    else:
        region, theirs = macro
        rows = theirs.read(MACRO, columns=["date", "series_id", "period", "value"])
        refs.append(_ref(region, MACRO, rows))
        series = {name: _published(rows, name) for name in ("BAA", "AAA", "VIX")}
        spread = series["BAA"].join_asof(series["AAA"], on="date", suffix="_aaa").drop_nulls()
        spread = spread.select("date", value=pl.col("value") - pl.col("value_aaa"))
        found = {
            "credit_spread": spread if spread.height else f"{MACRO} has no BAA and AAA",
            "vix": series["VIX"] if series["VIX"].height else f"{MACRO} has no VIX",
        }
    fx = _first_with(view, regions, FX)
    if fx is None:
        return {**found, "fx_volatility": f"no region has {FX}"}
    region, theirs = fx
    rates = theirs.read(FX, columns=["date", "instrument_id", "rate"])
    rates = rates.filter(pl.col("instrument_id").is_in(list(config.currencies)) & (pl.col("rate") > 0))
    refs.append(_ref(region, FX, rates))
    volatility = _fx_volatility(rates)
    reason = f"{FX} has under {FX_WINDOW + 1} fixings of {', '.join(config.currencies)}"
    return {**found, "fx_volatility": volatility if volatility.height else reason}


def _published(rows: pl.DataFrame, series_id: str) -> pl.DataFrame:
    """What was known of a series after each publication: the value of the newest period published so far."""
    own = rows.filter(pl.col("series_id") == series_id, pl.col("value").is_not_null()).sort("date", "period")
    newest = own.filter(pl.col("period") >= pl.col("period").cum_max())
    return newest.group_by("date", maintain_order=True).last().select("date", "value")


def _fx_volatility(rates: pl.DataFrame) -> pl.DataFrame:
    """The mean over the currencies of the deviation of 21 log changes, annualised, by fixing."""
    change = pl.col("rate").log().diff().over("instrument_id")
    moving = pl.col("change").rolling_std(FX_WINDOW).over("instrument_id")
    deviations = rates.sort("instrument_id", "date").with_columns(change=change).with_columns(std=moving)
    by_day = deviations.drop_nulls("std").group_by("date").agg(pl.col("std").sort().mean()).sort("date")
    return by_day.select("date", value=pl.col("std") * math.sqrt(SESSIONS_PER_YEAR))


def _as_of(days: list[date], series: pl.DataFrame, column: str, stale_days: int | None = None) -> FloatArray:
    """The last value at or before each day, at most `stale_days` old; NaN where there is none."""
    tolerance = None if stale_days is None else f"{stale_days}d"
    grid = pl.DataFrame({"date": pl.Series(days, dtype=pl.Date)})
    joined = grid.join_asof(series.select("date", column), on="date", tolerance=tolerance)
    return joined[column].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _first_with(
    view: HistoricalView, regions: tuple[str, ...], table: str
) -> tuple[str, HistoricalView] | None:
    for region in regions:
        theirs = view.beside(region)
        if theirs.last_date(table) is not None:
            return region, theirs
    return None


def _ref(region: str, table: str, rows: pl.DataFrame) -> dict[str, Json]:
    """A reference to a region's rows of its last date in `rows`."""
    last: date = rows["date"].max()  # type: ignore[assignment]  # a Date column that is not empty
    return {**historical_ref(table, rows, last), "market": region}
