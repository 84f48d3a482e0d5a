"""Of which sessions is a factor model kept?

A model is one row an instrument and costs a hundred times the panel of its session, and what asks for models of the
past (a backtest that weighs anew once a month) asks for the ends of months. So the models kept are those of each
night's session, of the last session of each month, and of every session for whoever says so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from itertools import pairwise

import numpy as np
import polars as pl

from prometheus.core.errors import DataError
from prometheus.core.ids import Json
from prometheus.features import factor_model, nightly
from prometheus.stores.historical import HistoricalView
from prometheus.stores.wide import Wide, lengthen

CHOICES = ("month_ends", "all")


def every_session(params: Mapping[str, Json]) -> bool:
    """Whether the job's parameter `models` asks for a model of every session; raises `DataError` for a strange one."""
    given = params.get("models", CHOICES[0])
    if given not in CHOICES:
        raise DataError(
            f"parameter models of the correlations job is {given!r}",
            allowed=" or ".join(CHOICES),
            hint="month_ends keeps the night's model and those of the last session of each month",
        )
    return bool(given == "all")


def gap(view: HistoricalView, held: Mapping[date, int], *, every: bool) -> nightly.Gap:
    """The sessions whose model is to be fitted: those asked for, and those kept whose returns were corrected since.

    `held` is the `nightly.content` of the returns.
    """
    known = sorted(held)
    found = nightly.gap_of(view, held, factor_model.TABLE, factor_model.LOOKBACK)
    asked = (
        {day for day in found.missing if every} | month_ends(known) | view.stamps(factor_model.TABLE).keys()
    )
    able = set(known[factor_model.MINIMUM - 1 :]) & (asked | {view.as_of_date})
    missing = tuple(day for day in found.missing if day in able)
    since = known[max(known.index(missing[0]) - factor_model.LOOKBACK, 0)] if missing else view.as_of_date
    return nightly.Gap(missing, since, {day: found.stamps[day] for day in missing}, found.gone)


def month_ends(days: Collection[date]) -> set[date]:
    """The days after which another month follows; the last day of all is none, as nobody knows what follows."""
    ordered = sorted(days)
    return {day for day, after in pairwise(ordered) if day.month != after.month}


def fit(wide: Wide, sessions: Collection[date]) -> pl.DataFrame | None:
    """Rows of factor_models for each of `sessions` from daily returns; None if there is none to fit."""
    wanted = set(sessions)
    frames = []
    for row, day in enumerate(wide.days):
        if day not in wanted:
            continue
        model = factor_model.fit(wide["ret_1d"][: row + 1], wide.instruments)
        assert model is not None, f"{day} has {factor_model.MINIMUM} sessions before it"
        values = {name: column[None, :] for name, column in model.columns().items()}
        present = np.ones((1, len(model.instruments)), dtype=np.bool_)
        frames.append(lengthen([day], model.instruments, values, present))
    return pl.concat(frames) if frames else None
