"""Quantiles of past durations."""

from __future__ import annotations

from collections.abc import Sequence


def quantile(ascending: Sequence[int], share: float) -> int:
    """The `share` quantile of sorted values, between neighbours in proportion (type 7 of Hyndman and Fan, 1996)."""
    assert ascending, "a quantile of nothing"
    place = share * (len(ascending) - 1)
    below = int(place)
    above = min(below + 1, len(ascending) - 1)
    return round(ascending[below] + (ascending[above] - ascending[below]) * (place - below))
