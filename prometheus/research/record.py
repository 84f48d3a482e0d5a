"""What became of the decisions that this desk has made: for each regime, what was expected and what happened.

Everything is a count of nights, and nights are few: each figure comes with its number of samples, and with a sentence
where they are too few to say anything. Returns are before costs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from prometheus.core.ids import Json
from prometheus.engines.assessment.learning import rank_correlation
from prometheus.engines.outcome import rounded
from prometheus.engines.risk_report.measures import kupiec
from prometheus.research.statistics import SESSIONS_PER_YEAR
from prometheus.stores.historical import HistoricalView
from prometheus.stores.runtime import RuntimeDb
from prometheus.stores.wide import FloatArray, Wide, widen

RETURNS = "returns_daily"
HORIZON = 21  # sessions: what scores are about
MOST = 504  # nights looked at: two years
FEW = 60  # nights: below, nothing is said of them but their number
ALL = "all"


@dataclass(frozen=True, slots=True)
class Night:
    """One past night's decisions beside what followed. None = not known (yet)."""

    day: date
    regime: str
    earned: float | None  # return of the targets in the session that they were for
    volatility: float | None  # predicted, of one session
    value_at_risk: Mapping[str, float]  # "kind level" -> loss
    coefficient: float | None  # rank correlation of scores and the next month's returns
    expected: float | None  # mean expected return of the attractive less the unattractive
    realised: float | None  # what that difference was


def nights(view: HistoricalView, runtime: RuntimeDb, most: int) -> list[Night]:
    """The last `most` nights before the view's session whose portfolio was decided, oldest first."""
    session, market_id = view.as_of_date, view.market
    days = view.dates(RETURNS)
    decided = {
        day: rows[0]["proposed_action"]
        for day in days[-most - 1 : -1]
        if (rows := runtime.decisions(day, market_id, "portfolio"))
    }
    if not decided or days[-1] != session:
        return []
    wide = widen(
        view.read(RETURNS, since=next(iter(decided)), columns=["date", "instrument_id", "ret_1d"]), ["ret_1d"]
    )
    return [_night(runtime, market_id, day, action, wide) for day, action in decided.items()]


def report(found: Sequence[Night], warnings: Sequence[str]) -> dict[str, Json]:
    """What the nights say, in all and by regime."""
    regimes = [ALL, *sorted({night.regime for night in found})]
    return {
        "warnings": [*warnings, *_samples(found)],
        "nights": len(found),
        "first": found[0].day.isoformat() if found else None,
        "last": found[-1].day.isoformat() if found else None,
        "by_regime": [
            {"regime": regime, **_said([night for night in found if regime in (ALL, night.regime)])}
            for regime in regimes
        ],
    }


def _samples(found: Sequence[Night]) -> list[str]:
    if len(found) >= FEW:
        return []
    return [f"{len(found)} nights: too few to say anything; {FEW} are the least that a figure here needs"]


def _night(runtime: RuntimeDb, market_id: str, day: date, action: Mapping[str, Any], wide: Wide) -> Night:
    row = wide.days.index(day)
    places = {name: place for place, name in enumerate(wide.instruments)}
    ahead = np.nan_to_num(wide["ret_1d"][row + 1 : row + 2], nan=0.0)
    targets: Mapping[str, float] = action.get("targets", {})
    earned = None
    if len(ahead):
        earned = math.fsum(
            weight * float(ahead[0, places[name]])
            for name, weight in sorted(targets.items())
            if name in places
        )
    yearly = action.get("volatility")
    regime = runtime.regime(day, market_id)
    coefficient, expected, realised = _scores(runtime, market_id, day, wide, row)
    return Night(
        day=day,
        regime="unknown" if regime is None else str(regime["label"]),
        earned=earned,
        volatility=None if yearly is None else float(yearly) / math.sqrt(SESSIONS_PER_YEAR),
        value_at_risk=_value_at_risk(runtime, market_id, day),
        coefficient=coefficient,
        expected=expected,
        realised=realised,
    )


def _value_at_risk(runtime: RuntimeDb, market_id: str, day: date) -> dict[str, float]:
    kept = runtime.rows("risk_reports", as_of_date=day, market_id=market_id)
    told: Any = kept[0]["report"] if kept else {}
    return {
        f"{kind} {level}": float(loss["var"])
        for kind in ("parametric", "historical")
        for level, loss in told.get(kind, {}).items()
    }


def _scores(
    runtime: RuntimeDb, market_id: str, day: date, wide: Wide, row: int
) -> tuple[float | None, float | None, float | None]:
    month = wide["ret_1d"][row + 1 : row + 1 + HORIZON]
    rows = runtime.scores(day, market_id)
    places = {name: place for place, name in enumerate(wide.instruments)}
    rows = [one for one in rows if one["instrument_id"] in places]
    if len(month) < HORIZON or len(rows) < 3:
        return None, None, None
    earned = np.prod(1.0 + np.nan_to_num(month, nan=0.0), axis=0) - 1.0
    after = earned[[places[one["instrument_id"]] for one in rows]]
    score = np.array([one["score"] for one in rows], dtype=np.float64)
    expected = np.array([one["expected_return"] for one in rows], dtype=np.float64)
    labels = np.array([one["label"] for one in rows])
    return (
        rank_correlation(score, after),
        _difference(expected, labels),
        _difference(after, labels),
    )


def _difference(values: FloatArray, labels: np.ndarray) -> float | None:
    best, worst = values[labels == "attractive"], values[labels == "unattractive"]
    return float(best.mean() - worst.mean()) if len(best) and len(worst) else None


def _said(found: Sequence[Night]) -> dict[str, Json]:
    held = [night for night in found if night.earned is not None]
    earned = np.array([night.earned for night in held], dtype=np.float64)
    return {
        "nights": len(found),
        "returns": _returns(earned),
        "volatility": _volatility(held),
        "value_at_risk": _exceedances(held),
        "scores": _ranking(found),
    }


def _returns(earned: FloatArray) -> Json:
    if not len(earned):
        return {"nights": 0}
    spread = float(earned.std(ddof=1)) if len(earned) > 1 else None
    return {
        "nights": len(earned),
        "mean_daily": rounded(float(earned.mean())),
        "mean_error": None if spread is None else rounded(spread / math.sqrt(len(earned))),
        "worst": rounded(float(earned.min())),
        "best": rounded(float(earned.max())),
    }


def _volatility(held: Sequence[Night]) -> Json:
    """1 = losses and gains are as large as was predicted; above, the desk took more risk than it said."""
    both = [(night.earned, night.volatility) for night in held if night.volatility]
    if not both:
        return {"nights": 0}
    ratios = np.array([(earned or 0.0) / (predicted or 1.0) for earned, predicted in both])
    size = math.sqrt(float((ratios**2).mean()))
    return {
        "nights": len(both),
        "predicted_annual": rounded(
            float(np.mean([predicted for _, predicted in both])) * math.sqrt(SESSIONS_PER_YEAR)
        ),
        "realised_over_predicted": rounded(size),
        # Of a root mean square of n independent normal values.
        "error": rounded(size / math.sqrt(2.0 * len(both))),
    }


def _exceedances(held: Sequence[Night]) -> list[Json]:
    told: list[Json] = []
    for name in sorted({name for night in held for name in night.value_at_risk}):
        seen = [night for night in held if name in night.value_at_risk]
        over = sum((night.earned or 0.0) < -night.value_at_risk[name] for night in seen)
        test = kupiec(over, len(seen), float(name.split()[1]))
        told.append(
            {
                "measure": name,
                "nights": len(seen),
                "exceeded": over,
                "expected": rounded(test.expected),
                "p_value": rounded(test.p_value) if len(seen) >= FEW else None,
            }
        )
    return told


def _ranking(found: Sequence[Night]) -> Json:
    """Months of neighbouring nights overlap, so the error counts one night in `HORIZON` as a sample."""
    known = [night for night in found if night.coefficient is not None]
    if not known:
        return {"nights": 0, "note": f"no month has passed since a score was given ({HORIZON} sessions)"}
    values = np.array([night.coefficient for night in known], dtype=np.float64)
    independent = len(known) / HORIZON
    spread = float(values.std(ddof=1)) if len(known) > 1 else None
    both = [(n.expected, n.realised) for n in known if n.expected is not None and n.realised is not None]
    return {
        "nights": len(known),
        "independent_months": rounded(independent),
        "rank_correlation": rounded(float(values.mean())),
        "error": None if spread is None or independent < 2 else rounded(spread / math.sqrt(independent)),
        "expected_spread": rounded(float(np.mean([one for one, _ in both]))) if both else None,
        "realised_spread": rounded(float(np.mean([one for _, one in both]))) if both else None,
    }
