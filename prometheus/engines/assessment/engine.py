"""The assessment engine: scores, expected returns and labels for the next month, with each family's contribution.

Families and their sources are in `families`; how they are combined and priced, in `combination`. Expected returns are
relative to the cross-section. The panel of the reference data holds only the companies that were in the index at
its end, so measured coefficients flatter every family (survivorship bias).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple
from datetime import date

import numpy as np
import polars as pl

from prometheus.core.ids import Json
from prometheus.engines.assessment.combination import Score, combine, information_coefficient
from prometheus.engines.assessment.config import AssessmentConfig
from prometheus.engines.assessment.families import FAMILIES, MONTH, YEAR, Evidence, raw, standardised
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
from prometheus.engines.regime.config import LABELS
from prometheus.stores.historical import HistoricalView
from prometheus.stores.runtime import Row
from prometheus.stores.wide import FloatArray, aligned, widen

ENGINE = "assessment"
RETURNS, VOLATILITY, PRICES = "returns_daily", "volatility_daily", "prices_daily"
ATTRACTIVE, NEUTRAL, UNATTRACTIVE = "attractive", "neutral", "unattractive"
SURVIVORSHIP = "the panel may hold survivors only: measured coefficients flatter"


def run(as_of_date: date, inputs: Inputs, config: AssessmentConfig) -> Outcome:
    """Scores of all instruments traded on `as_of_date`; raises `ShortHistoryError` without a year of sessions."""
    view, runtime, market_id = inputs.view, inputs.runtime, inputs.market_id
    regime = decision_of(runtime, "regime", as_of_date, market_id)
    weights = family_weights(config, regime["proposed_action"]["probabilities"])
    frames, evidence, instruments = _read(view, as_of_date, config)
    today = raw(evidence, len(evidence.returns) - 1)
    traded = ~np.isnan(evidence.returns[-1])
    score = combine(
        standardised(np.where(traded, today, np.nan), config.winsorise), weights, config.minimum_families
    )
    coefficient = information_coefficient(
        evidence,
        weights,
        months=config.evidence_months,
        prior=config.prior_ic,
        prior_months=config.prior_months,
        winsorise=config.winsorise,
        minimum_families=config.minimum_families,
    )
    # A score that has ranked wrongly is no reason to bet against it: it earns nothing.
    used = max(coefficient.used, 0.0)
    rows = _rows(instruments, score, evidence.volatility[-1], used, config.label_share)
    told: dict[str, Json] = {
        "scored": len(rows),
        "labels": {name: sum(row["label"] == name for row in rows) for name in (ATTRACTIVE, UNATTRACTIVE)},
        "information_coefficient": {
            "measured": None if coefficient.measured is None else rounded(coefficient.measured),
            "months": coefficient.months,
            "used": rounded(used),
        },
        "weights": {name: rounded(float(w)) for name, w in zip(FAMILIES, weights, strict=True)},
    }
    scores_digest = digest([[row["instrument_id"], row["score"], row["expected_return"]] for row in rows])
    best = sorted(rows, key=lambda row: (-row["score"], row["instrument_id"]))[:10]
    key = {"as_of_date": as_of_date, "market_id": market_id}
    return Outcome(
        engine=ENGINE,
        market_id=market_id,
        as_of_date=as_of_date,
        config=config_json(config),
        tables=(TableRows("instrument_scores", key, rows),),
        input_refs=(
            decision_ref(regime),
            *(historical_ref(table, frame, as_of_date) for table, frame in frames.items()),
        ),
        action={**told, "scores": scores_digest, "best": [row["instrument_id"] for row in best]},
        summary={**told, "note": SURVIVORSHIP},
    )


def family_weights(config: AssessmentConfig, probabilities: Mapping[str, float]) -> FloatArray:
    """The families' weights under the regime probabilities, summing to 1."""
    mixed = np.zeros(len(FAMILIES))
    for label in LABELS:
        weights = np.array(astuple(getattr(config, label)))
        mixed += probabilities[label] * weights / max(weights.sum(), 1e-12)
    mixed /= mixed.sum()
    return mixed


def _read(
    view: HistoricalView, as_of_date: date, config: AssessmentConfig
) -> tuple[dict[str, pl.DataFrame], Evidence, tuple[str, ...]]:
    days = view.dates(RETURNS)
    if len(days) < YEAR or days[-1] != as_of_date:
        raise ShortHistoryError(
            f"instruments cannot be assessed on {as_of_date}: {len(days)} sessions of returns"
            + (f", the last {days[-1]}" if days else ""),
            allowed=f"at least {YEAR}, up to {as_of_date}",
            hint="choose a session at least a year after the first price",
        )
    since = days[max(len(days) - YEAR - MONTH * config.evidence_months, 0)]
    wanted = {RETURNS: "ret_1d", VOLATILITY: "vol_63d", PRICES: "dollar_volume"}
    frames = {
        table: view.read(table, since=since, columns=["date", "instrument_id", column])
        for table, column in wanted.items()
    }
    returns, volatility, dollars = (widen(frames[table], [column]) for table, column in wanted.items())
    evidence = Evidence(
        returns["ret_1d"],
        aligned(volatility, returns)["vol_63d"],
        aligned(dollars, returns)["dollar_volume"],
    )
    return frames, evidence, returns.instruments


def _rows(
    instruments: tuple[str, ...],
    score: Score,
    volatility: FloatArray,
    coefficient: float,
    label_share: float,
) -> list[Row]:
    scored = ~(np.isnan(score.total) | np.isnan(volatility))
    monthly = volatility * math.sqrt(MONTH / YEAR)
    expected = coefficient * monthly * score.total
    low, high = (
        np.quantile(score.total[scored], [label_share, 1.0 - label_share]) if scored.any() else (0.0, 0.0)
    )
    rows = []
    for place in np.flatnonzero(scored):
        value = float(score.total[place])
        label = ATTRACTIVE if value >= high else UNATTRACTIVE if value <= low else NEUTRAL
        parts = {
            name: rounded(float(part)) for name, part in zip(FAMILIES, score.parts[:, place], strict=True)
        }
        rows.append(
            {
                "instrument_id": instruments[place],
                "score": rounded(value),
                "expected_return": rounded(float(expected[place])),
                "confidence": rounded(float(score.agreement[place])),
                "label": label,
                "contributions": parts,
            }
        )
    return rows


engine = Engine(ENGINE, AssessmentConfig, run)
