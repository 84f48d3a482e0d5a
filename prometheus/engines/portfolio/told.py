"""A solution as the decision says it: the short answer for whoever watches, and all that an audit needs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from prometheus.core.ids import Json
from prometheus.engines.outcome import rounded
from prometheus.engines.portfolio.costs import Bill
from prometheus.engines.portfolio.problem import Limits, Problem, Solution
from prometheus.engines.portfolio.solve import SESSIONS_PER_YEAR

# So many of the dearest trades are named.
DEAREST = 5


def told(
    names: Sequence[str], problem: Problem, solution: Solution, sold: Bill, sector: Mapping[str, str]
) -> tuple[dict[str, Json], dict[str, Json]]:
    """The summary, and what the decision's action says besides it."""
    weights = solution.weights
    bill = problem.prices.of(weights - problem.held).plus(sold)
    summary: dict[str, Json] = {
        "positions": int((weights > 0.0).sum()),
        "invested": rounded(float(weights.sum())),
        "turnover": None if solution.limits.turnover is None else round(problem.turnover(weights), 8),
        "expected_return": round(float(problem.expected @ weights), 8),
        "volatility": round(math.sqrt(problem.variance(weights) * SESSIONS_PER_YEAR), 6),
        "fragility": None if problem.fragility is None else round(float(problem.fragility @ weights), 8),
        "costs": {name: rounded(value) for name, value in (*asdict(bill).items(), ("total", bill.total))},
        "relaxed": [
            {"limit": one.limit, "declared": one.declared, "used": round(one.used, 6), "why": one.why}
            for one in solution.relaxed
        ],
        "binding": _binding(names, solution),
    }
    if solution.conflict:
        summary["conflict"] = conflict_in_words(solution, problem)
    if solution.solver != "CLARABEL":
        summary["solver"] = solution.solver
    each = problem.prices.each(weights - problem.held)
    dearest = sorted(range(len(names)), key=lambda place: (-each[place], names[place]))[:DEAREST]
    whole: dict[str, Json] = {
        "limits": _limits(solution.limits),
        "dearest": {names[place]: rounded(float(each[place])) for place in dearest if each[place] > 0.0},
        "leaving": [name for name, leaves in zip(names, problem.leaving, strict=True) if leaves],
        # How much more these would have to be expected to return in a month to be bought.
        "lacking": {
            name: float(f"{lacking:.3g}")
            for name, weight, lacking in zip(names, weights, solution.lacking, strict=True)
            if weight == 0.0
        },
    }
    if problem.sectors is not None:
        held = problem.sectors.member @ weights
        whole["sectors"] = {
            name: {"share": rounded(float(share)), "weight": rounded(float(weight))}
            for name, share, weight in zip(problem.sectors.names, problem.sectors.share, held, strict=True)
        }
        whole["sector_of"] = {
            name: sector[name] for name, weight in zip(names, weights, strict=True) if weight
        }
    return summary, whole


def conflict_in_words(solution: Solution, problem: Problem) -> str:
    """Which limits cannot be met together, and what gave way: a sentence with numbers."""
    relaxed = {one.limit: one for one in solution.relaxed}
    parts = []
    for name in solution.conflict:
        declared = relaxed[name].declared if name in relaxed else solution.limits.value(name)
        parts.append(name if not isinstance(declared, float) else f"{name} {_number(declared)}")
    gave = [f"{one.limit} gave way to {_number(one.used)}" for one in solution.relaxed]
    must = f", with {_number(problem.sold)} of capital to be sold" if problem.sold > 0.0 else ""
    return f"no portfolio has {' and '.join(parts)} at once{must}; {', '.join(gave) or 'nothing gave way'}"


def _number(value: float) -> str:
    return f"{value:.2%}"


def _binding(names: Sequence[str], solution: Solution) -> list[Json]:
    return [
        {
            "limit": one.limit,
            "value": round(one.value, 6),
            "shadow_price": float(f"{one.shadow_price:.3g}"),
            **({"instruments": [names[place] for place in one.instruments]} if one.instruments else {}),
            **({"groups": list(one.groups)} if one.groups else {}),
        }
        for one in solution.binding
    ]


def _limits(limits: Limits) -> dict[str, Json]:
    """The limits in force: those that gave way at the value that they gave way to."""
    return {
        name: {style: rounded(bound) for style, bound in value.items()}
        if isinstance(value, Mapping)
        else None
        if value is None
        else rounded(value)
        for name, value in asdict(limits).items()
    }
