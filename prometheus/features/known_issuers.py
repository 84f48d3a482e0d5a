"""What was known of issuers on a session, and of which is there something new?

Everything is read through the view of the session: a fact counts from the session on which it was filed, never from the
end of the period that it is about. Each table may be absent; then nothing of its kind is known.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date

import polars as pl

from prometheus.features import exposures, numeric_embeddings, text_embeddings, volatility
from prometheus.stores.historical import HistoricalView

FIRST = "first snapshot"

_TEXT, _DATE, _FLAG, _NUMBER = pl.String(), pl.Date(), pl.Boolean(), pl.Float64()

# The columns that are read of each table, for a table that is not there.
COLUMNS: Mapping[str, Mapping[str, pl.DataType]] = {
    "prices_daily": {"date": _DATE, "instrument_id": _TEXT, "synthetic": _FLAG},
    "issuers": {
        "date": _DATE,
        "instrument_id": _TEXT,
        "issuer_id": _TEXT,
        "name": _TEXT,
        "sector": _TEXT,
        "industry": _TEXT,
        "synthetic": _FLAG,
    },
    "texts": {
        "date": _DATE,
        "instrument_id": _TEXT,
        "text_id": _TEXT,
        "kind": _TEXT,
        "title": _TEXT,
        "synthetic": _FLAG,
    },
    "facts": {
        "date": _DATE,
        "instrument_id": _TEXT,
        "concept": _TEXT,
        "unit": _TEXT,
        "value": _NUMBER,
        "period_start": _DATE,
        "period_end": _DATE,
        "form": _TEXT,
        "accession": _TEXT,
        "row_date": _DATE,
        "synthetic": _FLAG,
    },
    "corporate_actions": {"date": _DATE, "instrument_id": _TEXT, "action": _TEXT},
    volatility.TABLE: {"instrument_id": _TEXT, "vol_63d": _NUMBER},
    exposures.TABLE: {"instrument_id": _TEXT, **dict.fromkeys(exposures.STYLES, _NUMBER)},
    numeric_embeddings.TABLE: {
        "instrument_id": _TEXT,
        **dict.fromkeys(numeric_embeddings.NAMES, pl.Float32()),
    },
    text_embeddings.TABLE: {
        "text_id": _TEXT,
        "instrument_id": _TEXT,
        "vector": pl.List(pl.Float32),
        "synthetic": _FLAG,
    },
}

_CLASSES = ("issuer_id", "name", "sector", "industry")


def read(view: HistoricalView, table: str, *, since: date | None = None) -> pl.DataFrame:
    """The `COLUMNS` of a table up to the view's session; no rows if there is no such table."""
    columns = COLUMNS[table]
    if view.version(table) is None:
        return pl.DataFrame(schema=dict(columns))
    return view.read(table, since=since, columns=list(columns))


def instruments(view: HistoricalView) -> pl.DataFrame:
    """Every instrument with an issuer or a price of the session, by id, and what is known of who stands behind it.

    An instrument whose issuer nobody has named is its own.
    """
    latest = read(view, "issuers").unique("instrument_id", keep="last", maintain_order=True).drop("date")
    traded = read(view, "prices_daily", since=view.as_of_date).drop("date")
    both = traded.join(latest, on="instrument_id", how="full", coalesce=True)
    return both.select(
        "instrument_id",
        pl.coalesce("issuer_id", "instrument_id").alias("issuer_id"),
        *_CLASSES[1:],
        pl.any_horizontal(pl.col("synthetic", "synthetic_right").fill_null(value=False)).alias("synthetic"),
    ).sort("instrument_id")


def news(
    view: HistoricalView, known: pl.DataFrame, since: date | None, seen: Collection[str]
) -> dict[str, list[str]]:
    """Issuer -> what is new of it after `since` (None: no snapshot was ever made), each a few words, by issuer.

    `known` are the `instruments`; `seen` the issuers of which there is a snapshot already.
    """
    new = pl.Series("issuer_id", sorted(set(known["issuer_id"]).difference(seen)), dtype=pl.String)
    told = [new.to_frame().with_columns(pl.lit(FIRST).alias("reason"))]
    if since is not None:
        after = pl.col("date") > since
        texts, facts, actions = (
            read(view, table, since=since).filter(after) for table in ("texts", "facts", "corporate_actions")
        )
        filed = facts.unique(["instrument_id", "accession", "form"], maintain_order=True)
        for rows, words in (
            (_reclassified(view).filter(after), pl.lit("classification changed")),
            (actions, pl.concat_str(pl.col("action").str.replace_all("_", " "), pl.lit(" on "), "date")),
            (
                filed,
                pl.concat_str(pl.col("form").fill_null("filing"), pl.lit(" filed on "), "row_date"),
            ),
            (texts, pl.concat_str(pl.col("kind"), pl.lit(" "), "text_id")),
        ):
            named = rows.select("instrument_id", words.alias("reason"))
            told.append(
                named.join(known, on="instrument_id", maintain_order="left").select("issuer_id", "reason")
            )
    found: dict[str, list[str]] = {}
    for issuer, reason in pl.concat(told).unique(maintain_order=True).iter_rows():
        found.setdefault(issuer, []).append(reason)
    return dict(sorted(found.items()))


def latest_facts(view: HistoricalView, known: pl.DataFrame) -> pl.DataFrame:
    """The newest fact of each issuer, concept and unit: of the latest period, as it was filed last.

    Of several periods that end on one day the shortest counts: a quarter says more of today than the year it closes.
    """
    facts = read(view, "facts").join(known.select("instrument_id", "issuer_id"), on="instrument_id")
    order = ["issuer_id", "concept", "unit", "period_end", "period_start", "row_date", "accession"]
    return facts.sort(order, nulls_last=True).unique(
        ["issuer_id", "concept", "unit"], keep="last", maintain_order=True
    )


def _reclassified(view: HistoricalView) -> pl.DataFrame:
    """Rows of issuers that say something else of their instrument than the row before."""
    rows = read(view, "issuers").sort("instrument_id", "date")
    before = pl.col("instrument_id").shift(1) == pl.col("instrument_id")
    return rows.filter(before & pl.any_horizontal(pl.col(*_CLASSES).ne_missing(pl.col(*_CLASSES).shift(1))))
