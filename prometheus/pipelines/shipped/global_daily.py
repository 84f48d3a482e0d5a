"""The world at the end of a day: one regime over all regions, and one page that shows each (spec 4.2, 7).

Starts when the regions' nights are done, or at 02:00 UTC with those that are. A region whose calendar and pipeline
come later is one more name in the barrier; the engines look for its data already, and say why there is none.
"""

from prometheus.pipelines import Pipeline, barrier

pipeline = Pipeline(
    "global_daily",
    market="GLOBAL",
    start=barrier(["us_eq_daily"], quorum=1, cutoff="D+1 02:00 UTC"),
    description="Judges the regime of the world from the regions that have data, and shows all regions on one page.",
)

ENGINES = "prometheus.engines.jobs"

pipeline.add(f"{ENGINES}:regime", kind="engine", timeout="20min", expect="5s")
pipeline.add(
    f"{ENGINES}:global_view",
    kind="engine",
    tier=2,
    timeout="10min",
    expect="5s",
    after=["regime"],
    degrade=["skip"],
)
pipeline.add(f"{ENGINES}:decision_log", kind="engine", timeout="5min", expect="5s", after=["regime"])

pipeline.slo("global regime", jobs=["regime"], by="D+1 03:00 UTC")
