"""The feature jobs: each reads what was known on the session, computes, and writes one table.

Every job returns a small dict: sessions computed, rows written, and what the store did.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

from prometheus.core.ids import Json
from prometheus.features import correlations as correlation
from prometheus.features import exposures, factor_model, factor_returns, known_issuers, modelled, nightly
from prometheus.features import numeric_embeddings as embedding
from prometheus.features import profiles as profile
from prometheus.features import returns as return_feature
from prometheus.features import stability_components as stability
from prometheus.features import text_embeddings as text_embedding
from prometheus.features import volatility as volatility_feature
from prometheus.features.text_encoder import choose_encoder
from prometheus.pipelines.task import Task
from prometheus.stores.desk import Desk, open_desk
from prometheus.stores.historical import HistoricalView
from prometheus.stores.wide import FloatArray, Wide, lengthen, one_thread, widen

PRICES = "prices_daily"


def returns(task: Task) -> dict[str, Json]:
    """prices_daily -> returns_daily: `ret_1d`, `ret_5d`, `ret_21d`."""
    desk = open_desk(task)
    view = desk.as_of(task.session)
    gap = nightly.gap(view, PRICES, return_feature.TABLE, return_feature.LOOKBACK, columns=["ret_1d"])
    wide = nightly.read_wide(view, PRICES, "ret_1d", gap.since)
    daily = wide["ret_1d"]
    return _write_panel(desk, return_feature.TABLE, wide, return_feature.compute(daily), gap)


def volatility(task: Task) -> dict[str, Json]:
    """returns_daily -> volatility_daily: `vol_ewma`, `vol_21d`, `vol_63d`, annualised."""
    desk = open_desk(task)
    view = desk.as_of(task.session)
    gap = nightly.gap(
        view, return_feature.TABLE, volatility_feature.TABLE, volatility_feature.LOOKBACK, columns=["ret_1d"]
    )
    wide = nightly.read_wide(view, return_feature.TABLE, "ret_1d", gap.since)
    return _write_panel(desk, volatility_feature.TABLE, wide, volatility_feature.compute(wide["ret_1d"]), gap)


def factors(task: Task) -> dict[str, Json]:
    """prices_daily -> factor_exposures_daily (six styles) and factors_daily (what they earned)."""
    desk = open_desk(task)
    gap, wide, wanted = _traded(desk.as_of(task.session), factor_returns.TABLE, factor_returns.LOOKBACK)
    daily = wide["ret_1d"]
    needed = sorted({*wanted, *(row - 1 for row in wanted if row)})
    with one_thread():
        found = exposures.compute(daily, wide["dollar_volume"], needed)
        place = {row: at for at, row in enumerate(needed)}
        explained = [row for row in wanted if row]
        before = [place[row - 1] for row in explained]
        earned = factor_returns.compute(
            {name: values[before] for name, values in found.items()}, daily[explained]
        )
    # The first session of all has none before it, and so no factor returns.
    earned = np.vstack([np.full((len(wanted) - len(explained), earned.shape[1]), np.nan), earned])
    days = [wide.days[row] for row in wanted]
    at = [place[row] for row in wanted]
    rows = lengthen(
        days, wide.instruments, {name: values[at] for name, values in found.items()}, ~np.isnan(daily[wanted])
    )
    # The table that `gap` looks at comes last: an attempt that dies between the two does both again.
    kept = nightly.keep(desk, exposures.TABLE, rows, gap)
    written = nightly.keep(desk, factor_returns.TABLE, _factor_rows(days, earned), gap)
    return {"sessions": len(wanted), "rows": kept.rows, "write": written.action}


def correlations(task: Task) -> dict[str, Json]:
    """returns_daily -> correlation_panels (one row a session) and factor_models.

    A factor model is kept of the night's session and of the last session of each month; the parameter
    `models: "all"` keeps one of every session.
    """
    desk = open_desk(task)
    view = desk.as_of(task.session)
    lookback = max(correlation.LOOKBACK, factor_model.LOOKBACK)
    held = nightly.content(view, return_feature.TABLE, ["ret_1d"])
    gap = nightly.gap_of(view, held, correlation.TABLE, lookback)
    models = modelled.gap(view, held, every=modelled.every_session(task.params))
    wide = nightly.read_wide(view, return_feature.TABLE, "ret_1d", min(gap.since, models.since))
    missing = set(gap.missing)
    wanted = [row for row, day in enumerate(wide.days) if day in missing]
    with one_thread():
        panel = correlation.compute(wide["ret_1d"], wanted)
        found = modelled.fit(wide, models.missing)
    columns = {name: pl.Series(values).fill_nan(None) for name, values in panel.items()}
    rows = pl.DataFrame({"date": [wide.days[row] for row in wanted], **columns})
    written = nightly.keep(desk, correlation.TABLE, rows, gap)
    output: dict[str, Json] = {"sessions": len(wanted), "rows": written.rows, "write": written.action}
    if found is None:
        return {**output, "factor_model": f"none: fewer than {factor_model.MINIMUM} sessions of history"}
    kept = nightly.keep(desk, factor_model.TABLE, found, models)
    instruments = found.filter(pl.col("date") == task.session).height
    told: Json = {"instruments": instruments, "models": len(models.missing), "write": kept.action}
    return {**output, "factor_model": told}


def numeric_embeddings(task: Task) -> dict[str, Json]:
    """prices_daily -> numeric_window_embeddings: sixteen numbers for each instrument's last 63 sessions."""
    desk = open_desk(task)
    gap, wide, wanted = _traded(desk.as_of(task.session), embedding.TABLE, embedding.LOOKBACK)
    with one_thread():
        values = embedding.compute(wide["ret_1d"], wide["dollar_volume"], wide.days, wanted)
    days = [wide.days[row] for row in wanted]
    frame = lengthen(days, wide.instruments, values, ~np.isnan(wide["ret_1d"][wanted]))
    # Seven digits are more than what is alike in two windows, in half the room.
    frame = frame.with_columns(pl.col(*embedding.NAMES).cast(pl.Float32))
    written = nightly.keep(desk, embedding.TABLE, frame, gap)
    return {"sessions": len(wanted), "rows": written.rows, "write": written.action}


def text_embeddings(task: Task) -> dict[str, Json]:
    """Texts -> text_embeddings: a vector a text; the parameter `encoder` names another way to make them."""
    desk = open_desk(task)
    encoder = choose_encoder(task.params)
    gap, unread = text_embedding.gap(desk.as_of(task.session), encoder.name)
    output: dict[str, Json] = {"texts": unread.height, "sessions": len(gap.missing), "encoder": encoder.name}
    if not gap.missing and not gap.gone:
        return {**output, "write": "nothing"}
    with one_thread():
        frame = text_embedding.compute(unread, encoder)
    return {**output, "write": nightly.keep(desk, text_embedding.TABLE, frame, gap).action}


def profiles(task: Task) -> dict[str, Json]:
    """texts, facts, corporate_actions, issuers, features -> profile_snapshots and profile_embeddings.

    Of issuers of which something is new since the last session with snapshots, and of those never seen before.
    """
    desk = open_desk(task)
    view = desk.as_of(task.session)
    known = known_issuers.instruments(view)
    made = _made_before(view)
    since = max(made["date"].to_list(), default=None)
    reasons = known_issuers.news(view, known, since, set(made["issuer_id"]))
    found = profile.snapshots(view, known, reasons)
    with desk.writer.commit() as connection:
        config_id = desk.runtime.record_config(connection, "profiles", profile.CONFIG)
        rows = [{**row, "config_id": config_id, "run_id": task.run_id} for row in found]
        key = {"as_of_date": task.session, "market_id": task.market}
        desk.runtime.replace(connection, profile.SNAPSHOTS, key, rows)
    # After the snapshots: what a later night takes for seen has one.
    synthetic = {str(row["issuer_id"]) for row in found if row["synthetic"]}
    frame = profile.vectors(view, known, list(reasons), synthetic)
    written = desk.writer.write_days(profile.TABLE, frame, days=[task.session])
    return {"issuers": len(found), "synthetic": len(synthetic), "write": written.action}


def _made_before(view: HistoricalView) -> pl.DataFrame:
    """Date and issuer_id of the profiles of earlier sessions."""
    if view.version(profile.TABLE) is None:
        return pl.DataFrame(schema={"date": pl.Date, "issuer_id": pl.String})
    rows = view.read(profile.TABLE, columns=["date", "issuer_id"])
    return rows.filter(pl.col("date") < view.as_of_date)


def stability_components(task: Task) -> dict[str, Json]:
    """prices_daily -> stability_components_daily: four components of fragility in [0, 1], and `fragility`."""
    desk = open_desk(task)
    gap, wide, wanted = _traded(desk.as_of(task.session), stability.TABLE, stability.LOOKBACK)
    values = stability.compute(wide["ret_1d"], wide["dollar_volume"], wanted)
    days = [wide.days[row] for row in wanted]
    frame = lengthen(days, wide.instruments, values, ~np.isnan(wide["ret_1d"][wanted]))
    written = nightly.keep(desk, stability.TABLE, frame, gap)
    return {"sessions": len(wanted), "rows": written.rows, "write": written.action}


def _traded(view: HistoricalView, table: str, lookback: int) -> tuple[nightly.Gap, Wide, list[int]]:
    """What `table` lacks, the returns and traded dollars it is computed from, and the rows of the missing sessions."""
    columns = ["ret_1d", "dollar_volume"]
    gap = nightly.gap(view, PRICES, table, lookback, columns=columns)
    wide = widen(view.read(PRICES, since=gap.since, columns=["date", "instrument_id", *columns]), columns)
    missing = set(gap.missing)
    return gap, wide, [row for row, day in enumerate(wide.days) if day in missing]


def _write_panel(
    desk: Desk,
    table: str,
    wide: Wide,
    values: dict[str, FloatArray],
    gap: nightly.Gap,
) -> dict[str, Json]:
    missing = set(gap.missing)
    wanted = np.array([day in missing for day in wide.days])
    # A row for every pair that had a return: a feature without enough history is null, not absent.
    known = ~np.isnan(values["ret_1d"] if "ret_1d" in values else wide["ret_1d"])
    frame = lengthen(wide.days, wide.instruments, values, known & wanted[:, None])
    written = nightly.keep(desk, table, frame, gap)
    return {"sessions": len(gap.missing), "rows": written.rows, "write": written.action}


def _factor_rows(days: list[date], earned: FloatArray) -> pl.DataFrame:
    names = factor_returns.FACTORS
    return pl.DataFrame(
        {
            "date": pl.Series([day for day in days for _ in names], dtype=pl.Date),
            "factor": list(names) * len(days),
            "ret": pl.Series(earned.ravel(), dtype=pl.Float64).fill_nan(None),
        }
    )
