"""The whole desk: quality of data, profiles, stability and soft targets, research, archives."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("regimes", sa.Column("raw_label", sa.Text(), nullable=True))
    op.add_column("regimes", sa.Column("since", sa.Date(), nullable=True))
    op.create_table(
        "data_quality",
        sa.Column("as_of_date", sa.Date(), nullable=False),
        sa.Column("market_id", sa.Text(), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("as_of_date", "market_id", "dataset", name=op.f("pk_data_quality")),
    )
    op.create_table(
        "vendor_facts",
        sa.Column("as_of_date", sa.Date(), nullable=False),
        sa.Column("market_id", sa.Text(), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("fact", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("as_of_date", "market_id", "dataset", "fact", name=op.f("pk_vendor_facts")),
    )
    op.create_table(
        "profile_snapshots",
        sa.Column("as_of_date", sa.Date(), nullable=False),
        sa.Column("market_id", sa.Text(), nullable=False),
        sa.Column("issuer_id", sa.Text(), nullable=False),
        sa.Column("profile", sa.JSON(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("synthetic", sa.Boolean(), nullable=False),
        sa.Column("config_id", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("as_of_date", "market_id", "issuer_id", name=op.f("pk_profile_snapshots")),
    )
    op.create_table(
        "stability_vectors",
        sa.Column("as_of_date", sa.Date(), nullable=False),
        sa.Column("market_id", sa.Text(), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=False),
        sa.Column("components", sa.JSON(), nullable=False),
        sa.Column("stability", sa.Double(), nullable=False),
        sa.Column("config_id", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "as_of_date", "market_id", "entity_type", "entity_id", name=op.f("pk_stability_vectors")
        ),
    )
    op.create_table(
        "fragility_measures",
        sa.Column("as_of_date", sa.Date(), nullable=False),
        sa.Column("market_id", sa.Text(), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=False),
        sa.Column("fragility", sa.Double(), nullable=False),
        sa.Column("scenario_losses", sa.JSON(), nullable=False),
        sa.Column("config_id", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "as_of_date", "market_id", "entity_type", "entity_id", name=op.f("pk_fragility_measures")
        ),
    )
    op.create_table(
        "soft_target_classes",
        sa.Column("as_of_date", sa.Date(), nullable=False),
        sa.Column("market_id", sa.Text(), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=False),
        sa.Column("soft_target", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("config_id", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "as_of_date", "market_id", "entity_type", "entity_id", name=op.f("pk_soft_target_classes")
        ),
    )
    op.create_table(
        "research_reports",
        sa.Column("as_of_date", sa.Date(), nullable=False),
        sa.Column("market_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.Column("config_id", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("as_of_date", "market_id", "kind", name=op.f("pk_research_reports")),
    )
    op.create_table(
        "table_versions",
        sa.Column("as_of_date", sa.Date(), nullable=False),
        sa.Column("market_id", sa.Text(), nullable=False),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "as_of_date", "market_id", "engine", "table_name", name=op.f("pk_table_versions")
        ),
    )
    op.create_table(
        "archives",
        sa.Column("archive_id", sa.Text(), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("first_date", sa.Date(), nullable=False),
        sa.Column("last_date", sa.Date(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("archive_id", name=op.f("pk_archives")),
    )


def downgrade() -> None:
    op.drop_table("archives")
    op.drop_table("table_versions")
    op.drop_table("research_reports")
    op.drop_table("soft_target_classes")
    op.drop_table("fragility_measures")
    op.drop_table("stability_vectors")
    op.drop_table("profile_snapshots")
    op.drop_table("vendor_facts")
    op.drop_table("data_quality")
    op.drop_column("regimes", "since")
    op.drop_column("regimes", "raw_label")
