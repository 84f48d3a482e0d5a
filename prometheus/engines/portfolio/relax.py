"""When no portfolio meets all limits: which of them conflict, which give way, and by how little.

They give way in a declared order, each by the smallest amount that admits a portfolio: with the k first limits of the
order relaxed, the last of them is moved least, then the one before it. What conflicts is found by leaving limits out one
by one (the deletion filter of Chinneck and Dravnieks, "Locating minimal infeasible constraint sets in linear programs",
ORSA JoC 1991): of the set that is left, each could be dropped to make a portfolio possible.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus.engines.portfolio.problem import LOOSEST, Limit, Limits, NoPortfolioError, Problem, Relaxation

# A relaxed limit is moved by this much more than the smallest amount (a hundredth of a per cent of capital), or the
# one portfolio left would stand on a knife's edge that an interior-point method does not find.
MARGIN = 1e-4

# In the order in which they are left out: what is named in the end stands late here, where the dearest limits are.
EVERY_LIMIT = (
    "max_exposures",
    "sector_band",
    "max_fragility",
    "max_gross",
    "min_invested",
    "turnover",
    "max_volatility",
    "max_weight",
)


def relaxed(
    limits: Limits, order: tuple[Limit, ...], smallest_slack: Callable[[Limits, Limit], float | None]
) -> Limits:
    """The limits with the first ones of `order` moved as little as possible; raises `NoPortfolioError` if in vain."""
    usable = tuple(name for name in order if limits.value(name) is not None)
    for count in range(1, len(usable) + 1):
        loosened = usable[:count]
        trial = limits
        for name in loosened:
            trial = trial.with_value(name, LOOSEST[name])
        # The later a limit stands in the order, the dearer it is: it is settled first, while the others are loosest.
        for name in reversed(loosened):
            wanted = limits.value(name)
            assert wanted is not None
            slack = smallest_slack(trial.with_value(name, wanted), name)
            if slack is None:
                break
            moved = slack + MARGIN if slack > MARGIN else 0.0
            trial = trial.with_value(name, wanted - moved if name == "min_invested" else wanted + moved)
        else:
            return trial
    raise NoPortfolioError(
        f"no portfolio satisfies the limits {limits}",
        allowed="limits that some portfolio meets" + (f", relaxing {', '.join(order)}" if order else ""),
        hint="raise max_weight or max_gross, or let more limits relax",
    )


def conflict_of(limits: Limits, feasible: Callable[[frozenset[str]], bool]) -> tuple[str, ...]:
    """Limits that no portfolio meets together, none of them superfluous; `feasible` judges a set of kept limits."""
    kept = [name for name in EVERY_LIMIT if declared(limits, name)]
    for name in tuple(kept):
        fewer = [other for other in kept if other != name]
        if not feasible(frozenset(fewer)):
            kept = fewer
    return tuple(kept)


def declared(limits: Limits, name: str) -> bool:
    """Whether there is such a limit tonight."""
    return bool(limits.max_exposures) if name == "max_exposures" else limits.value(name) is not None


def explain(
    problem: Problem, limits: Limits, used: Limits, order: tuple[Limit, ...]
) -> tuple[Relaxation, ...]:
    """Each limit of `order` that was moved, and why."""
    reasons: dict[str, str] = {
        "min_invested": "less is held so that the other limits hold",
        "sector_band": "what is held cannot be brought nearer to the universe's sectors within the other limits",
        "max_fragility": "what is held cannot be made less fragile within the other limits",
        "turnover": f"{problem.sold:.1%} of capital must be sold because it may no longer be held"
        if problem.sold > 0.0
        else "the other limits ask for more trading than this",
        "max_volatility": "no portfolio within the other limits is as calm as this",
    }
    found = []
    for name in order:
        before, now = limits.value(name), used.value(name)
        if before is not None and now is not None and before != now:
            found.append(Relaxation(name, before, now, reasons[name]))
    return tuple(found)
