"""The US equity night: from a session's prices to logged portfolio decisions (spec 3.1, 4.1, 6).

Starts half an hour after the close, whenever that is: 13:00 half days and daylight saving follow by themselves.
Works on a panel of the S&P 500's members of 2016, so everything before is seen with survivorship bias.
"""

from prometheus.pipelines import Pipeline, session

pipeline = Pipeline(
    "us_eq_daily",
    market="US_EQ",
    start=session.close + "30min",
    description="Ingests the session, builds features, runs the engines, logs their decisions.",
)

DATA = "prometheus.data_ingestion.jobs"
FEATURES = "prometheus.features.jobs"
ENGINES = "prometheus.engines.jobs"

CONTEXT = ("ohlcv", "actions", "macro", "indices", "fx", "facts")  # what is not there is noted
for name in ("prices", "volumes"):
    pipeline.add(f"{DATA}:ingest_{name}", kind="ingestion", timeout="20min", expect="10s")
for name in CONTEXT:
    pipeline.add(f"{DATA}:ingest_{name}", kind="ingestion", timeout="20min", expect="5s")
pipeline.add(
    f"{DATA}:ingest_futures", kind="ingestion", tier=2, timeout="20min", expect="5s", degrade=["skip"]
)
pipeline.add(  # invented texts are about invented companies if the prices are invented
    f"{DATA}:ingest_texts",
    kind="ingestion",
    tier=2,
    timeout="20min",
    expect="5s",
    after=["ingest_prices"],
    degrade=["skip"],
)
pipeline.add(
    f"{DATA}:validate",
    kind="ingestion",
    cost="cpu",
    retries=1,
    timeout="20min",
    expect="10s",
    after=["ingest_prices", "ingest_volumes"],
)
pipeline.add(  # it names the issuers of the instruments that validation has listed
    f"{DATA}:ingest_issuers", kind="ingestion", timeout="20min", expect="5s", after=["validate"]
)
pipeline.add(
    f"{DATA}:validate_context",
    kind="ingestion",
    cost="cpu",
    retries=1,
    timeout="20min",
    expect="5s",
    after=[f"ingest_{name}" for name in (*CONTEXT, "issuers", "texts", "futures")],
)

pipeline.add(f"{FEATURES}:returns", kind="features", timeout="20min", expect="5s", after=["validate"])
pipeline.add(f"{FEATURES}:volatility", kind="features", timeout="20min", expect="5s", after=["returns"])
pipeline.add(f"{FEATURES}:factors", kind="features", timeout="20min", expect="5s", after=["validate"])
pipeline.add(f"{FEATURES}:correlations", kind="features", timeout="20min", expect="5s", after=["returns"])
pipeline.add(
    f"{FEATURES}:stability_components", kind="features", timeout="20min", expect="5s", after=["validate"]
)
pipeline.add(
    f"{FEATURES}:numeric_embeddings",
    kind="features",
    tier=2,
    timeout="20min",
    expect="10s",
    after=["validate"],
    degrade=["skip"],
)
pipeline.add(
    f"{FEATURES}:text_embeddings",
    kind="features",
    tier=2,
    timeout="20min",
    expect="5s",
    after=["validate_context"],
    degrade=["skip"],
)
pipeline.add(
    f"{FEATURES}:profiles",
    kind="features",
    tier=2,
    timeout="20min",
    expect="5s",
    after=["validate_context", "volatility", "factors", "numeric_embeddings", "text_embeddings"],
    degrade=["skip"],
)

pipeline.add(
    f"{ENGINES}:regime",
    kind="engine",
    timeout="20min",
    expect="5s",
    after=[
        "validate_context",
        "volatility",
        "correlations",
    ],  # each decision says what was wrong with the data
)
pipeline.add(
    f"{ENGINES}:stability",
    kind="engine",
    timeout="20min",
    expect="5s",
    after=["stability_components", "regime"],
)
pipeline.add(
    f"{ENGINES}:assessment",
    kind="engine",
    timeout="20min",
    expect="5s",
    after=["returns", "volatility", "stability_components", "stability"],
)
pipeline.add(
    f"{ENGINES}:universe", kind="engine", timeout="10min", expect="5s", after=["assessment", "validate"]
)
pipeline.add(
    f"{ENGINES}:portfolio", kind="engine", timeout="20min", expect="5s", after=["universe", "correlations"]
)
pipeline.add(
    f"{ENGINES}:risk_report",
    kind="engine",
    tier=2,
    timeout="10min",
    expect="5s",
    after=["portfolio"],
    degrade=["skip"],
)
pipeline.add(f"{ENGINES}:decision_log", kind="engine", timeout="5min", expect="5s", after=["portfolio"])

pipeline.slo("ingestion", jobs=["ingest_prices", "ingest_volumes", "validate"], by="D+1 00:00 UTC")
pipeline.slo(
    "engines", jobs=["regime", "stability", "assessment", "universe", "portfolio"], by="D+1 01:00 UTC"
)
pipeline.slo("decision logs", jobs=["decision_log"], by="D+1 01:15 UTC")
