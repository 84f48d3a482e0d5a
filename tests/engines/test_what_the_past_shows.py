"""The real panel 2007 to August 2011: crises are called by their own nights, and soft targets fare badly in storms.

The whole decade: `python -m tools.evidence.regimes` and `python -m tools.evidence.soft_targets`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from night_task import NightTask

from prometheus.engines.stability.config import StabilityConfig
from prometheus.features import jobs
from prometheus.stores.historical import HistoricalDb, WriteId
from tools.evidence import regimes, soft_targets

LAST = date(2011, 8, 31)


def store_of(real_panel: Any, home: Path, *features: Callable[[Any], Any]) -> HistoricalDb:
    """A store with those features of all sessions to `LAST`, by the jobs of one night."""
    store = HistoricalDb(home / "historical")
    days = real_panel.sessions("prices", LAST)
    both = [real_panel.read(dataset, LAST, days) for dataset in ("prices", "volumes")]
    prices = both[0].join(both[1], on=["row_date", "instrument_id"]).rename({"row_date": "date"})
    prices = prices.with_columns(pl.lit(value=False).alias("synthetic"))
    store.write_days("prices_daily", prices, WriteId("load", "validate", "p", 1, "0" * 64), market="US_EQ")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROMETHEUS_HOME", str(home))
        for job in features:
            job(NightTask(LAST, job.__name__))
    return store


# Two stores, each with what its tests need: two workers that share this file do not both compute all of it.


@pytest.fixture(scope="module")
def nights(
    real_panel: Any, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[date, date, int], list[regimes.Judged]]:
    """The regimes of every so-many-th session between two days, each judged alone."""
    store = store_of(real_panel, tmp_path_factory.mktemp("nights"), jobs.returns, jobs.correlations)
    days = store.as_of(LAST, market="US_EQ").dates("correlation_panels")

    def between(first: date, last: date, every: int) -> list[regimes.Judged]:
        return regimes.judged(store, [day for day in days if first <= day <= last][::every])

    return between


@pytest.fixture(scope="module")
def months(real_panel: Any, tmp_path_factory: pytest.TempPathFactory) -> list[soft_targets.Month]:
    store = store_of(real_panel, tmp_path_factory.mktemp("months"), jobs.returns, jobs.stability_components)
    view = store.as_of(LAST, market="US_EQ")
    ends = soft_targets.month_ends(view.dates("stability_components_daily"))
    return soft_targets.months(view, ends, StabilityConfig())


def test_each_night_alone_calls_the_storms_stressed_and_a_quiet_winter_calm(nights: Any) -> None:
    """One test: the store of its nights is dear, and workers would each make one."""
    found = nights(date(2008, 9, 2), date(2009, 3, 31), 18)
    assert len(found) == 9
    assert {night.label for night in found} == {"stressed"}
    assert "Sep 2008 - Mar 2009" in regimes.table(found)
    before, first, *rest = nights(date(2011, 8, 5), date(2011, 8, 12), 1)
    assert before.label == "normal"
    assert first.day == date(2011, 8, 8)
    assert (first.label, first.since) == ("stressed", "2011-08-08")  # an alarm does not wait
    assert {night.label for night in rest} == {"stressed"}
    shares = regimes.shares(nights(date(2010, 12, 13), date(2011, 2, 15), 9))
    assert shares["calm"] >= 0.75
    assert shares["stressed"] == 0.0


def test_soft_targets_of_august_2008_fare_worse_in_the_quarter_that_followed(months: Any) -> None:
    august = next(month for month in months if month.day == date(2008, 8, 29))
    assert august.market < -0.3
    assert august.worse < -0.05
    assert august.deeper > 0.15
    assert soft_targets.permuted(august, 2_000) < 0.05


def test_august_2008_is_no_lucky_draw(months: Any) -> None:
    fell = [month for month in months if month.market < 0.0]
    assert len(fell) >= 10
    assert np.mean([month.worse < 0.0 for month in fell]) >= 0.75
    assert np.mean([month.deeper > 0.0 for month in months]) == 1.0


def test_the_table_of_soft_targets_says_what_it_cannot_show(months: Any) -> None:
    told = soft_targets.table(months)
    assert told.startswith("! survivors only")
    assert "2008-08-29" in told
    assert "market rose" in told
