"""The weekly research of US equities (spec 3.1, 5.4): a walk-forward backtest on the machine's idle time.

Starts four hours after the week's last close, behind the night of that session, and gives way to everything else: it
saves a checkpoint after each month that it has walked, and goes on from there.
"""

from prometheus.pipelines import Pipeline, trading_day_of

pipeline = Pipeline(
    "weekly_research",
    market="US_EQ",
    start=trading_day_of("week", -1).close + "4h",
    missed="latest",
    description="Walks the engines through past months, and reports what they would have earned, with its warnings.",
)

pipeline.add(
    "prometheus.research.jobs:backtest",
    kind="research",
    tier=3,
    memory="1GB",
    retries=1,
    timeout="4h",
    expect="3min",
    checkpoint_every="10s",
)
