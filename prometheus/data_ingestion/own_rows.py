"""A user's own rows, from files or a database: made to fit a dataset, and what of them was known at a session. Pure.

Every fault of layout or type is told at once: the place, the column, what was found, what is allowed. Whether a value
makes sense is no question of this module; validation judges it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from prometheus.core.errors import DataError
from prometheus.core.settings import SourceSettings
from prometheus.data_ingestion.datasets import DATASETS

# Columns that a vendor may not have; they are empty then.
MAY_BE_ABSENT: Mapping[str, frozenset[str]] = {
    "corporate_actions": frozenset({"ratio", "amount"}),
    "indices": frozenset({"open", "high", "low", "volume"}),
    "facts": frozenset({"period_start", "form"}),
    "texts": frozenset({"instrument_id", "title"}),
    "issuers": frozenset({"name", "sector", "industry"}),
    "futures": frozenset({"ret_1d", "volume"}),
}
# Rows that say themselves what they are about (a period, an accession): one that is known later has a later `row_date`.
# In all others `row_date` is what a row is about, and one that is known later is late, or a revision.
ABOUT_THEMSELVES = frozenset({"macro", "facts", "texts", "issuers"})
RETURN_DECIMALS = (
    9  # of returns made from closes: a history that is adjusted anew must not differ by its rounding
)

# Of raw rows, beside the source's own columns: where a row stands, and the day of its file.
PLACE, LINE, FILE_DAY = "_place", "_line", "_file_day"
KNOWN_ON = "known_on"
NAME = "{name}"  # in `values`: what the file is called, without its suffix
_FROM_CLOSES = {
    "row_date": pl.Date(),
    "instrument_id": pl.String(),
    "open": pl.Float64(),
    "close": pl.Float64(),
}
_KINDS = {pl.Date(): "a day", pl.String(): "text", pl.Float64(): "a number"}


@dataclass(frozen=True, slots=True)
class OwnRows:
    """Rows of `dataset`, and the day from which each was known; `closes` = prices that are not returns yet."""

    dataset: str
    rows: pl.DataFrame
    closes: bool = False

    def known(self, known_at: date) -> pl.DataFrame:
        """The newest version of each row that was known at the end of `known_at`; none of later days."""
        rows = self.rows.filter(pl.col(KNOWN_ON) <= known_at, pl.col("row_date") <= known_at)
        if not (rows[KNOWN_ON] == rows["row_date"]).all():
            key = ["row_date", *DATASETS[self.dataset].key]
            rows = rows.filter(pl.col(KNOWN_ON) == pl.col(KNOWN_ON).max().over(key))
        return returns_of(rows) if self.closes else rows.drop(KNOWN_ON)

    def sessions(self, known_at: date) -> list[date]:
        return self.known(known_at)["row_date"].unique().sort().to_list()

    def read(self, known_at: date, days: Collection[date]) -> pl.DataFrame:
        """The known rows of `days`, and those received on `known_at` itself that claim a later day."""
        known = self.known(known_at).filter(pl.col("row_date").is_in(list(days)))
        if self.closes:
            return known
        tomorrow = (pl.col(KNOWN_ON) == known_at) & (pl.col("row_date") > known_at)
        return pl.concat([known, self.rows.filter(tomorrow).drop(KNOWN_ON)])


def conform(raw: pl.DataFrame, dataset: str, told: SourceSettings, name: str) -> OwnRows:
    """`raw` rows as rows of `dataset`. `raw` has `PLACE` and `LINE`, and `FILE_DAY` where files are named by days.

    Raises `DataError` with every column that is absent or holds something else.
    """
    closes = (
        dataset == "prices" and _name_of("ret_1d", told) not in raw.columns and "ret_1d" not in told.values
    )
    wanted: dict[str, pl.DataType] = dict(_FROM_CLOSES if closes else DATASETS[dataset].columns)
    if told.known_on is not None:
        wanted[KNOWN_ON] = pl.Date()
    faults: list[str] = []
    columns = {column: _column(raw, column, kind, dataset, told, faults) for column, kind in wanted.items()}
    if faults:
        needed = ", ".join(f"{column} ({_KINDS[kind]})" for column, kind in wanted.items())
        raise DataError(
            f"the {dataset} of {name} cannot be used: {'; '.join(faults)}",
            allowed=needed
            + (", or ret_1d and abs_log_open_close in place of open and close" if closes else ""),
            hint='name its columns in prometheus.toml, as in columns = { row_date = "Date" }; see docs/sources.md',
        )
    if FILE_DAY in raw.columns:
        columns[FILE_DAY] = raw[FILE_DAY]
    known_on = pl.coalesce(column for column in (KNOWN_ON, FILE_DAY, "row_date") if column in columns)
    rows = pl.DataFrame(columns).with_columns(known_on.alias(KNOWN_ON))
    if dataset in ABOUT_THEMSELVES:
        rows = rows.with_columns(pl.max_horizontal("row_date", KNOWN_ON).alias("row_date"))
        rows = rows.with_columns(pl.col("row_date").alias(KNOWN_ON))
    return OwnRows(
        dataset, rows.select(*(column for column in wanted if column != KNOWN_ON), KNOWN_ON), closes
    )


def _name_of(column: str, told: SourceSettings) -> str:
    """What our `column` is called in the source."""
    return (told.known_on or KNOWN_ON) if column == KNOWN_ON else told.columns.get(column, column)


def _column(
    raw: pl.DataFrame,
    column: str,
    kind: pl.DataType,
    dataset: str,
    told: SourceSettings,
    faults: list[str],
) -> pl.Series:
    """One column in its type; what is wrong with it is added to `faults`."""
    nothing = pl.Series(column, [None] * raw.height, dtype=kind)
    name = _name_of(column, told)
    if told.values.get(column, NAME) != NAME:
        found = pl.Series(column, [told.values[column]] * raw.height, dtype=pl.String)
    elif name in raw.columns:
        found = raw[name]
    elif column == "row_date" and FILE_DAY in raw.columns:
        return raw[FILE_DAY].alias(column)
    elif column in MAY_BE_ABSENT.get(dataset, ()):
        return nothing
    else:
        others = ", ".join(other for other in raw.columns if other not in (PLACE, LINE, FILE_DAY))
        faults.append(f"{_first_place(raw)} has no column {name!r}; it has {others or 'none'}")
        return nothing
    typed = _typed(found, kind, told)
    if typed is None:
        faults.append(
            f"column {name!r} of {_first_place(raw)} is of type {found.dtype}, {column} is {_KINDS[kind]}"
        )
        return nothing
    bad = (found.is_not_null() & typed.is_null()).arg_true()
    if len(bad):
        place, line = raw[PLACE][bad[0]], raw[LINE][bad[0]]
        like = f" written as {told.date_format}" if kind == pl.Date() else ""
        faults.append(
            f"{place} line {line}: {name!r} is {str(found[bad[0]])[:40]!r}, {column} is {_KINDS[kind]}{like}"
            + (f" ({len(bad)} such lines)" if len(bad) > 1 else "")
        )
    return typed.alias(column)


def _first_place(raw: pl.DataFrame) -> str:
    return str(raw[PLACE][0]) if raw.height else "the source"


def _typed(found: pl.Series, kind: pl.DataType, told: SourceSettings) -> pl.Series | None:
    """`found` as `kind`; null where a value is none; None if a column of that type never can be."""
    type_ = found.dtype
    if type_ == kind or type_ == pl.Null:
        return found.cast(kind)
    if kind == pl.String():
        return found.cast(pl.String) if type_.is_integer() or type_ == pl.Categorical else None
    if kind == pl.Date():
        if type_ == pl.Datetime:
            return found.dt.date()
        if type_.is_integer():
            found, type_ = found.cast(pl.String), pl.String()
        return (
            found.str.strip_chars().str.to_date(told.date_format, strict=False)
            if type_ == pl.String
            else None
        )
    if type_.is_numeric():
        return found.cast(kind)
    if type_ != pl.String:
        return None
    text = found.str.strip_chars()
    return (text if told.decimal == "." else text.str.replace(",", ".", literal=True)).cast(
        kind, strict=False
    )


def returns_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Adjusted opens and closes as rows of prices: returns from close to close, |ln(open/close)|.

    A row whose instrument has none on the source's day before has no return (null, for validation to find): it would
    be one over several days. An instrument's first row is left out.
    """
    days = rows["row_date"].unique().sort()
    before = pl.DataFrame({"row_date": days[1:], "day_before": days[:-1]})
    closes = rows.unique(["instrument_id", "row_date"], keep="first", maintain_order=True)
    last = closes.select(
        "instrument_id", pl.col("row_date").alias("day_before"), pl.col("close").alias("last_close")
    )
    first = rows.group_by("instrument_id").agg(pl.col("row_date").min().alias("first_day"))
    joined = (
        rows.join(before, on="row_date", how="left", maintain_order="left")
        .join(last, on=["instrument_id", "day_before"], how="left", maintain_order="left")
        .join(first, on="instrument_id", how="left", maintain_order="left", nulls_equal=True)
        .filter(pl.col("row_date") > pl.col("first_day"))
    )
    return joined.select(
        "row_date",
        "instrument_id",
        (pl.col("close") / pl.col("last_close") - 1.0).round(RETURN_DECIMALS).alias("ret_1d"),
        (pl.col("open") / pl.col("close")).log().abs().alias("abs_log_open_close"),
    )
