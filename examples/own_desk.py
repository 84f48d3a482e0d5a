"""A desk of one's own: shipped ingestion and features, a feature and an engine of yours.

    prometheus run examples/own_desk.py --session 2008-06-30

The prices are invented (every instrument begins with SYN_), so nothing here says anything about a market. Put your own
source, your own feature and your own engine in the place of these, one at a time.
"""

from dataclasses import dataclass

import polars as pl

from prometheus.engines.configs import config_json
from prometheus.engines.engine import Engine
from prometheus.engines.jobs import decide
from prometheus.engines.outcome import Outcome, TableRows, historical_ref
from prometheus.pipelines import Pipeline, session
from prometheus.stores.desk import open_desk

desk = Pipeline(
    "own_desk",
    market="XNYS",
    start=session.close + "30min",
    description="Scores invented stocks by how steadily they rose.",
)

# Shipped jobs, told where the prices come from.
SYNTHETIC = {"source": "synthetic"}
desk.add("prometheus.data_ingestion.jobs:ingest_prices", kind="ingestion", params=SYNTHETIC)
desk.add("prometheus.data_ingestion.jobs:ingest_volumes", kind="ingestion", params=SYNTHETIC)
desk.add(
    "prometheus.data_ingestion.jobs:validate", kind="ingestion", after=["ingest_prices", "ingest_volumes"]
)
desk.add("prometheus.features.jobs:returns", kind="features", after=["validate"])


@desk.job(kind="features", after=["returns"], params={"days": 63})
def steadiness(task):
    """A feature of your own: mean of the last daily returns over their deviation, in a table of your own."""
    own = open_desk(task)
    view = own.as_of(task.session)  # shows nothing later than the session
    first = view.dates("returns_daily")[-task.params["days"] :][0]
    rows = (
        view.read("returns_daily", since=first, columns=["date", "instrument_id", "ret_1d"])
        .group_by("instrument_id")
        .agg((pl.col("ret_1d").mean() / pl.col("ret_1d").std()).alias("steadiness"))
        .with_columns(pl.lit(task.session).alias("date"))
        .sort("instrument_id")
    )
    own.writer.write_days("steadiness_daily", rows.select("date", "instrument_id", "steadiness"))
    return {"instruments": rows.height}


@dataclass(frozen=True)
class SteadyConfig:
    """What the engine may be told, with its defaults; a job's params={"config": {...}} change it."""

    best: int = 10


def score(as_of_date, inputs, config):
    """An engine of your own: it reads, and hands back the rows to keep and the decision that they carry out."""
    found = inputs.view.read("steadiness_daily", since=as_of_date).drop_nulls()
    z = (pl.col("steadiness") - pl.col("steadiness").mean()) / pl.col("steadiness").std()
    ranked = found.with_columns(z.round(6).alias("score")).sort(
        "score", "instrument_id", descending=[True, False]
    )
    rows = [
        {
            "instrument_id": name,
            "score": value,
            "expected_return": 0.0,  # it claims none
            "confidence": 0.0,
            "label": "steady" if place < config.best else "other",
            "contributions": {"steadiness": value},
        }
        for place, (name, value) in enumerate(ranked.select("instrument_id", "score").iter_rows())
    ]
    best = [row["instrument_id"] for row in rows[: config.best]]
    return Outcome(
        engine="steady",
        market_id=inputs.market_id,
        as_of_date=as_of_date,
        config=config_json(config),
        tables=(
            TableRows("instrument_scores", {"as_of_date": as_of_date, "market_id": inputs.market_id}, rows),
        ),
        input_refs=(historical_ref("steadiness_daily", found, as_of_date),),
        action={"best": best},
        summary={"scored": len(rows), "first": best[0]},
    )


@desk.job(kind="engine", after=[steadiness], params={"config": {"best": 5}})
def steady(task):
    """Runs the engine; its rows, its configuration and its decision are kept in one transaction."""
    return decide(task, Engine("steady", SteadyConfig, score))


desk.slo("scored", jobs=[steady], by="D+1 00:00 UTC")
