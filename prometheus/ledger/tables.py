"""The tables of a ledger, as they are now. `migrations/` holds how they came to be, and a test holds both together.

Instants are microseconds since the epoch, sessions ISO dates, compound values versioned JSON text: the same bytes in
SQLite and PostgreSQL.
"""

from __future__ import annotations

import sqlalchemy as sa

# The newest migration. Compared with the database by a plain SELECT, so that opening a ledger need not load Alembic.
HEAD = "0005"

# Names the table of the migrations that were run; its own name, so that no other store passes for a ledger.
VERSION_TABLE = "ledger_version"

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)

# The log. An INTEGER key is SQLite's own row number, so appending touches one page.
turns = sa.Table(
    "turns",
    metadata,
    sa.Column(
        "revision",
        sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Column("records", sa.Text, nullable=False),  # encoding.encode_turn
)

# Who leads; one row, locked by every commit.
leader = sa.Table(
    "leader",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("taken_at_us", sa.BigInteger, nullable=False),
    sa.Column("released", sa.Integer, nullable=False),  # 1 = nobody leads
)

# The newest capacity; at most one row.
capacity = sa.Table(
    "capacity",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("capacity", sa.Text, nullable=False),  # encoding.encode_capacity
)

# The newest forecast pressure; at most one row.
pressure = sa.Table(
    "pressure",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Column("level", sa.Integer, nullable=False),
    sa.Column("slo_id", sa.Text, nullable=False),
    sa.Column("miss", sa.Double, nullable=False),
    sa.Column("made_us", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)

# What people said of calendars, in the order in which they said it; a line is taken back by a later one.
calendar_overrides = sa.Table(
    "calendar_overrides",
    metadata,
    sa.Column(
        "number",
        sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("recorded_us", sa.BigInteger, nullable=False),
    sa.Column("recorded_by", sa.Text, nullable=False),
    sa.Column("record", sa.Text, nullable=False),  # JSON of core.calendar_overrides.Override
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("pipeline", sa.Text, nullable=False),
    sa.Column("session", sa.String(10), nullable=False),
    sa.Column("plan", sa.Text, nullable=False),  # encoding.encode_plan
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("opened_us", sa.BigInteger, nullable=False),
    sa.Column("ended_us", sa.BigInteger),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Index(None, "session", "opened_us"),
    sa.Index(None, "pipeline", "session", "opened_us"),
)

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("task_id", sa.Text, primary_key=True),
    sa.Column("run_id", sa.Text, sa.ForeignKey("runs.run_id"), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),  # in the plan
    sa.Column("job", sa.Text, nullable=False),
    sa.Column("tier", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("counted_from", sa.Integer, nullable=False),
    sa.Column("not_before_us", sa.BigInteger),
    sa.Column("ready_us", sa.BigInteger),
    sa.Column("started_us", sa.BigInteger),
    sa.Column("ended_us", sa.BigInteger),
    sa.Column("refusal", sa.Text),
    sa.Column("mode", sa.Text, nullable=False),
    sa.Column("checkpoint", sa.Text),
    sa.Column("output", sa.Text),
    sa.Index(None, "run_id", "position"),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("task_id", sa.Text, sa.ForeignKey("tasks.task_id"), primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("bin_id", sa.Text, nullable=False),
    sa.Column("devices", sa.Text, nullable=False),  # numbers with commas between
    sa.Column("mode", sa.Text, nullable=False),
    sa.Column("ordered_us", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("started_us", sa.BigInteger),
    sa.Column("ended_us", sa.BigInteger),
    sa.Column("stop_cause", sa.Text),
    sa.Column("failure", sa.Text),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("tail", sa.Text, nullable=False),
    sa.Column("cpu_us", sa.BigInteger),
    sa.Column("peak_mib", sa.BigInteger),
    sa.Column("saved_us", sa.BigInteger),
    sqlite_with_rowid=False,
)

slos = sa.Table(
    "slos",
    metadata,
    sa.Column("slo_id", sa.Text, primary_key=True),
    sa.Column("run_id", sa.Text, sa.ForeignKey("runs.run_id"), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("deadline_us", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("finished_us", sa.BigInteger),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("foreseen", sa.Text),  # encoding.encode_foreseen
    sa.Index(None, "run_id", "position"),
)
