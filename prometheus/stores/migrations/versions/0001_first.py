"""The tables of the first release."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "claims",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_claims")),
    )
    op.create_table(
        "engine_configs",
        sa.Column("config_id", sa.String(length=64), nullable=False),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("config_id", name=op.f("pk_engine_configs")),
    )
    op.create_table(
        "instrument_scores",
        sa.Column("as_of_date", sa.Date(), nullable=False),
        sa.Column("market_id", sa.Text(), nullable=False),
        sa.Column("instrument_id", sa.Text(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("expected_return", sa.Double(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("contributions", sa.JSON(), nullable=False),
        sa.Column("config_id", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "as_of_date", "market_id", "instrument_id", name=op.f("pk_instrument_scores")
        ),
    )
    op.create_table(
        "issuers",
        sa.Column("issuer_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("issuer_id", name=op.f("pk_issuers")),
    )
    op.create_table(
        "markets",
        sa.Column("market_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("market_id", name=op.f("pk_markets")),
    )
    op.create_table(
        "refused_writes",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("held_by", sa.Integer(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "attempt", name=op.f("pk_refused_writes")),
    )
    op.create_table(
        "regimes",
        sa.Column("as_of_date", sa.Date(), nullable=False),
        sa.Column("market_id", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("probabilities", sa.JSON(), nullable=False),
        sa.Column("transition", sa.JSON(), nullable=False),
        sa.Column("features", sa.JSON(), nullable=False),
        sa.Column("config_id", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("as_of_date", "market_id", name=op.f("pk_regimes")),
    )
    op.create_table(
        "risk_reports",
        sa.Column("as_of_date", sa.Date(), nullable=False),
        sa.Column("market_id", sa.Text(), nullable=False),
        sa.Column("portfolio_id", sa.Text(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.Column("config_id", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("as_of_date", "market_id", "portfolio_id", name=op.f("pk_risk_reports")),
    )
    op.create_table(
        "target_portfolios",
        sa.Column("as_of_date", sa.Date(), nullable=False),
        sa.Column("market_id", sa.Text(), nullable=False),
        sa.Column("portfolio_id", sa.Text(), nullable=False),
        sa.Column("instrument_id", sa.Text(), nullable=False),
        sa.Column("target_session", sa.Date(), nullable=False),
        sa.Column("weight", sa.Double(), nullable=False),
        sa.Column("previous_weight", sa.Double(), nullable=False),
        sa.Column("expected_return", sa.Double(), nullable=False),
        sa.Column("config_id", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "as_of_date", "market_id", "portfolio_id", "instrument_id", name=op.f("pk_target_portfolios")
        ),
    )
    op.create_table(
        "universes",
        sa.Column("as_of_date", sa.Date(), nullable=False),
        sa.Column("market_id", sa.Text(), nullable=False),
        sa.Column("universe_id", sa.Text(), nullable=False),
        sa.Column("instrument_id", sa.Text(), nullable=False),
        sa.Column("membership", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("config_id", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "as_of_date", "market_id", "universe_id", "instrument_id", name=op.f("pk_universes")
        ),
    )
    op.create_table(
        "engine_decisions",
        sa.Column("decision_id", sa.String(length=64), nullable=False),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("context_id", sa.Text(), nullable=False),
        sa.Column("as_of_date", sa.Date(), nullable=False),
        sa.Column("market_id", sa.Text(), nullable=False),
        sa.Column("config_id", sa.String(length=64), nullable=False),
        sa.Column("input_refs", sa.JSON(), nullable=False),
        sa.Column("output_refs", sa.JSON(), nullable=False),
        sa.Column("proposed_action", sa.JSON(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["config_id"], ["engine_configs.config_id"], name=op.f("fk_engine_decisions_config_id")
        ),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("pk_engine_decisions")),
        sa.UniqueConstraint(
            "as_of_date",
            "market_id",
            "engine",
            "context_id",
            name=op.f("uq_engine_decisions_as_of_date_market_id_engine_context_id"),
        ),
    )
    op.create_table(
        "instruments",
        sa.Column("instrument_id", sa.Text(), nullable=False),
        sa.Column("market_id", sa.Text(), nullable=False),
        sa.Column("issuer_id", sa.Text(), nullable=True),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("synthetic", sa.Boolean(), nullable=False),
        sa.Column("first_date", sa.Date(), nullable=True),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["issuer_id"], ["issuers.issuer_id"], name=op.f("fk_instruments_issuer_id")),
        sa.ForeignKeyConstraint(["market_id"], ["markets.market_id"], name=op.f("fk_instruments_market_id")),
        sa.PrimaryKeyConstraint("instrument_id", name=op.f("pk_instruments")),
    )


def downgrade() -> None:
    op.drop_table("instruments")
    op.drop_table("engine_decisions")
    op.drop_table("universes")
    op.drop_table("target_portfolios")
    op.drop_table("risk_reports")
    op.drop_table("regimes")
    op.drop_table("refused_writes")
    op.drop_table("markets")
    op.drop_table("issuers")
    op.drop_table("instrument_scores")
    op.drop_table("engine_configs")
    op.drop_table("claims")
