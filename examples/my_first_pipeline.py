"""A first pipeline of one's own: three functions and a command, on the time of the New York session.

    prometheus run examples/my_first_pipeline.py --session 2016-06-24

Everything a job needs to know is in `task`; what it returns is kept and given to the jobs after it.
"""

from itertools import pairwise

from prometheus.pipelines import Pipeline, session

prices = Pipeline(
    "my_prices",
    market="US_EQ",
    start=session.close + "30min",
    description="Prices of a session, what they say, and a word about it.",
)


@prices.job(kind="ingestion", timeout="5min", retries=2)
def fetch(task):
    """Three closes up to the session, made up from the dates themselves so that the example needs no vendor."""
    calendar = task.calendar()
    days = [calendar.previous_trading_day(task.session, n) for n in (2, 1)] + [task.session]
    return {"closes": {day.isoformat(): 100.0 + day.day / 10 for day in days}}


@prices.job(after=[fetch])
def returns(task):
    """The return of each day over the day before."""
    closes = list(task.output(fetch)["closes"].values())
    return {"returns": [after / before - 1 for before, after in pairwise(closes)]}


@prices.job(after=[returns], tier=2, params={"limit": 0.05}, degrade=["skip"])
def verdict(task):
    """Whether any day moved more than the limit."""
    largest = max(abs(one) for one in task.output(returns)["returns"])
    return {"calm": largest <= task.params["limit"], "largest": largest}


prices.add(["echo", "the night is done"], name="say_so", kind="monitoring", after=[verdict])

prices.slo("returns ready", jobs=[returns], by="D+1 00:00 UTC")
prices.slo("all done", within="60min")
