"""What is each text about, in numbers? One vector a text, of the sessions whose texts have none yet.

A text is its title and its body. A session's vectors are made again if a text of it was changed or another encoder is
asked for; what was there before is replaced, so a session never holds vectors of two encoders.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import polars as pl

from prometheus.features.nightly import Gap
from prometheus.features.text_encoder import TextEncoder
from prometheus.stores.historical import HistoricalView
from prometheus.stores.stamps import day_stamps, unsettled

TABLE = "text_embeddings"
TEXTS = "texts"


def gap(view: HistoricalView, encoder: str) -> tuple[Gap, pl.DataFrame]:
    """The sessions whose texts are to be encoded, and the texts of those; the night's own is always among them.

    Without a table of texts there is nothing to do: an empty gap.
    """
    if view.version(TEXTS) is None:
        return Gap((), view.as_of_date, {}), pl.DataFrame()
    texts = view.read(TEXTS, columns=["date", "text_id", "instrument_id", "title", "body", "synthetic"])
    wanted = day_stamps(texts.with_columns(pl.lit(encoder).alias("encoder")))
    missing, gone = unsettled(wanted, view.stamps(TABLE), view.as_of_date)
    since = missing[0] if missing else view.as_of_date
    stamps = {day: wanted[day] for day in missing}
    return Gap(missing, since, stamps, gone), texts.filter(pl.col("date").is_in(missing))


def compute(texts: pl.DataFrame, encoder: TextEncoder) -> pl.DataFrame:
    """date, text_id, instrument_id, encoder, vector (float32), synthetic for each row of `texts`."""
    whole = texts.select(pl.concat_str("title", "body", separator="\n", ignore_nulls=True)).to_series()
    vectors = encode(whole.fill_null("").to_list(), encoder)
    return texts.select(
        "date",
        "text_id",
        "instrument_id",
        pl.lit(encoder.name).alias("encoder"),
        pl.Series("vector", vectors).cast(pl.List(pl.Float32)),
        "synthetic",
    )


def encode(texts: Collection[str], encoder: TextEncoder) -> np.ndarray:
    """(texts, dimension); equal texts are encoded once."""
    known = {text: encoder.encode(text) for text in dict.fromkeys(texts)}
    return np.array([known[text] for text in texts], dtype=np.float32).reshape(len(texts), encoder.dimension)
