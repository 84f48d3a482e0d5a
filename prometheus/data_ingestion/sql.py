"""A user's own database as a source: one SELECT for a dataset, read-only.

The SELECT may use `:known_at`, the session at whose end the rows must have been known, and `:first` and `:last`, the
days wanted. A night asks for all of them, because it also looks whether the database says something else of earlier
days now.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from datetime import date

import polars as pl
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from prometheus.core.errors import DataError
from prometheus.core.settings import SourceSettings
from prometheus.data_ingestion.own_rows import LINE, PLACE, OwnRows, conform

FIRST_DAY = date(1900, 1, 1)  # `:first` when all history is wanted
_SELECT = re.compile(r"\s*(select|with)\b", re.IGNORECASE)


class SqlSource:
    """One dataset of a market in a database. Nothing is written there: its transactions are read-only."""

    synthetic = False
    closed = False
    notes: tuple[str, ...] = ()

    def __init__(
        self, told: SourceSettings, market: str, dataset: str, environ: Mapping[str, str] | None = None
    ) -> None:
        self.name = told.name or f"sql:{market}"
        self.datasets = frozenset({dataset})
        self._told = told
        self._dataset = dataset
        self._url = _url(told, dataset, os.environ if environ is None else environ)
        self._query = _checked(told.query, dataset)
        self._known: dict[date, OwnRows] = {}

    def sessions(self, dataset: str, known_at: date) -> list[date]:
        assert dataset == self._dataset
        return self._rows(known_at).sessions(known_at)

    def read(self, dataset: str, known_at: date, days: Collection[date]) -> pl.DataFrame:
        assert dataset == self._dataset
        return self._rows(known_at).read(known_at, days)

    def _rows(self, known_at: date) -> OwnRows:
        if known_at not in self._known:
            raw = self._ask({"known_at": known_at, "first": FIRST_DAY, "last": known_at})
            raw = raw.with_row_index(LINE, offset=1).with_columns(pl.lit("the query").alias(PLACE))
            self._known[known_at] = conform(raw, self._dataset, self._told, self.name)
        return self._known[known_at]

    def _ask(self, days: Mapping[str, date]) -> pl.DataFrame:
        statement = sa.text(self._query)
        wanted = statement.compile().params
        unknown = sorted(set(wanted).difference(days))
        if unknown:
            raise DataError(
                f"the query for {self._dataset} has the parameter {', '.join(unknown)}",
                allowed=", ".join(days),
            )
        asked = statement.bindparams(
            *(sa.bindparam(name, value=days[name], type_=sa.Date()) for name in wanted)
        )
        try:
            engine = sa.create_engine(self._url)
            try:
                with engine.connect() as connection, connection.begin():
                    _read_only(connection)
                    result = connection.execute(asked)
                    return pl.DataFrame(
                        [tuple(row) for row in result],
                        schema=list(result.keys()),
                        orient="row",
                        infer_schema_length=None,
                    )
            finally:
                engine.dispose()
        except ImportError as error:
            raise DataError(
                f"the url of {self.name} needs a driver: {error}",
                hint="for PostgreSQL: prometheus-desk[postgres]",
            ) from None
        except SQLAlchemyError as error:
            raise self._explain(error) from None

    def _explain(self, error: SQLAlchemyError) -> DataError:
        text = " ".join(str(getattr(error, "orig", None) or error).split())
        if self._url.password:
            text = text.replace(str(self._url.password), "***")
        return DataError(
            f"the query for {self._dataset} failed on {self._url.render_as_string(hide_password=True)}: {text}",
            hint="try it there by hand; it may only read",
        )


def _read_only(connection: sa.Connection) -> None:
    """Let the database itself refuse whatever writes."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA query_only = ON")
    elif connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")


def _url(told: SourceSettings, dataset: str, environ: Mapping[str, str]) -> sa.URL:
    if (told.url is None) == (told.url_from is None):
        raise DataError(
            f"the sql source of {dataset} has {'neither url nor url_from' if told.url is None else 'url and url_from'}",
            allowed="`url`, or `url_from` with the name of the variable that holds it",
        )
    text = told.url if told.url_from is None else environ.get(told.url_from)
    if not text:
        raise DataError(f"the variable {told.url_from} for the sql source of {dataset} is not set")
    try:
        return sa.make_url(text)
    except ArgumentError:  # its text may hold a password
        raise DataError(
            f"the url of the sql source of {dataset} cannot be read",
            allowed="such as sqlite:////path/to/file.db or postgresql+psycopg://user:password@host/name",
        ) from None


def _checked(query: str | None, dataset: str) -> str:
    if query is None or not _SELECT.match(query):
        raise DataError(f"the sql source of {dataset} has the query {query!r}", allowed="one SELECT")
    return query
