"""Mean-variance with costs and limits (Markowitz, "Portfolio selection", JF 1952), by cvxpy and Clarabel.

The risk enters in factor form: a norm of (factors + instruments) numbers instead of a dense matrix, which is ten times
faster at this size. The turnover and the risk limit are convex, so the optimum is one and the same on every machine.

When no portfolio meets all limits, limits give way in the declared order, each by the smallest amount that admits a
portfolio: with the k first limits of the order relaxed, the last of them is moved least, then the one before it.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, TypeAlias

import cvxpy
import numpy as np

from prometheus.engines.portfolio.problem import (
    LOOSEST,
    Binding,
    Limit,
    Limits,
    NoPortfolioError,
    Problem,
    Relaxation,
    Solution,
)
from prometheus.stores.wide import FloatArray

# Expressions, constraints and atoms of cvxpy, most of which it exports in ways that no type checker follows.
Expression: TypeAlias = Any
cp: Any = cvxpy

SESSIONS_PER_YEAR = 252

# A relaxed limit is moved by this much more than the smallest amount (a hundredth of a per cent of capital), or the
# one portfolio left would stand on a knife's edge that an interior-point method does not find.
MARGIN = 1e-4

# A solution that the solver calls inaccurate is taken if it breaks no limit by more than this.
VIOLATION = 1e-5

# Weights below are the solver's residue; above, they are kept to six decimals.
DUST = 1e-6
DECIMALS = 6

# A limit binds if a unit more of it is worth at least this (per horizon, in units of return).
SHADOW = 1e-6


def solve(problem: Problem, limits: Limits, order: tuple[Limit, ...]) -> Solution:
    """The best weights within `limits`, relaxed in `order` if need be; raises `NoPortfolioError` if none exist."""
    found = _best(problem, limits)
    if found is not None:
        weights, binding = found
        return Solution(weights, limits, (), binding)
    relaxed_limits = _relax(problem, limits, order)
    found = _best(problem, relaxed_limits)
    if found is None:
        raise NoPortfolioError(
            f"no portfolio satisfies the limits {relaxed_limits}, which were already relaxed from {limits}",
            hint="look at the expected returns and variances for values that are not finite",
        )
    weights, binding = found
    return Solution(weights, relaxed_limits, _explain(problem, limits, relaxed_limits, order), binding)


def _best(problem: Problem, limits: Limits) -> tuple[FloatArray, tuple[Binding, ...]] | None:
    weights = cp.Variable(len(problem.expected), nonneg=True)
    constraints = _constraints(problem, limits, weights, {})
    risk = _risk(problem, weights)
    scale = math.sqrt(problem.horizon)
    objective = (
        problem.expected @ weights
        - 0.5 * problem.risk_aversion * cp.sum_squares(scale * risk)
        - problem.cost * cp.norm1(weights - problem.held)
    )
    task = cp.Problem(cp.Maximize(objective), list(constraints.values()))
    if not _solved(task):
        return None
    clean = np.clip(np.asarray(weights.value, dtype=np.float64), 0.0, limits.max_weight)
    clean = np.where(clean < DUST, 0.0, np.round(clean, DECIMALS))
    return clean, _binding(limits, constraints)


def _relax(problem: Problem, limits: Limits, order: tuple[Limit, ...]) -> Limits:
    usable = tuple(name for name in order if limits.value(name) is not None)
    for count in range(1, len(usable) + 1):
        loosened = usable[:count]
        trial = limits
        for name in loosened:
            trial = trial.with_value(name, LOOSEST[name])
        # The later a limit stands in the order, the dearer it is: it is settled first, while the others are loosest.
        for name in reversed(loosened):
            declared = limits.value(name)
            assert declared is not None
            slack = _smallest_slack(problem, trial.with_value(name, declared), name)
            if slack is None:
                break
            moved = slack + MARGIN if slack > MARGIN else 0.0
            trial = trial.with_value(name, declared - moved if name == "min_invested" else declared + moved)
        else:
            return trial
    raise NoPortfolioError(
        f"no portfolio satisfies the limits {limits}",
        allowed="limits that some portfolio meets" + (f", relaxing {', '.join(order)}" if order else ""),
        hint="raise max_weight or max_gross, or let more limits relax",
    )


def _smallest_slack(problem: Problem, limits: Limits, name: Limit) -> float | None:
    weights = cp.Variable(len(problem.expected), nonneg=True)
    slack = cp.Variable(nonneg=True)
    constraints = _constraints(problem, limits, weights, {name: slack})
    task = cp.Problem(cp.Minimize(slack), list(constraints.values()))
    return float(slack.value) if _solved(task) else None


def _constraints(
    problem: Problem, limits: Limits, weights: Expression, slack: dict[Limit, Expression]
) -> dict[str, Expression]:
    invested = cp.sum(weights)
    found: dict[str, Expression] = {
        "max_weight": weights <= limits.max_weight,
        "max_gross": invested <= limits.max_gross,
        "min_invested": invested >= limits.min_invested - slack.get("min_invested", 0.0),
        "max_volatility": math.sqrt(SESSIONS_PER_YEAR) * cp.norm2(_risk(problem, weights))
        <= limits.max_volatility + slack.get("max_volatility", 0.0),
    }
    if limits.turnover is not None:
        cash = cp.abs(invested - (float(problem.held.sum()) + problem.sold))
        traded = 0.5 * (cp.norm1(weights - problem.held) + problem.sold + cash)
        found["turnover"] = traded <= limits.turnover + slack.get("turnover", 0.0)
    return found


def _risk(problem: Problem, weights: Expression) -> Expression:
    """A vector whose norm is the daily volatility."""
    return cp.hstack([problem.exposures.T @ weights, cp.multiply(np.sqrt(problem.specific_var), weights)])


def _solved(task: Expression) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "may be inaccurate": judged below
            task.solve(solver=cp.CLARABEL)
    except cp.SolverError as error:
        raise NoPortfolioError(
            f"the optimiser failed: {error}", hint="look at the inputs for values that are not finite"
        ) from error
    if task.status != cp.OPTIMAL_INACCURATE:
        return bool(task.status == cp.OPTIMAL)
    return all(
        float(np.max(constraint.violation(), initial=0.0)) <= VIOLATION for constraint in task.constraints
    )


def _binding(limits: Limits, constraints: dict[str, Expression]) -> tuple[Binding, ...]:
    found = []
    for name, constraint in constraints.items():
        price = np.atleast_1d(np.asarray(constraint.dual_value, dtype=np.float64))
        at = np.flatnonzero(np.abs(price) > SHADOW)
        if not len(at):
            continue
        value = limits.max_weight if name == "max_weight" else getattr(limits, name)
        places = tuple(int(place) for place in at) if name == "max_weight" else ()
        found.append(Binding(name, float(value), float(np.abs(price).max()), places))
    return tuple(found)


def _explain(
    problem: Problem, limits: Limits, used: Limits, order: tuple[Limit, ...]
) -> tuple[Relaxation, ...]:
    reasons = {
        "min_invested": "less is held so that the other limits hold",
        "turnover": f"{problem.sold:.1%} of capital must be sold because it may no longer be held"
        if problem.sold > 0.0
        else "the other limits ask for more trading than this",
        "max_volatility": "no portfolio within the other limits is as calm as this",
    }
    found = []
    for name in order:
        declared, now = limits.value(name), used.value(name)
        if declared is not None and now is not None and declared != now:
            found.append(Relaxation(name, declared, now, reasons[name]))
    return tuple(found)
