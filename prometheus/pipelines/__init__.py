"""The language users declare in: what should run, for which session, and by when?"""

from prometheus.core.outcomes import TryAgain
from prometheus.pipelines.declaring import Pipeline
from prometheus.pipelines.moments import after_run, at, barrier, every, market, session, trading_day_of

__all__ = [
    "Pipeline",
    "TryAgain",
    "after_run",
    "at",
    "barrier",
    "every",
    "market",
    "session",
    "trading_day_of",
]
