"""From staged rows to `prices_daily` and `quarantine`: read, judge, write, and stop the night if it must stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from prometheus.core.errors import DataError
from prometheus.core.ids import Json
from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion.datasets import DATASETS
from prometheus.data_ingestion.revisions import settled
from prometheus.data_ingestion.validation.findings import Finding, quality_of
from prometheus.data_ingestion.validation.judge import OF_THE_SESSION, Verdict, judge
from prometheus.data_ingestion.validation.measures import WINDOW_SESSIONS
from prometheus.data_ingestion.validation.rules import Limits
from prometheus.data_ingestion.verdicts import DatasetVerdict, record_verdicts
from prometheus.stores.desk import Desk
from prometheus.stores.historical import HistoricalView
from prometheus.stores.stamps import day_stamps, joined_stamps, unsettled, window_stamps

PRICES, QUARANTINED = "prices_daily", "quarantine"
KEY = DATASETS["prices"].key
_CLEAN_ROWS = {
    "date": pl.Date(),
    "instrument_id": pl.String(),
    **{name: pl.Float64() for name in ("ret_1d", "dollar_volume", "abs_log_open_close")},
}
STAGED = {dataset: DATASETS[dataset].staged for dataset in ("prices", "volumes")}
INDEX_BASE = 100.0  # value of close_index at the close before an instrument's first clean return


@dataclass(frozen=True, slots=True)
class Validated:
    """What a validation did, as its small JSON output says it."""

    session: date
    verdict: Verdict
    days: int
    session_clean: int
    source: str
    synthetic: bool
    action: str

    def as_json(self) -> Json:
        tonight = self.verdict.quarantine.filter(pl.col("date") == self.session)
        return {
            "source": self.source,
            "synthetic": self.synthetic,
            "days": self.days,
            "rows": self.verdict.rows,
            "clean": self.verdict.clean.height,
            "quarantined": self.verdict.counts,
            "session_clean": self.session_clean,
            "session_quarantined": tonight.select("date", "instrument_id").unique().height,
            "watched": dict(self.verdict.watched),
            "findings": [finding.text for finding in self.verdict.findings],
            "verdict": quality_of(self.verdict.findings),
            "action": self.action,
        }


def validate_session(desk: Desk, session: date, calendar: TradingCalendar, limits: Limits) -> Validated:
    """Judge `session`, every staged day not yet in `prices_daily`, and every day about which more is known now.

    A day is judged anew if its own rows, or those of the 63 sessions before that its rules look back to, came late or
    were revised; the index is chained anew from there. One commit for quarantine, one for prices. Raises `DataError`
    with every failing finding; the quarantine is kept then for whoever looks, prices are not.
    """
    view = desk.as_of(session)
    received = {name: settled(view.read(table), KEY) for name, table in STAGED.items() if view.version(table)}
    stamps = joined_stamps(*(day_stamps(rows) for rows in received.values()))
    staged = sorted(stamps)
    if session not in stamps or len(received) < len(STAGED):
        raise DataError(f"nothing is staged for the session {session}", hint="run the ingest jobs first")
    stamps = window_stamps(stamps, staged, WINDOW_SESSIONS)
    kept = view.stamps(PRICES)
    days, gone = unsettled(stamps, kept, session)
    since = max(sessions_before(calendar, days[0], WINDOW_SESSIONS), staged[0])
    prices, volumes = (received[name].filter(pl.col("date") >= since) for name in STAGED)
    source, synthetic = _one_source(prices, volumes)
    verdict = judge(
        prices, volumes, days=days, session=session, sessions=calendar.sessions(since, session), limits=limits
    )
    desk.writer.write_days(QUARANTINED, verdict.quarantine, days=days)
    record_verdicts(desk, session, [_of_session(verdict, session, prices, volumes)])
    if verdict.failures:
        raise _stop(session, verdict.failures)
    first = min([days[0], *gone])
    later = _later(view, first, [*days, *gone])
    chained = chain_index(pl.concat([verdict.clean, later]), _last_index(view, first))
    clean = chained.with_columns(pl.lit(source).alias("source"), pl.lit(synthetic).alias("synthetic"))
    result = desk.writer.write_days(
        PRICES,
        clean,
        days=[*days, *gone, *later["date"].unique()],
        stamps={**kept, **{day: stamps[day] for day in days}},
    )
    _list_instruments(desk, clean, source, synthetic)
    tonight = clean.filter(pl.col("date") == session).height
    return Validated(session, verdict, len(days), tonight, source, synthetic, result.action)


def _later(view: HistoricalView, first: date, judged: Sequence[date]) -> pl.DataFrame:
    """Clean rows that stay as they are but stand after a day that changes: their index changes with it."""
    if view.version(PRICES) is None:
        return pl.DataFrame(schema=_CLEAN_ROWS)
    rows = view.read(PRICES, since=first, columns=list(_CLEAN_ROWS))
    return rows.filter(~pl.col("date").is_in(list(judged)))


def _of_session(
    verdict: Verdict, session: date, prices: pl.DataFrame, volumes: pl.DataFrame
) -> DatasetVerdict:
    """What the night's decisions must know of its prices: the session alone, however many days were judged with it."""
    tonight = pl.col("date") == session
    found = verdict.quarantine.filter(tonight).group_by("rule").len().sort("rule")
    rows = prices.filter(tonight).height + volumes.filter(tonight).height
    clean = verdict.clean.filter(tonight).height
    # What is only told, and of other sessions, depends on how many were judged at once.
    findings = tuple(
        each for each in verdict.findings if each.weight == "fails" or each.name in OF_THE_SESSION
    )
    return DatasetVerdict("prices", findings, rows, clean, dict(found.iter_rows()))


def chain_index(clean: pl.DataFrame, last: pl.DataFrame) -> pl.DataFrame:
    """Add `close_index`: the value of 100 put into the instrument before its first clean return, at each close.

    `last` has each instrument's `close_index` before these rows. It is multiplied on one return at a time, in order,
    so ten years at once and night after night give the same bits. A quarantined return is left out, as if it were 0.
    """
    ordered = clean.sort("instrument_id", "date").join(
        last.select("instrument_id", pl.col("close_index").alias("base")), on="instrument_id", how="left"
    )
    growth = 1.0 + pl.col("ret_1d")
    first = pl.col("instrument_id") != pl.col("instrument_id").shift(1)
    factors = ordered.with_columns(
        pl.when(first.fill_null(value=True))
        .then(pl.col("base").fill_null(INDEX_BASE) * growth)
        .otherwise(growth)
        .alias("factor")
    )
    chained = factors.with_columns(pl.col("factor").cum_prod().over("instrument_id").alias("close_index"))
    columns = ["date", "instrument_id", "close_index", "ret_1d", "dollar_volume", "abs_log_open_close"]
    return chained.select(columns).sort("date", "instrument_id")


def _last_index(view: HistoricalView, before: date) -> pl.DataFrame:
    columns = ["date", "instrument_id", "close_index"]
    if view.last_date(PRICES) is None:
        return pl.DataFrame(schema={"date": pl.Date, "instrument_id": pl.String, "close_index": pl.Float64})
    earlier = view.read(PRICES, columns=columns).filter(pl.col("date") < before)
    return earlier.group_by("instrument_id", maintain_order=True).last()


def sessions_before(calendar: TradingCalendar, day: date, count: int) -> date:
    """The session `count` before `day`, or the calendar's first day if it does not reach so far."""
    try:
        return calendar.previous_trading_day(day, count)
    except ValueError:
        return calendar.valid_from


def _one_source(prices: pl.DataFrame, volumes: pl.DataFrame) -> tuple[str, bool]:
    """The source of prices and volumes (both names if there are two), and whether they are synthetic."""
    found = {
        name: sorted(rows["source"].unique()) for name, rows in zip(STAGED, (prices, volumes), strict=True)
    }
    synthetic = {*prices["synthetic"].unique(), *volumes["synthetic"].unique()}
    several = [f"{name} from {', '.join(sources)}" for name, sources in found.items() if len(sources) > 1]
    if several or len(synthetic) > 1:
        all_names = "; ".join(f"{name} from {', '.join(sources)}" for name, sources in found.items())
        raise DataError(
            f"the staged rows come from several sources: {all_names}",
            allowed="one source of prices and one of volumes, both real or both synthetic",
            hint="real and synthetic data never share a store; use another PROMETHEUS_HOME",
        )
    return " + ".join(sorted({name for sources in found.values() for name in sources})), synthetic.pop()


def _stop(session: date, failures: Sequence[Finding]) -> DataError:
    texts = "; ".join(finding.text for finding in failures)
    return DataError(
        f"the data of {session} cannot be used: {texts}",
        hint=f"the rows and their rules are in the historical table {QUARANTINED!r}; if the data is right, set the "
        f"job's `limits` parameter; else get the files anew and retry",
    )


def _list_instruments(desk: Desk, clean: pl.DataFrame, source: str, synthetic: bool) -> None:
    """Put instruments that are new into the runtime table. Issuers are left out: the panel does not name them."""
    market = desk.writer.market
    known = {row["instrument_id"] for row in desk.runtime.rows("instruments", market_id=market)}
    first = (
        clean.group_by("instrument_id").agg(pl.col("date").min().alias("first_date")).sort("instrument_id")
    )
    rows = [
        {
            "instrument_id": row["instrument_id"],
            "market_id": market,
            "issuer_id": None,
            "symbol": row["instrument_id"],
            "source": source,
            "synthetic": synthetic,
            "first_date": row["first_date"],
            "attributes": {},
        }
        for row in first.iter_rows(named=True)
        if row["instrument_id"] not in known
    ]
    if rows:
        with desk.writer.commit() as connection:
            desk.runtime.put(connection, "markets", [{"market_id": market, "name": market}])
            desk.runtime.put(connection, "instruments", rows)
