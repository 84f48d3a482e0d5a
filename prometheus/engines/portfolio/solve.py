"""Mean-variance with costs and limits (Markowitz, "Portfolio selection", JF 1952), by cvxpy and Clarabel.

The risk enters in factor form: a norm of (factors + instruments) numbers instead of a dense matrix, which is ten times
faster at this size. Limits and costs are convex, so the optimum is one and the same on every machine.

If Clarabel fails, or calls its answer inaccurate and it breaks a limit, SCS (which cvxpy brings) is asked; its answer is
held to the same limits. When no portfolio meets all limits, `relax` says which of them conflict and which give way.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import cvxpy
import numpy as np

from prometheus.engines.portfolio.problem import (
    Binding,
    Limit,
    Limits,
    NoPortfolioError,
    Problem,
    Solution,
)
from prometheus.engines.portfolio.relax import conflict_of, explain, relaxed
from prometheus.stores.wide import FloatArray

# Expressions, constraints and atoms of cvxpy, most of which it exports in ways that no type checker follows.
Expression: TypeAlias = Any
cp: Any = cvxpy

SESSIONS_PER_YEAR = 252

# In the order in which they are asked; both come with cvxpy.
SOLVERS: Mapping[str, Mapping[str, float]] = {
    "CLARABEL": {"tol_gap_abs": 1e-9, "tol_gap_rel": 1e-9, "tol_feas": 1e-9},
    "SCS": {"eps_abs": 1e-7, "eps_rel": 1e-7, "max_iters": 50_000},
}

# A solution that the solver calls inaccurate is taken if it breaks no limit by more than this.
VIOLATION = 1e-6

# What changes a weight by less is the solver's residue and is not traded; weights are kept to eight decimals.
DUST = 1e-6
DECIMALS = 8

# Kept weights break no limit by more than this. Rounding can cost a little more: then the limits are drawn in and the
# problem is solved again, at most this often.
TOLERANCE = 1e-6
ROUNDS = 3

# A limit binds if a unit more of it is worth at least this (per horizon, in units of return).
SHADOW = 1e-6

# What is leaving is worth this much less for each unit of weight: more than any name is expected to return in a month,
# so it is sold before all else, unless its sale alone would cost as much.
EXIT = 0.25


def solve(problem: Problem, limits: Limits, order: tuple[Limit, ...]) -> Solution:
    """The best weights within `limits`, relaxed in `order` if need be; raises `NoPortfolioError` if none exist."""
    found = _best(problem, limits)
    conflict: tuple[str, ...] = ()
    used = limits
    if found is None:
        used = relaxed(limits, order, lambda trial, name: _smallest_slack(problem, trial, name))
        conflict = conflict_of(limits, lambda kept: _feasible(problem, limits, kept))
        found = _best(problem, used)
    if found is None:
        raise NoPortfolioError(
            f"no portfolio satisfies the limits {used}, which were already relaxed from {limits}",
            hint="look at the expected returns and variances for values that are not finite",
        )
    for round_ in range(1, ROUNDS + 1):
        excess = problem.excess(used, found.weights, SESSIONS_PER_YEAR)
        if excess <= TOLERANCE / 2:
            break
        again = _best(problem, used.inward(2 * round_ * excess))
        if again is None:
            break  # there is no room inside: what was found is as near as it gets
        found = again
    lacking = np.where(found.weights > 0.0, 0.0, np.abs(found.prices["long_only"]))
    told = explain(problem, limits, used, order)
    binding = _binding(problem, used, found.prices)
    return Solution(found.weights, used, told, binding, conflict, lacking, found.solver)


@dataclass(frozen=True, slots=True, eq=False)
class _Best:
    """A solver's answer: clean weights, the price of each constraint, and whose answer it is."""

    weights: FloatArray
    prices: Mapping[str, FloatArray]
    solver: str


def _best(problem: Problem, limits: Limits) -> _Best | None:
    weights = cp.Variable(len(problem.expected))
    constraints = _constraints(problem, limits, weights, {})
    traded = cp.abs(weights - problem.held)
    objective = (
        problem.expected @ weights
        - 0.5 * problem.risk_aversion * problem.horizon * cp.sum_squares(_risk(problem, weights))
        - problem.prices.linear @ traded
    )
    if problem.prices.impact.any():
        objective -= problem.prices.impact @ cp.power(traded, 1.5)
    if problem.leaving.any():
        objective -= EXIT * (problem.leaving.astype(np.float64) @ weights)
    solver = _solved(cp.Problem(cp.Maximize(objective), list(constraints.values())))
    if solver is None:
        return None
    prices = {name: np.atleast_1d(np.asarray(one.dual_value)) for name, one in constraints.items()}
    return _Best(_clean(problem, limits, np.asarray(weights.value, dtype=np.float64)), prices, solver)


def _clean(problem: Problem, limits: Limits, weights: FloatArray) -> FloatArray:
    """Weights as they are kept: no residue of the solver, no more decimals than mean anything."""
    within = np.clip(weights, 0.0, problem.ceiling(limits))
    rounded = np.round(within, DECIMALS)
    kept = np.where(np.abs(within - problem.held) < DUST, problem.held, rounded)
    return np.minimum(kept, problem.ceiling(limits))


def _smallest_slack(problem: Problem, limits: Limits, name: Limit) -> float | None:
    weights = cp.Variable(len(problem.expected))
    slack = cp.Variable(nonneg=True)
    constraints = _constraints(problem, limits, weights, {name: slack})
    task = cp.Problem(cp.Minimize(slack), list(constraints.values()))
    return None if _solved(task) is None else float(slack.value)


def _feasible(problem: Problem, limits: Limits, kept: frozenset[str]) -> bool:
    """Whether some portfolio meets the limits `kept`, of those that `limits` declares."""
    weights = cp.Variable(len(problem.expected))
    constraints = _constraints(problem, limits, weights, {})
    wanted = [one for name, one in constraints.items() if name == "long_only" or _family(name) in kept]
    return _solved(cp.Problem(cp.Minimize(0), wanted)) is not None


def _family(constraint: str) -> str:
    """The limit that a constraint belongs to: one limit may need several."""
    return constraint.partition(":")[0]


def _constraints(
    problem: Problem, limits: Limits, weights: Expression, slack: Mapping[str, Expression]
) -> dict[str, Expression]:
    invested = cp.sum(weights)
    found: dict[str, Expression] = {
        "long_only": weights >= 0,
        "max_weight": weights <= problem.ceiling(limits),
        "max_gross": invested <= limits.max_gross,
        "min_invested": invested >= limits.min_invested - slack.get("min_invested", 0.0),
        "max_volatility": math.sqrt(SESSIONS_PER_YEAR) * cp.norm2(_risk(problem, weights))
        <= limits.max_volatility + slack.get("max_volatility", 0.0),
    }
    if limits.turnover is not None:
        cash = cp.abs(invested - (float(problem.held.sum()) + problem.sold))
        traded = 0.5 * (cp.norm1(weights - problem.held) + problem.sold + cash)
        found["turnover"] = traded <= limits.turnover + slack.get("turnover", 0.0)
    if problem.fragility is not None and limits.max_fragility is not None:
        budget = limits.max_fragility + slack.get("max_fragility", 0.0)
        found["max_fragility"] = problem.fragility @ weights <= budget
    if problem.sectors is not None and limits.sector_band is not None:
        active = problem.sectors.member @ weights - problem.sectors.share * invested
        band = limits.sector_band + slack.get("sector_band", 0.0)
        found["sector_band:above"] = active <= band
        found["sector_band:below"] = -active <= band
    for name, bound in limits.max_exposures.items():
        exposure = problem.styles[name] @ weights
        found[f"max_exposures:{name}:above"] = exposure <= bound
        found[f"max_exposures:{name}:below"] = -exposure <= bound
    return found


def _risk(problem: Problem, weights: Expression) -> Expression:
    """A vector whose norm is the daily volatility."""
    return cp.hstack([problem.exposures.T @ weights, cp.multiply(np.sqrt(problem.specific_var), weights)])


def _solved(task: Expression) -> str | None:
    """The solver whose answer was taken, or None if there is no portfolio; raises if no solver could tell."""
    failed = "no solver has answered"
    for solver, options in SOLVERS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # "may be inaccurate": judged below
                task.solve(solver=solver, **options)
        except (cp.SolverError, ValueError) as error:
            failed = str(error)
            continue
        if task.status == cp.OPTIMAL or (task.status == cp.OPTIMAL_INACCURATE and _obeyed(task)):
            return solver
        if task.status == cp.INFEASIBLE:
            return None
        failed = f"{solver} says {task.status}"
    if task.status in (cp.INFEASIBLE_INACCURATE, cp.OPTIMAL_INACCURATE):
        return None
    raise NoPortfolioError(
        f"the optimiser failed: {failed}", hint="look at the inputs for values that are not finite"
    )


def _obeyed(task: Expression) -> bool:
    return all(float(np.max(one.violation(), initial=0.0)) <= VIOLATION for one in task.constraints)


def _binding(problem: Problem, limits: Limits, prices: Mapping[str, FloatArray]) -> tuple[Binding, ...]:
    found: dict[str, Binding] = {}
    for name, price in prices.items():
        if name == "long_only":
            continue
        limit, at = _family(name), np.flatnonzero(np.abs(price) > SHADOW)
        if limit == "max_weight":
            at = np.array([place for place in at if not problem.leaving[place]], dtype=np.intp)
        if not len(at):
            continue
        groups: tuple[str, ...] = ()
        places: tuple[int, ...] = ()
        value = limits.max_exposures[name.split(":")[1]] if limit == "max_exposures" else limits.value(limit)
        assert value is not None, "a limit that is off has no price"
        if limit == "sector_band":
            assert problem.sectors is not None
            groups = tuple(problem.sectors.names[place] for place in at)
        elif limit == "max_exposures":
            groups = (name.split(":")[1],)
        elif limit == "max_weight":
            places = tuple(int(place) for place in at)
        worth = float(np.abs(price[at]).max())
        before = found.get(limit)
        if before is not None:
            groups, worth = (*before.groups, *groups), max(worth, before.shadow_price)
            value = max(value, before.value)
        found[limit] = Binding(limit, float(value), worth, places, groups)
    return tuple(found.values())
