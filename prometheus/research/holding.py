"""What target weights would have returned: bought at the close they were decided at, left to drift, bought anew.

Targets decided at a close are held from the next session on. Cash earns nothing. A missing return counts as no move.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from prometheus.stores.wide import FloatArray, Wide


@dataclass(frozen=True, slots=True)
class Targets:
    """Shares of capital, decided at the close of `decided`; what they lack to 1 is cash.

    `bill` is what getting there costs, a share of capital, if whoever decided has told.
    """

    decided: date
    weights: Mapping[str, float]
    bill: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Daily returns of `days`, from the session after the first targets on, and what each rebalance traded.

    `turnover` is one-way (half of all that changes hands, cash included), `costs` are shares of capital; both have one
    value for each of the targets. `of` is the place of the targets that each day was held by.
    """

    days: tuple[date, ...]
    gross: FloatArray
    net: FloatArray
    of: tuple[int, ...]
    turnover: FloatArray
    costs: FloatArray
    trades: tuple[FloatArray, ...]  # (instruments), absolute changes of weight


def hold(returns: Wide, targets: Sequence[Targets], cost: float) -> Held:
    """Hold each of `targets` (ascending) until the next; costs are paid from the capital.

    They are the targets' own bill, or `cost` of each dollar traded where there is none.

    `returns` must hold `ret_1d` and every day on which targets were decided (the programmer's fault otherwise).
    """
    assert targets, "nothing is held without targets"
    daily = np.nan_to_num(returns["ret_1d"], nan=0.0)
    rows = [returns.days.index(one.decided) for one in targets]
    assert rows == sorted(set(rows)), "targets come in order"
    drifted = np.zeros(len(returns.instruments))
    gross, net, of, turnover, costs, trades = [], [], [], [], [], []
    for place, (one, row) in enumerate(zip(targets, rows, strict=True)):
        weights = np.array([one.weights.get(name, 0.0) for name in returns.instruments])
        traded = np.abs(weights - drifted)
        trades.append(traded)
        turnover.append(0.5 * (float(traded.sum()) + abs(float(weights.sum() - drifted.sum()))))
        costs.append(cost * float(traded.sum()) if one.bill is None else one.bill)
        until = rows[place + 1] if place + 1 < len(rows) else len(returns.days) - 1
        growth = np.cumprod(1.0 + daily[row + 1 : until + 1], axis=0)
        values = growth @ weights + (1.0 - float(weights.sum()))
        earned = values / np.concatenate([[1.0], values[:-1]]) - 1.0
        gross.append(earned)
        paid = np.zeros(len(earned))
        paid[:1] = costs[-1]
        net.append((1.0 - paid) * (1.0 + earned) - 1.0)
        of += [place] * len(earned)
        drifted = weights * growth[-1] / values[-1] if len(values) else weights
    return Held(
        returns.days[rows[0] + 1 :],
        np.concatenate(gross),
        np.concatenate(net),
        tuple(of),
        np.array(turnover),
        np.array(costs),
        tuple(trades),
    )
