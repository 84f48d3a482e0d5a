"""What is known of an issuer today, in one piece? A snapshot of each of which something new was learnt.

A snapshot holds who the issuer is, its newest facts with the day they were filed, its newest texts, and how the market
sees its instruments; and the reasons why it was made. It is made of what the session knew, and synthetic if any part
of it is.

Its vector puts three parts side by side, each of length 1 and then divided by the root of how many there are; a part
of which nothing is known is 0, so that the product of two vectors is the mean likeness of what both are known for:

- texts: the mean of the vectors of its texts of the last year
- course: the sixteen numbers of the session's window (numeric_embeddings)
- figures: the six exposures of the session (beta less 1)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta

import numpy as np
import polars as pl

from prometheus.core.ids import Json
from prometheus.features import exposures, known_issuers, numeric_embeddings, text_embeddings, volatility
from prometheus.stores.historical import HistoricalView
from prometheus.stores.wide import FloatArray

TABLE = "profile_embeddings"
SNAPSHOTS = "profile_snapshots"
RECENT_TEXTS = 5
TEXTS_OF_DAYS = 365
TEXT_NUMBERS = 256  # of a text that nobody has encoded

# Kept to as many digits as the engines keep.
DIGITS = 9

CONFIG: Mapping[str, Json] = {"recent_texts": RECENT_TEXTS, "texts_of_days": TEXTS_OF_DAYS}

Snapshot = dict[str, Json]


def snapshots(
    view: HistoricalView, known: pl.DataFrame, reasons: Mapping[str, Sequence[str]]
) -> list[Snapshot]:
    """issuer_id, profile, reasons and synthetic for each issuer of `reasons`, in its order.

    `known` are the `known_issuers.instruments` of the session.
    """
    wanted = known.filter(pl.col("issuer_id").is_in(list(reasons)))
    facts = known_issuers.latest_facts(view, wanted)
    texts = recent_texts(view, wanted)
    market = _figures(view, wanted)
    encoded = _encoded(view, wanted)
    marked = pl.concat([part.select("issuer_id", "synthetic") for part in (wanted, facts, texts, encoded)])
    made_up = set(marked.filter(pl.col("synthetic"))["issuer_id"])
    names = wanted.group_by("issuer_id").agg(pl.col("name", "sector", "industry").drop_nulls().first())
    who = {row["issuer_id"]: row for row in names.iter_rows(named=True)}
    parts = {
        "facts": _listed(
            facts, ["concept", "unit", "value", "period_start", "period_end", "form", "accession"]
        ),
        "texts": _listed(texts, ["text_id", "kind", "title", "date"]),
        "market": _listed(market, ["instrument_id", "volatility_63d", *exposures.STYLES]),
    }
    return [
        {
            "issuer_id": issuer,
            "profile": {**who[issuer], **{name: rows.get(issuer, []) for name, rows in parts.items()}},
            "reasons": list(told),
            "synthetic": issuer in made_up,
        }
        for issuer, told in reasons.items()
    ]


def vectors(
    view: HistoricalView, known: pl.DataFrame, issuers: Sequence[str], synthetic: Collection[str]
) -> pl.DataFrame:
    """date, issuer_id, vector (float32) and synthetic of each of `issuers`, in their order."""
    wanted = known.filter(pl.col("issuer_id").is_in(issuers)).select("instrument_id", "issuer_id")
    session = view.as_of_date
    course = known_issuers.read(view, numeric_embeddings.TABLE, since=session)
    figures = known_issuers.read(view, exposures.TABLE, since=session).with_columns(pl.col("beta") - 1.0)
    parts = [
        _text_part(view, wanted, issuers),
        _part(course, wanted, issuers, numeric_embeddings.NAMES),
        _part(figures, wanted, issuers, exposures.STYLES),
    ]
    count = np.sum([part.any(axis=1) for part in parts], axis=0)
    joined = np.hstack(parts) / np.sqrt(np.maximum(count, 1))[:, None]
    return pl.DataFrame(
        {
            "date": pl.Series([session] * len(issuers), dtype=pl.Date),
            "issuer_id": pl.Series(issuers, dtype=pl.String),
            "vector": pl.Series(joined.astype(np.float32)).cast(pl.List(pl.Float32)),
            "synthetic": pl.Series([issuer in synthetic for issuer in issuers], dtype=pl.Boolean),
        }
    )


def recent_texts(view: HistoricalView, known: pl.DataFrame) -> pl.DataFrame:
    """The newest `RECENT_TEXTS` texts of each issuer, newest first."""
    texts = known_issuers.read(view, "texts").join(
        known.select("instrument_id", "issuer_id"), on="instrument_id"
    )
    ordered = texts.sort("issuer_id", "date", "text_id", descending=[False, True, False])
    return ordered.group_by("issuer_id", maintain_order=True).head(RECENT_TEXTS)


def _figures(view: HistoricalView, known: pl.DataFrame) -> pl.DataFrame:
    """How the market sees each instrument on the session; null where it is not known."""
    session = view.as_of_date
    moved = known_issuers.read(view, volatility.TABLE, since=session)
    styles = known_issuers.read(view, exposures.TABLE, since=session)
    both = known.join(moved, on="instrument_id", how="left").join(styles, on="instrument_id", how="left")
    return both.rename({"vol_63d": "volatility_63d"}).sort("issuer_id", "instrument_id")


def _listed(rows: pl.DataFrame, columns: Sequence[str]) -> dict[str, list[Json]]:
    """Issuer -> its rows as JSON, in the order given; a fact's day of filing is called so."""
    filed = ["row_date"] if "row_date" in rows.columns else []
    found: dict[str, list[Json]] = {}
    for row in rows.select("issuer_id", *columns, *filed).iter_rows(named=True):
        issuer = row.pop("issuer_id")
        kept = {("filed" if name == "row_date" else name): _plain(value) for name, value in row.items()}
        found.setdefault(issuer, []).append(kept)
    return found


def _plain(value: object) -> Json:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    assert value is None or isinstance(value, str | int), value
    return value


def _text_part(view: HistoricalView, wanted: pl.DataFrame, issuers: Sequence[str]) -> FloatArray:
    rows = _encoded(view, wanted)
    if rows.is_empty():
        return np.zeros((len(issuers), TEXT_NUMBERS))
    numbers = int(rows["vector"].list.len()[0])
    names = [f"n{number}" for number in range(numbers)]
    spread = rows["vector"].list.to_struct(fields=names).struct.unnest()
    return _means(rows["issuer_id"], spread, issuers)


def _encoded(view: HistoricalView, wanted: pl.DataFrame) -> pl.DataFrame:
    """The vectors of the last year's texts about the issuers of `wanted`, by issuer and text."""
    since = view.as_of_date - timedelta(days=TEXTS_OF_DAYS)
    rows = known_issuers.read(view, text_embeddings.TABLE, since=since)
    # A year in which the encoder changed may hold vectors of two lengths: those of the newest count.
    rows = rows.filter(pl.col("vector").list.len() == pl.col("vector").list.len().last())
    owners = wanted.select("instrument_id", "issuer_id")
    return rows.join(owners, on="instrument_id").sort("issuer_id", "text_id")


def _part(
    rows: pl.DataFrame, wanted: pl.DataFrame, issuers: Sequence[str], columns: Sequence[str]
) -> FloatArray:
    joined = rows.drop_nulls(columns).join(wanted, on="instrument_id").sort("issuer_id", "instrument_id")
    return _means(joined["issuer_id"], joined.select(columns), issuers)


def _means(owner: pl.Series, numbers: pl.DataFrame, issuers: Sequence[str]) -> FloatArray:
    """(issuers, numbers): the mean of each issuer's rows brought to length 1; 0 where it has none."""
    places = {issuer: place for place, issuer in enumerate(issuers)}
    total = np.zeros((len(issuers), numbers.width))
    if len(owner):
        # Row after row, in the order given: sums by threads would depend on how many there are.
        np.add.at(total, [places[issuer] for issuer in owner], numbers.to_numpy().astype(np.float64))
    length = np.sqrt((total * total).sum(axis=1))
    return total / np.where(length > 0.0, length, 1.0)[:, None]
