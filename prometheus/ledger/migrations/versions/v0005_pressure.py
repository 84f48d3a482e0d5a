"""The forecast pressure in force: how many rungs of Tier 2's ladders are climbed, and for which promise."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pressure",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("slo_id", sa.Text(), nullable=False),
        sa.Column("miss", sa.Double(), nullable=False),
        sa.Column("made_us", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pressure"),
    )


def downgrade() -> None:
    op.drop_table("pressure")
