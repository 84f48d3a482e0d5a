"""From staged rows of every context dataset to its final table and `quarantine_context`, a night at a time or in bulk."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from prometheus.core.errors import DataError
from prometheus.core.ids import Json
from prometheus.core.time import TradingCalendar
from prometheus.data_ingestion.cleaning import PRICES, sessions_before
from prometheus.data_ingestion.datasets import DATASETS
from prometheus.data_ingestion.validation.context import (
    NOTHING,
    QUARANTINE_CONTEXT,
    Beside,
    ContextVerdict,
    judge_context,
)
from prometheus.data_ingestion.validation.context_measures import LOOKBACK_SESSIONS
from prometheus.data_ingestion.validation.context_rules import ContextLimits
from prometheus.data_ingestion.validation.findings import quality_of
from prometheus.data_ingestion.verdicts import DatasetVerdict, record_verdicts
from prometheus.stores.desk import Desk
from prometheus.stores.historical import HistoricalView

QUARANTINED_CONTEXT = "quarantine_context"
# Actions first: they explain jumps of raw bars. Prices and volumes have a validation of their own.
CONTEXT = (
    "corporate_actions",
    *(name for name in DATASETS if name not in ("prices", "volumes", "corporate_actions")),
)


@dataclass(frozen=True, slots=True)
class ContextValidated:
    """What a validation of the context did, as its small JSON output says it."""

    session: date
    verdicts: Mapping[str, ContextVerdict]
    days: Mapping[str, int]
    sources: Mapping[str, tuple[str, ...]]
    synthetic: Mapping[str, bool]

    def as_json(self) -> Json:
        return {
            "datasets": {
                name: {
                    "verdict": quality_of(verdict.findings),
                    "days": self.days[name],
                    "rows": verdict.rows,
                    "clean": verdict.clean.height,
                    "quarantined": verdict.counts,
                    "session_rows": verdict.session_rows,
                    "session_clean": verdict.session_clean,
                    "session_quarantined": dict(verdict.session_quarantined),
                    "findings": [finding.text for finding in verdict.findings],
                    "sources": list(self.sources[name]),
                    "synthetic": self.synthetic[name],
                }
                for name, verdict in self.verdicts.items()
            },
            "absent": [name for name in CONTEXT if name not in self.verdicts],
        }


def validate_context_session(
    desk: Desk,
    session: date,
    calendar: TradingCalendar,
    limits: ContextLimits,
    required: Collection[str] = (),
) -> ContextValidated:
    """Judge the session and every staged day that is not yet judged, of each context dataset that has ever come.

    Writes each final table, one quarantine, and the verdicts in `data_quality`. Context never stops a night, unless
    the dataset is `required`: then `DataError` names what was found, after the verdicts are kept.
    """
    unknown = sorted(set(required) - set(CONTEXT))
    if unknown:
        raise DataError(f"no context dataset is named {', '.join(unknown)}", allowed=", ".join(CONTEXT))
    view = desk.as_of(session)
    judged_before = _judged_before(view)
    verdicts: dict[str, ContextVerdict] = {}
    days: dict[str, list[date]] = {}
    staged: dict[str, pl.DataFrame] = {}
    for dataset in CONTEXT:
        have = view.dates(DATASETS[dataset].staged)
        if not have:
            continue
        done = {*view.dates(DATASETS[dataset].table), *judged_before.get(dataset, ())}
        days[dataset] = sorted({session, *(day for day in have if day not in done)})
        since = sessions_before(calendar, days[dataset][0], LOOKBACK_SESSIONS)
        staged[dataset] = view.read(DATASETS[dataset].staged, since=since)
        verdicts[dataset] = judge_context(
            dataset,
            staged[dataset],
            days=days[dataset],
            session=session,
            sessions=calendar.sessions(since, session),
            limits=limits,
            beside=_beside(desk.as_of(session), dataset, since),
            required=dataset in required,
        )
        desk.writer.write_days(DATASETS[dataset].table, verdicts[dataset].clean, days=days[dataset])
    _write_quarantine(desk, view, verdicts, days)
    record_verdicts(desk, session, [_as_recorded(verdict) for verdict in verdicts.values()])
    _stop_if_required(session, verdicts, required)
    return ContextValidated(
        session,
        verdicts,
        {name: len(chosen) for name, chosen in days.items()},
        {name: tuple(rows["source"].unique().sort()) for name, rows in staged.items()},
        {name: bool(rows["synthetic"].any()) for name, rows in staged.items()},
    )


def names_given(given: Json) -> tuple[str, ...]:
    """The dataset names of a `required` parameter; `DataError` if it is no list of names."""
    if given is None:
        return ()
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise DataError(f"the parameter `required` is {given!r}", allowed=f"a list of {', '.join(CONTEXT)}")
    return tuple(str(name) for name in given)


def _judged_before(view: HistoricalView) -> dict[str, set[date]]:
    """Days of which every row was quarantined are not in the final table, and judged all the same."""
    if view.version(QUARANTINED_CONTEXT) is None:
        return {}
    rows = view.read(QUARANTINED_CONTEXT, columns=["dataset", "date"]).unique()
    return {str(name): set(found["date"]) for (name,), found in rows.group_by("dataset")}


def _beside(view: HistoricalView, dataset: str, since: date) -> Beside:
    """The panel and the known corporate actions, for the datasets that are compared with them."""
    if dataset not in ("ohlcv", "indices"):
        return NOTHING
    prices, actions = NOTHING.prices, NOTHING.actions
    if view.version(PRICES) is not None:
        prices = view.read(PRICES, since=since, columns=prices.columns)
    if view.version("corporate_actions") is not None:
        actions = view.read("corporate_actions", since=since, columns=actions.columns)
    return Beside(prices, actions)


def _write_quarantine(
    desk: Desk, view: HistoricalView, verdicts: Mapping[str, ContextVerdict], days: Mapping[str, list[date]]
) -> None:
    """One table for all datasets: a date's rows of the datasets that were not judged tonight are written again."""
    if not verdicts:
        return
    every = sorted({day for chosen in days.values() for day in chosen})
    parts = [verdict.quarantine for verdict in verdicts.values()]
    if view.version(QUARANTINED_CONTEXT) is not None:
        held = view.read(QUARANTINED_CONTEXT, since=every[0]).filter(pl.col("date").is_in(every))
        judged = pl.DataFrame(
            [(name, day) for name, chosen in days.items() for day in chosen],
            schema={"dataset": pl.String, "date": pl.Date},
            orient="row",
        )
        parts.append(held.join(judged, on=["dataset", "date"], how="anti").select(list(QUARANTINE_CONTEXT)))
    rows = pl.concat(parts).sort("date", "dataset", "row_date", "subject", "rule", "value")
    desk.writer.write_days(QUARANTINED_CONTEXT, rows, days=every)


def _as_recorded(verdict: ContextVerdict) -> DatasetVerdict:
    return DatasetVerdict(
        verdict.dataset,
        verdict.findings,
        verdict.session_rows,
        verdict.session_clean,
        verdict.session_quarantined,
    )


def _stop_if_required(
    session: date, verdicts: Mapping[str, ContextVerdict], required: Collection[str]
) -> None:
    faults = [f"{name} has never come" for name in sorted(set(required) - set(verdicts))]
    faults += [
        f"{name}: {finding.text}"
        for name, verdict in verdicts.items()
        for finding in verdict.findings
        if finding.weight == "fails"
    ]
    if faults:
        raise DataError(
            f"the context of {session} cannot be used: {'; '.join(faults)}",
            hint=f"the rows and their rules are in the historical table {QUARANTINED_CONTEXT!r}; the job's parameter "
            f"`required` names what the desk cannot do without",
        )
