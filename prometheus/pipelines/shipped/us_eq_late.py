"""The late night of US equities (spec 4.1): what became of earlier decisions, when everything else is done."""

from prometheus.pipelines import Pipeline, session

pipeline = Pipeline(
    "us_eq_late",
    market="US_EQ",
    start=session.close + "4h",
    missed="latest",
    description="Looks back at the desk's own decisions, by regime: what was expected, and what happened.",
)

pipeline.add(
    "prometheus.research.jobs:meta_analytics", kind="research", tier=3, timeout="30min", expect="20s"
)
