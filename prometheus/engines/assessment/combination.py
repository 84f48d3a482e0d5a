"""From families to one score: the weighted sum of their z-scores, and how far they agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prometheus.stores.wide import BoolArray, FloatArray

FEWEST_SCORED = 3


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """`total` (instruments) is the sum of `parts` (families, instruments); mean 0, deviation 1; NaN = not scored.

    `agreement` in [0, 1] is |sum| / sum of |parts|: 1 = all families pull the same way, 0 = they cancel.
    `coverage` in [0, 1] is the share of the families with weight that are known.
    """

    total: FloatArray
    parts: FloatArray
    agreement: FloatArray
    coverage: FloatArray


def combine(scores: FloatArray, weights: FloatArray, minimum_families: int) -> Score:
    """Weighted sum of the families' z-scores (families, instruments), standardised again; a missing family counts 0."""
    known = ~np.isnan(scores)
    counted = known[weights > 0.0].sum(axis=0)
    families = int((weights > 0.0).sum())
    scored: BoolArray = counted >= min(minimum_families, families)
    if not families or scored.sum() < FEWEST_SCORED:
        nothing = np.full(scores.shape[1], np.nan)
        return Score(nothing, np.full_like(scores, np.nan), nothing, nothing)
    parts = np.where(known, scores, 0.0) * (weights / weights.sum())[:, None]
    strength = np.abs(parts).sum(axis=0)
    agreement = np.abs(parts.sum(axis=0)) / np.where(strength > 0.0, strength, 1.0)
    # Each family is centred on the instruments scored, so that the parts still sum to the total.
    parts = parts - parts[:, scored].mean(axis=1, keepdims=True)
    spread = float(parts[:, scored].sum(axis=0).std())
    if spread > 0.0:
        parts = parts / spread
    parts = np.where(scored, parts, np.nan)
    return Score(
        parts.sum(axis=0),
        parts,
        np.where(scored, agreement, np.nan),
        np.where(scored, counted / families, np.nan),
    )
