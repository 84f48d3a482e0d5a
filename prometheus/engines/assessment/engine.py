"""The assessment engine: scores, expected returns and labels for the next month, with each family's contribution.

Families and their sources are in `families`; what earlier months taught about them, in `learning`; how they become
one score, in `combination`. The score is priced by Grinold's rule: expected return = information coefficient x volatility
x score ("Alpha is volatility times IC times score", JPM 1994), the coefficient measured walk-forward on this same score.
Expected returns are relative to the cross-section. The panel of the reference data holds only the companies that were in
the index at its end (survivorship bias): losers that came back are in it and those that did not are absent, which should
flatter reversal and whatever buys risk, and slight low volatility and fragility.

Confidence in [0, 1] is a product of three shares: how far an instrument's families pull the same way, how many of them
are known, and on how many sessions of the last month or year (the worse) it had a clean price. It is a measure of
consistency, not a probability.
"""

from __future__ import annotations

import math
from datetime import date

import numpy as np

from prometheus.core.ids import Json
from prometheus.engines.assessment.config import AssessmentConfig
from prometheus.engines.assessment.families import FAMILIES, MONTH, YEAR
from prometheus.engines.assessment.learning import InformationCoefficient, information_coefficient, months_of
from prometheus.engines.assessment.reading import RETURNS, Reading, read
from prometheus.engines.assessment.scoring import Scored, family_weights, score_of
from prometheus.engines.configs import config_json
from prometheus.engines.engine import Engine, Inputs
from prometheus.engines.outcome import (
    Outcome,
    ShortHistoryError,
    TableRows,
    decision_of,
    decision_ref,
    digest,
    historical_ref,
    rounded,
)
from prometheus.stores.historical import HistoricalView
from prometheus.stores.runtime import Row
from prometheus.stores.wide import FloatArray

ENGINE = "assessment"
ATTRACTIVE, NEUTRAL, UNATTRACTIVE = "attractive", "neutral", "unattractive"
SURVIVORSHIP = "the panel may hold survivors only: what is measured on it could not have been earned"
LONGEST_MONTH = 23  # sessions


def run(as_of_date: date, inputs: Inputs, config: AssessmentConfig) -> Outcome:
    """Scores of all instruments traded on `as_of_date`; raises `ShortHistoryError` without a year of sessions."""
    regime = decision_of(inputs.runtime, "regime", as_of_date, inputs.market_id)
    regime_weights = family_weights(config, regime["proposed_action"]["probabilities"])
    reading = _read(inputs.view, as_of_date, config)
    evidence = reading.evidence
    months = months_of(evidence, config.winsorise)
    scored = score_of(evidence, len(evidence.days) - 1, months, regime_weights, config)
    coefficient = information_coefficient(months, scored.given, config)
    # A score that has ranked wrongly is no reason to bet against it: it earns nothing.
    used = max(coefficient.used, 0.0)
    rows = _rows(reading, scored, used, config.label_share)
    told = _told(rows, scored, coefficient, used)
    scores_digest = digest([[row["instrument_id"], row["score"], row["expected_return"]] for row in rows])
    best = sorted(rows, key=lambda row: (-row["score"], row["instrument_id"]))[:10]
    key = {"as_of_date": as_of_date, "market_id": inputs.market_id}
    refs = (historical_ref(table, frame, as_of_date) for table, frame in reading.frames.items())
    return Outcome(
        engine=ENGINE,
        market_id=inputs.market_id,
        as_of_date=as_of_date,
        config=config_json(config),
        tables=(TableRows("instrument_scores", key, rows),),
        input_refs=(decision_ref(regime), *(ref for ref in refs if ref["rows"])),
        action={**told, "scores": scores_digest, "best": [row["instrument_id"] for row in best]},
        summary={**told, "note": SURVIVORSHIP},
    )


def _read(view: HistoricalView, as_of_date: date, config: AssessmentConfig) -> Reading:
    days = view.dates(RETURNS)
    if len(days) < YEAR or days[-1] != as_of_date:
        raise ShortHistoryError(
            f"instruments cannot be assessed on {as_of_date}: {len(days)} sessions of returns"
            + (f", the last {days[-1]}" if days else ""),
            allowed=f"at least {YEAR}, up to {as_of_date}",
            hint="choose a session at least a year after the first price",
        )
    # The newest month-end is at most two months ago, and each needs the year before it.
    return read(view, days[max(len(days) - YEAR - LONGEST_MONTH * (config.evidence_months + 2), 0)])


def _told(
    rows: list[Row], scored: Scored, coefficient: InformationCoefficient, used: float
) -> dict[str, Json]:
    learnt = scored.learnt
    return {
        "scored": len(rows),
        "labels": {name: sum(row["label"] == name for row in rows) for name in (ATTRACTIVE, UNATTRACTIVE)},
        "information_coefficient": {
            "measured": None if coefficient.measured is None else rounded(coefficient.measured),
            "months": coefficient.months,
            "used": rounded(used),
        },
        "weights": _by_family(scored.weights),
        "learnt": {
            "months": learnt.months,
            "prior_share": rounded(learnt.prior_share),
            "factors": _by_family(learnt.factors),
        },
        "absent": list(scored.absent),
    }


def _by_family(values: FloatArray) -> dict[str, Json]:
    return {name: rounded(float(value)) for name, value in zip(FAMILIES, values, strict=True)}


def _rows(reading: Reading, scored: Scored, coefficient: float, label_share: float) -> list[Row]:
    score, volatility = scored.score, reading.evidence.volatility[-1]
    there = ~(np.isnan(score.total) | np.isnan(volatility))
    expected = coefficient * volatility * math.sqrt(MONTH / YEAR) * score.total
    confidence = score.agreement * score.coverage * clean_share(reading.evidence.returns)
    low, high = (
        np.quantile(score.total[there], [label_share, 1.0 - label_share]) if there.any() else (0.0, 0.0)
    )
    rows = []
    for place in np.flatnonzero(there):
        value = float(score.total[place])
        parts = _by_family(score.parts[:, place])
        rows.append(
            {
                "instrument_id": reading.instruments[place],
                "score": rounded(value),
                "expected_return": rounded(float(expected[place])),
                "confidence": rounded(float(confidence[place])),
                "label": ATTRACTIVE if value >= high else UNATTRACTIVE if value <= low else NEUTRAL,
                "contributions": {name: part for name, part in parts.items() if name not in scored.absent},
            }
        )
    return rows


def clean_share(returns: FloatArray) -> FloatArray:
    """Share of the last month's or the last year's sessions, the worse, on which each instrument had a clean price.

    Rows that the validation put aside are not in `returns` (sessions, instruments), so they count as missing.
    """
    known = ~np.isnan(returns[-YEAR:])
    worse: FloatArray = np.minimum(known.mean(axis=0), known[-MONTH:].mean(axis=0))
    return worse


engine = Engine(ENGINE, AssessmentConfig, run)
