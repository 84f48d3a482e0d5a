"""The sanity checks of a US equity morning (spec 4.1): are the stores well, and is yesterday's data?"""

from prometheus.pipelines import Pipeline, session

pipeline = Pipeline(
    "us_eq_preopen",
    market="US_EQ",
    start=session.open - "90min",
    missed="latest",
    description="Checks the databases and the data of the session before, an hour before anyone trades on them.",
)

JOBS = "prometheus.data_ingestion.jobs"

pipeline.add(f"{JOBS}:db_health", kind="monitoring", timeout="5min", expect="2s")
pipeline.add(f"{JOBS}:data_quality", kind="monitoring", tier=1, timeout="10min", expect="5s")

pipeline.slo("checked before the open", by=session.open - "30min")
