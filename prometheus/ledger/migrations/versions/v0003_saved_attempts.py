"""When an attempt last saved a state that a later one may resume from: what is lost if it is stopped now."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", sa.Column("saved_us", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("attempts", "saved_us")
