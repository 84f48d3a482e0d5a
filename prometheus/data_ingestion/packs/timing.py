"""When could a value be known? One rule for each kind of publication; where the file does not say, the later day.

The night begins half an hour after the close of New York, so what is published later that evening is tomorrow's.
"""

from __future__ import annotations

import polars as pl

EIA_LAG_WEEKDAYS = 5


def same_day(day: pl.Expr) -> pl.Expr:
    """Published before the night begins: closes of indices and of the VIX, the ECB's rates (16:00 in Frankfurt)."""
    return day


def next_weekday(day: pl.Expr) -> pl.Expr:
    """The weekday after: the Treasury's curve, which is published in the evening of its day."""
    return day.dt.offset_by("1d").dt.add_business_days(0, roll="forward")


def weekdays_later(day: pl.Expr, count: int) -> pl.Expr:
    """`count` weekdays after: spot prices of oil, which the EIA publishes in batches within about a week."""
    return day.dt.add_business_days(count, roll="backward")


def last_weekday_of_next_month(day: pl.Expr) -> pl.Expr:
    """For monthly figures without a day of publication: every one of them is out by then.

    Moody's averages come in the first week of the next month and the CPI in the middle of it. The latest CPI of the
    files' years was that of September 2013, delayed by the government's shutdown to 2013-10-30.
    """
    end = day.dt.month_start().dt.offset_by("1mo").dt.month_end()
    return end.dt.add_business_days(0, roll="backward")
