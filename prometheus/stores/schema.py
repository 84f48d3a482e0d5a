"""The tables of runtime_db, as they are now. `migrations/` holds how they came to be, and a test holds both together."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

# The newest migration. Compared with the database by a plain SELECT, so that a job need not load Alembic.
HEAD = "0002"

# On PostgreSQL the tables live in this schema, in the default one never.
POSTGRES_SCHEMA = "desk_runtime"

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)


def _key(name: str, kind: type[sa.types.TypeEngine[Any]] | sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True)


def _written_by() -> tuple[sa.Column[str], sa.Column[str]]:
    return sa.Column("config_id", sa.String(64), nullable=False), sa.Column("run_id", sa.Text, nullable=False)


# Reference data.

markets = sa.Table(
    "markets",
    metadata,
    _key("market_id", sa.Text),
    sa.Column("name", sa.Text, nullable=False),
)

issuers = sa.Table(
    "issuers",
    metadata,
    _key("issuer_id", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("attributes", sa.JSON, nullable=False),
)

instruments = sa.Table(
    "instruments",
    metadata,
    _key("instrument_id", sa.Text),
    sa.Column("market_id", sa.Text, sa.ForeignKey("markets.market_id"), nullable=False),
    sa.Column("issuer_id", sa.Text, sa.ForeignKey("issuers.issuer_id")),
    sa.Column("symbol", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("synthetic", sa.Boolean, nullable=False),
    sa.Column(
        "first_date", sa.Date
    ),  # first session with a price in the source; the last is not known before it is
    sa.Column("attributes", sa.JSON, nullable=False),
)

# What the night found out about its data, a row a dataset. `verdict`: ok, degraded (the night goes on, marked), failed.

data_quality = sa.Table(
    "data_quality",
    metadata,
    _key("as_of_date", sa.Date),
    _key("market_id", sa.Text),
    _key("dataset", sa.Text),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("findings", sa.JSON, nullable=False),  # sentences
    sa.Column("counts", sa.JSON, nullable=False),  # rows, clean, quarantined by rule
    sa.Column("run_id", sa.Text, nullable=False),
)

# What vendors did that they should not have: a file that was late, rows that are absent, values that they took back.

vendor_facts = sa.Table(
    "vendor_facts",
    metadata,
    _key("as_of_date", sa.Date),
    _key("market_id", sa.Text),
    _key("dataset", sa.Text),
    _key("fact", sa.Text),  # gap, late, revised, ...
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),  # a sentence
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
)

# Snapshots of issuers, one whenever something new was learnt of one.

profile_snapshots = sa.Table(
    "profile_snapshots",
    metadata,
    _key("as_of_date", sa.Date),
    _key("market_id", sa.Text),
    _key("issuer_id", sa.Text),
    sa.Column("profile", sa.JSON, nullable=False),
    sa.Column("reasons", sa.JSON, nullable=False),  # what was new
    sa.Column("synthetic", sa.Boolean, nullable=False),  # whether any of it is
    *_written_by(),
)

# What the engines decided. Each is keyed by (as_of_date, market_id, ...) and replaced as a whole by a re-run.

engine_configs = sa.Table(
    "engine_configs",
    metadata,
    _key("config_id", sa.String(64)),
    sa.Column("engine", sa.Text, nullable=False),
    sa.Column("config", sa.JSON, nullable=False),
)

regimes = sa.Table(
    "regimes",
    metadata,
    _key("as_of_date", sa.Date),
    _key("market_id", sa.Text),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("probabilities", sa.JSON, nullable=False),  # label -> filtered probability
    sa.Column("transition", sa.JSON, nullable=False),  # rows sum to 1, in the order of `probabilities`
    sa.Column("features", sa.JSON, nullable=False),
    sa.Column("raw_label", sa.Text),  # tonight's likeliest state; the label is the official one, which lasts
    sa.Column("since", sa.Date),  # first session of the official regime
    *_written_by(),
)

# Entities of the three tables that follow: `entity_type` is instrument, market or portfolio.

stability_vectors = sa.Table(
    "stability_vectors",
    metadata,
    _key("as_of_date", sa.Date),
    _key("market_id", sa.Text),
    _key("entity_type", sa.Text),
    _key("entity_id", sa.Text),
    sa.Column("components", sa.JSON, nullable=False),  # name -> in [0, 1], 1 = most fragile
    sa.Column("stability", sa.Double, nullable=False),  # in [0, 1], 1 = most stable
    *_written_by(),
)

fragility_measures = sa.Table(
    "fragility_measures",
    metadata,
    _key("as_of_date", sa.Date),
    _key("market_id", sa.Text),
    _key("entity_type", sa.Text),
    _key("entity_id", sa.Text),
    sa.Column("fragility", sa.Double, nullable=False),  # in [0, 1]
    sa.Column("scenario_losses", sa.JSON, nullable=False),  # scenario -> loss, a share of value
    *_written_by(),
)

soft_target_classes = sa.Table(
    "soft_target_classes",
    metadata,
    _key("as_of_date", sa.Date),
    _key("market_id", sa.Text),
    _key("entity_type", sa.Text),
    _key("entity_id", sa.Text),
    sa.Column("soft_target", sa.Text, nullable=False),  # NONE, WATCHLIST, SOFT_TARGET
    sa.Column("reason", sa.Text, nullable=False),
    *_written_by(),
)

instrument_scores = sa.Table(
    "instrument_scores",
    metadata,
    _key("as_of_date", sa.Date),
    _key("market_id", sa.Text),
    _key("instrument_id", sa.Text),
    sa.Column("score", sa.Double, nullable=False),
    sa.Column("expected_return", sa.Double, nullable=False),
    sa.Column("confidence", sa.Double, nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("contributions", sa.JSON, nullable=False),  # family -> part of the score
    *_written_by(),
)

universes = sa.Table(
    "universes",
    metadata,
    _key("as_of_date", sa.Date),
    _key("market_id", sa.Text),
    _key("universe_id", sa.Text),
    _key("instrument_id", sa.Text),
    sa.Column("membership", sa.Text, nullable=False),  # core, satellite, excluded
    sa.Column("reason", sa.Text, nullable=False),
    *_written_by(),
)

target_portfolios = sa.Table(
    "target_portfolios",
    metadata,
    _key("as_of_date", sa.Date),
    _key("market_id", sa.Text),
    _key("portfolio_id", sa.Text),
    _key("instrument_id", sa.Text),
    sa.Column("target_session", sa.Date, nullable=False),  # the session the weights are for
    sa.Column("weight", sa.Double, nullable=False),
    sa.Column("previous_weight", sa.Double, nullable=False),
    sa.Column("expected_return", sa.Double, nullable=False),
    *_written_by(),
)

risk_reports = sa.Table(
    "risk_reports",
    metadata,
    _key("as_of_date", sa.Date),
    _key("market_id", sa.Text),
    _key("portfolio_id", sa.Text),
    sa.Column("report", sa.JSON, nullable=False),
    *_written_by(),
)

# What research and the late-night analytics found. `kind`: backtest, deciles, performance_by_regime, ...

research_reports = sa.Table(
    "research_reports",
    metadata,
    _key("as_of_date", sa.Date),
    _key("market_id", sa.Text),
    _key("kind", sa.Text),
    sa.Column("report", sa.JSON, nullable=False),
    *_written_by(),
)

# Rows that were moved out of this database into files, and how to know them again.

archives = sa.Table(
    "archives",
    metadata,
    _key("archive_id", sa.Text),
    sa.Column("table_name", sa.Text, nullable=False),
    sa.Column("first_date", sa.Date, nullable=False),
    sa.Column("last_date", sa.Date, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
)

engine_decisions = sa.Table(
    "engine_decisions",
    metadata,
    _key("decision_id", sa.String(64)),
    sa.Column("engine", sa.Text, nullable=False),
    sa.Column("context_id", sa.Text, nullable=False),
    sa.Column("as_of_date", sa.Date, nullable=False),
    sa.Column("market_id", sa.Text, nullable=False),
    sa.Column("config_id", sa.String(64), sa.ForeignKey("engine_configs.config_id"), nullable=False),
    sa.Column("input_refs", sa.JSON, nullable=False),
    sa.Column("output_refs", sa.JSON, nullable=False),
    sa.Column("proposed_action", sa.JSON, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("task", sa.Text, nullable=False),
    sa.UniqueConstraint("as_of_date", "market_id", "engine", "context_id"),
)

# From which versions of the historical tables an engine decided: an old night can be decided again as it was. Beside the
# decision and not in it, because the same rows may have other versions in another store.

table_versions = sa.Table(
    "table_versions",
    metadata,
    _key("as_of_date", sa.Date),
    _key("market_id", sa.Text),
    _key("engine", sa.Text),
    _key("table_name", sa.Text),
    sa.Column("version", sa.Integer, nullable=False),  # -1 = there was no such table
    sa.Column("run_id", sa.Text, nullable=False),
)

# The fence: which attempt may write, and which late ones were refused.

claims = sa.Table(
    "claims",
    metadata,
    _key("task_id", sa.Text),
    sa.Column("attempt", sa.Integer, nullable=False),
)

refused_writes = sa.Table(
    "refused_writes",
    metadata,
    _key("task_id", sa.Text),
    _key("attempt", sa.Integer),
    sa.Column("held_by", sa.Integer, nullable=False),
    sa.Column("times", sa.Integer, nullable=False),
)
