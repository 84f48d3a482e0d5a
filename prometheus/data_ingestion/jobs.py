"""The jobs of this room, as pipelines name them: each takes a task and returns a small JSON value."""

from __future__ import annotations

from prometheus.core.errors import DataError, StoreError
from prometheus.core.ids import Json
from prometheus.core.settings import load_settings
from prometheus.data_ingestion.choose import AUTO, choose_source
from prometheus.data_ingestion.cleaning import validate_session
from prometheus.data_ingestion.context import names_given, validate_context_session
from prometheus.data_ingestion.datasets import DATASETS
from prometheus.data_ingestion.ingest import PATIENCE, go_without, ingest
from prometheus.data_ingestion.listing import list_issuers
from prometheus.data_ingestion.quality import check_quality
from prometheus.data_ingestion.validation.context_rules import ContextLimits
from prometheus.data_ingestion.validation.rules import Limits
from prometheus.pipelines.task import Task
from prometheus.stores.desk import open_desk
from prometheus.stores.health import desk_health
from prometheus.stores.historical import HistoricalDb


def ingest_prices(task: Task) -> Json:
    """Stage the session's returns and trading ranges, and the history before it on the first night."""
    return _ingest(task, "prices")


def ingest_volumes(task: Task) -> Json:
    """Stage the session's dollar volumes, and the history before it on the first night."""
    return _ingest(task, "volumes")


def ingest_ohlcv(task: Task) -> Json:
    """Stage raw daily bars, not adjusted for splits or dividends."""
    return _ingest(task, "ohlcv")


def ingest_actions(task: Task) -> Json:
    """Stage corporate actions: splits, dividends, spin-offs, mergers, changes of ticker."""
    return _ingest(task, "corporate_actions")


def ingest_macro(task: Task) -> Json:
    """Stage macro series that were published since the session before."""
    return _ingest(task, "macro")


def ingest_indices(task: Task) -> Json:
    """Stage daily bars of indices."""
    return _ingest(task, "indices")


def ingest_fx(task: Task) -> Json:
    """Stage exchange rates."""
    return _ingest(task, "fx")


def ingest_facts(task: Task) -> Json:
    """Stage facts of companies' filings; the day of filing decides, not the period that they are about."""
    return _ingest(task, "facts")


def ingest_texts(task: Task) -> Json:
    """Stage news, filings and calls."""
    return _ingest(task, "texts")


def ingest_issuers(task: Task) -> Json:
    """Stage who stands behind an instrument, and its sector; put what is known into the runtime tables."""
    staged = _ingest(task, "issuers")
    assert isinstance(staged, dict)
    return {**staged, "listed": list_issuers(open_desk(task), task.session).as_json()}


def ingest_futures(task: Task) -> Json:
    """Stage settlement prices of futures."""
    return _ingest(task, "futures")


def validate(task: Task) -> Json:
    """Divide staged rows into `prices_daily` and `quarantine`; fails if too much is wrong. Param: `limits`."""
    limits = Limits.from_params(task.params.get("limits"))
    return validate_session(open_desk(task), task.session, task.calendar(), limits).as_json()


def validate_context(task: Task) -> Json:
    """Divide staged rows of every other dataset into final tables and `quarantine_context`, and say what each is worth.

    Params: `limits`; `required`, the datasets without which the night must not go on (default: none).
    """
    limits = ContextLimits.from_params(task.params.get("limits"))
    required = names_given(task.params.get("required"))
    return validate_context_session(
        open_desk(task), task.session, task.calendar(), limits, required
    ).as_json()


def data_quality(task: Task) -> Json:
    """Before the open: the data of the session before. Fails if it is absent or incomplete. Param: `limits`."""
    limits = Limits.from_params(task.params.get("limits"))
    calendar = task.calendar()
    yesterday = calendar.previous_trading_day(task.session)
    view = HistoricalDb(load_settings().historical_path).as_of(yesterday, market=task.market)
    quality = check_quality(view, yesterday, calendar, limits.missing_share)
    if quality.faults:
        raise DataError(
            f"the data of {yesterday} is not fit for {task.session}: {'; '.join(quality.faults)}",
            hint=f"`prometheus run {task.market.lower()}_daily --session {yesterday}`",
        )
    return quality.as_json()


def db_health(task: Task) -> Json:
    """Before the open: every store. Fails if one is sick."""
    report = desk_health(load_settings())
    if not report.ok:
        faults = "; ".join(f"{check.store} {check.name}: {check.detail}" for check in report.failures)
        raise StoreError(
            f"the stores are not well before {task.session}: {faults}", hint="`prometheus db health`"
        )
    return report.as_json()


def _ingest(task: Task, dataset: str) -> Json:
    desk = open_desk(task)
    calendar = task.calendar()
    asked = str(task.params.get("source", AUTO))
    source = choose_source(desk.settings, calendar, task.market, dataset, asked)
    patience = task.params.get("patience", PATIENCE)
    if isinstance(patience, bool) or not isinstance(patience, int) or patience < 0:
        raise DataError(f"the parameter `patience` is {patience!r}", allowed="a number of attempts, from 0")
    try:
        return ingest(desk, source, dataset, task.session, calendar, patience=patience).as_json()
    except DataError as fault:
        # A night does without context that its vendor has spoilt, as it does without what has not come.
        if DATASETS[dataset].daily or task.attempt <= patience:
            raise
        return go_without(desk, dataset, task.session, fault).as_json()
