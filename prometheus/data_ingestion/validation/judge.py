"""Divide received rows into clean and quarantined, say why, and say whether the night may go on. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from prometheus.data_ingestion.validation.divide import divide
from prometheus.data_ingestion.validation.findings import Finding, some, weigh
from prometheus.data_ingestion.validation.measures import measure_joined, measure_received
from prometheus.data_ingestion.validation.rules import (
    PRICE_RULES,
    VOLUME_RULES,
    Limits,
    joined_rules,
    watched,
)

CLEAN = ["date", "instrument_id", "ret_1d", "dollar_volume", "abs_log_open_close"]
_PRICES = ["ret_1d", "abs_log_open_close"]
_VOLUMES = ["dollar_volume"]
_MEASURES = ["surprise", "volume_multiple", "range_multiple"]
# Findings that are the same whether the session was judged alone or with the history before it.
OF_THE_SESSION = frozenset({"standing_session", "missing_instruments", "session_quarantined"})
_SMALLEST_CROSS_SECTION = 20  # shares of fewer instruments say nothing


@dataclass(frozen=True, slots=True)
class Verdict:
    """Clean and quarantined rows of the judged days, and what was found."""

    clean: pl.DataFrame
    quarantine: pl.DataFrame
    rows: int  # received: prices and volumes
    watched: Mapping[str, int]
    findings: tuple[Finding, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Quarantined rows by rule."""
        found = self.quarantine.group_by("rule").len().sort("rule")
        return dict(found.iter_rows())

    @property
    def failures(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.weight == "fails")


def judge(
    prices: pl.DataFrame,
    volumes: pl.DataFrame,
    *,
    days: Sequence[date],
    session: date,
    sessions: Sequence[date],
    limits: Limits,
) -> Verdict:
    """The verdict over the rows of `days`. Frames also hold the 63 sessions before, which are only looked at.

    `sessions` are the calendar's trading days over all of it, up to `session`, the night's own.
    """
    judged = pl.col("date").is_in(list(days))
    received = prices.filter(judged).height + volumes.filter(judged).height
    good_prices, bad_prices = divide(
        measure_received(prices, _PRICES, sessions), "prices", PRICE_RULES, _PRICES
    )
    good_volumes, bad_volumes = divide(
        measure_received(volumes, _VOLUMES, sessions), "volumes", VOLUME_RULES, _VOLUMES
    )
    joined = good_prices.select("date", "instrument_id", *_PRICES).join(
        good_volumes.select("date", "instrument_id", *_VOLUMES),
        on=["date", "instrument_id"],
        how="full",
        coalesce=True,
    )
    measured = measure_joined(joined, sessions, limits).with_columns(pl.col("date").alias("row_date"))
    good, bad = divide(
        measured.filter(judged), "joined", joined_rules(limits), [*_PRICES, *_VOLUMES, *_MEASURES]
    )
    quarantine = pl.concat([bad_prices.filter(judged), bad_volumes.filter(judged), bad])
    counted = good.select(expression.sum().alias(name) for name, expression in watched(limits).items())
    findings = (
        *_missing_sessions(prices, volumes, days, session, sessions, limits),
        *_standing_session(good, session, limits),
        *_missing_instruments(joined, session, sessions, limits),
        *_too_much_quarantined(prices, quarantine, days, session, limits),
    )
    return Verdict(
        clean=good.select(CLEAN).sort("date", "instrument_id"),
        quarantine=quarantine.sort("date", "instrument_id", "dataset", "rule"),
        rows=received,
        watched={name: int(value or 0) for name, value in counted.row(0, named=True).items()},
        findings=findings,
    )


def _missing_sessions(
    prices: pl.DataFrame,
    volumes: pl.DataFrame,
    days: Sequence[date],
    session: date,
    sessions: Sequence[date],
    limits: Limits,
) -> list[Finding]:
    expected = [day for day in sessions if min(days, default=session) <= day <= session]
    found = []
    for dataset, frame in (("prices", prices), ("volumes", volumes)):
        have = set(frame.filter(pl.col("row_date") == pl.col("date"))["date"].unique())
        gaps = [day for day in expected if day not in have]
        if gaps:
            text = f"{len(gaps)} trading days have no {dataset} at all: {some(gaps)}"
            found.append(Finding("missing_sessions", text, weigh(len(gaps), fails=limits.missing_sessions)))
    return found


def _standing_session(good: pl.DataFrame, session: date, limits: Limits) -> list[Finding]:
    tonight = good.filter(pl.col("date") == session)
    still = tonight.filter(pl.col("ret_1d") == 0).height
    if tonight.height < _SMALLEST_CROSS_SECTION or still <= limits.zero_return_share * tonight.height:
        return []
    text = f"{still} of {tonight.height} prices of {session} did not move: an old file, or no trading"
    return [Finding("standing_session", text, "fails")]


def _missing_instruments(
    joined: pl.DataFrame, session: date, sessions: Sequence[date], limits: Limits
) -> list[Finding]:
    if len(sessions) < 2:
        return []
    before = set(joined.filter(pl.col("date") == sessions[-2])["instrument_id"])
    missing = sorted(before.difference(joined.filter(pl.col("date") == session)["instrument_id"]))
    if not missing:
        return []
    text = f"{len(missing)} of {len(before)} instruments of {sessions[-2]} have no row on {session}: {some(missing)}"
    weight = weigh(
        len(missing), degrades=limits.degraded_share * len(before), fails=limits.missing_share * len(before)
    )
    return [Finding("missing_instruments", text, weight)]


def _too_much_quarantined(
    prices: pl.DataFrame, quarantine: pl.DataFrame, days: Sequence[date], session: date, limits: Limits
) -> list[Finding]:
    found = []
    history = [day for day in days if day != session]
    for name, chosen, bearable, share in (
        ("session", [session], limits.degraded_share, limits.session_quarantined_share),
        ("history", history, limits.history_quarantined_share, limits.history_quarantined_share),
    ):
        total = prices.filter(pl.col("date").is_in(chosen)).height
        bad = quarantine.filter(pl.col("date").is_in(chosen))
        rows = bad.select("date", "instrument_id").unique().height
        weight = weigh(rows, degrades=bearable * total, fails=share * total)
        if weight != "note":
            rules = ", ".join(
                f"{rule} {count}" for rule, count in bad.group_by("rule").len().sort("rule").iter_rows()
            )
            passed = share if weight == "fails" else bearable
            text = f"{rows} of {total} rows of the {name} are quarantined, more than {passed:.0%}: {rules}"
            found.append(Finding(f"{name}_quarantined", text, weight))
    return found
