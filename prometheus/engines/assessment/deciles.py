"""Did high scores earn more than low ones? Deciles of the score against the returns that followed, walk-forward.

Each session is scored with what was known on it: its own families, and weights learnt from the months that had ended by
then, so that its number stays the same if everything later is deleted. It is a ranking exercise and no portfolio: equal
weights, no costs, every instrument tradable at the close. A panel of survivors colours every number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import numpy as np

from prometheus.core.errors import UserError
from prometheus.core.ids import Json
from prometheus.engines.assessment.config import AssessmentConfig
from prometheus.engines.assessment.engine import SURVIVORSHIP
from prometheus.engines.assessment.families import YEAR, forward_return
from prometheus.engines.assessment.learning import months_of, rank_correlation, ranks
from prometheus.engines.assessment.reading import RETURNS, read
from prometheus.engines.assessment.scoring import family_weights, score_of
from prometheus.engines.outcome import rounded
from prometheus.stores.historical import HistoricalView
from prometheus.stores.wide import FloatArray

TENTHS = 10
# Without regimes every session is judged as a normal one.
NORMAL: Mapping[str, float] = {"calm": 0.0, "normal": 1.0, "stressed": 0.0}


@dataclass(frozen=True, slots=True, eq=False)
class Deciles:
    """`returns` (sessions, 10): each decile's mean return from its session to the next one asked for, lowest score first.

    `coefficients` are the rank correlations of score and return; `members` (sessions, instruments) holds deciles from 0 to
    9, -1 = none.
    """

    sessions: tuple[date, ...]
    returns: FloatArray
    coefficients: FloatArray
    members: FloatArray

    @property
    def means(self) -> FloatArray:
        """Mean return of each decile a period."""
        means: FloatArray = self.returns.mean(axis=0)
        return means

    @property
    def spread(self) -> FloatArray:
        """Return of the best decile less the worst, a session."""
        return self.returns[:, -1] - self.returns[:, 0]

    @property
    def monotonicity(self) -> float:
        """Spearman's correlation of a decile's number and its mean return: 1 = each earned more than the one below it."""
        found = rank_correlation(np.arange(TENTHS, dtype=np.float64), self.means)
        assert found is not None
        return found

    def turnover(self, decile: int) -> float | None:
        """Mean share of a decile's names that were not in it a session before; None for a single session."""
        shares = [
            1.0 - float(((before == decile) & (after == decile)).sum() / (after == decile).sum())
            for before, after in pairwise(self.members)
        ]
        return math.fsum(shares) / len(shares) if shares else None

    def report(self) -> dict[str, Json]:
        """The same as numbers to keep: means a period, t-statistics of periods taken as independent, and the warning."""
        best, worst = self.turnover(TENTHS - 1), self.turnover(0)
        return {
            "first": self.sessions[0].isoformat(),
            "last": self.sessions[-1].isoformat(),
            "periods": len(self.sessions),
            "deciles": [rounded(float(value)) for value in self.means],
            "spread": rounded(float(self.spread.mean())),
            "spread_t": t_statistic(self.spread),
            "positive_share": rounded(float((self.spread > 0.0).mean())),
            "monotonicity": rounded(self.monotonicity),
            "information_coefficient": rounded(float(self.coefficients.mean())),
            "information_coefficient_t": t_statistic(self.coefficients),
            "turnover_best": None if best is None else rounded(best),
            "turnover_worst": None if worst is None else rounded(worst),
            "note": SURVIVORSHIP,
        }


def deciles(
    view: HistoricalView,
    sessions: Sequence[date],
    config: AssessmentConfig,
    probabilities: Mapping[date, Mapping[str, float]] | None = None,
) -> Deciles:
    """The deciles of each of `sessions` (ascending) but the last, against the return until the next of them.

    `probabilities` are the regime's of each session; without them all are judged as normal. Raises `UserError` if there
    are fewer than two sessions, or one is not in the view with a year before it.
    """
    reading = read(view, view.dates(RETURNS)[0])
    evidence = reading.evidence
    rows = _rows_of(sessions, evidence.days)
    months = months_of(evidence, config.winsorise)
    returns, coefficients, members = [], [], []
    for session, row, until in zip(sessions, rows, rows[1:], strict=False):
        regime = NORMAL if probabilities is None else probabilities[session]
        score = score_of(evidence, row, months, family_weights(config, regime), config).score.total
        ahead = forward_return(evidence, row, until)
        known = np.flatnonzero(~(np.isnan(score) | np.isnan(ahead)))
        if len(known) < TENTHS:
            raise UserError(
                f"{session} has {len(known)} instruments with a score and a return after it",
                allowed=f"at least {TENTHS}",
            )
        tenth = np.full(len(score), -1.0)
        tenth[known] = np.floor(ranks(score[known]) * TENTHS / len(known))
        returns.append([float(ahead[tenth == one].mean()) for one in range(TENTHS)])
        coefficient = rank_correlation(score, ahead)
        assert coefficient is not None
        coefficients.append(coefficient)
        members.append(tenth)
    return Deciles(tuple(sessions[:-1]), np.array(returns), np.array(coefficients), np.array(members))


def t_statistic(values: FloatArray) -> float | None:
    """Mean over its standard error, as if the values were independent; None for fewer than two or no variance."""
    if len(values) < 2:
        return None
    spread = float(values.std(ddof=1))
    return rounded(float(values.mean()) / spread * math.sqrt(len(values))) if spread > 0.0 else None


def _rows_of(sessions: Sequence[date], days: Sequence[date]) -> list[int]:
    places = {day: row for row, day in enumerate(days)}
    wrong = [day for day in sessions if places.get(day, -1) + 1 < YEAR]
    if wrong or len(sessions) < 2 or list(sessions) != sorted(set(sessions)):
        told = f"{wrong[0]} is not among them" if wrong else f"{len(sessions)} sessions were given"
        first = days[YEAR - 1] if len(days) >= YEAR else None
        raise UserError(
            f"deciles cannot be formed: {told}",
            allowed="two or more different sessions in order, "
            + (
                f"from {first} to {days[-1]}"
                if first
                else "with a year of returns before them: there is none"
            ),
        )
    return [places[day] for day in sessions]
