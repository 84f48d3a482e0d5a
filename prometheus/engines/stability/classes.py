"""NONE, WATCHLIST or SOFT_TARGET: thresholds, what holds a class in place, and the reason in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus.engines.stability.config import StabilityConfig

NONE, WATCHLIST, SOFT_TARGET = "NONE", "WATCHLIST", "SOFT_TARGET"
SEVERITY = (NONE, WATCHLIST, SOFT_TARGET)
WORDS = {WATCHLIST: "the watchlist", SOFT_TARGET: "soft targets"}


@dataclass(frozen=True, slots=True)
class Standing:
    """An entity as the thresholds see it: `components` and `fragility` in [0, 1], 1 = most fragile.

    `more_fragile` is the share of the market's instruments that are more fragile; None for who is no instrument.
    """

    fragility: float
    components: Mapping[str, float]
    more_fragile: float | None = None


def classify(standing: Standing, before: str | None, config: StabilityConfig) -> tuple[str, str]:
    """The class and its reason. `before` is the class of the last session, if it is recent."""
    told = _told(standing)
    held = SEVERITY.index(before) if before in SEVERITY else 0
    for label, threshold in ((SOFT_TARGET, config.soft_target), (WATCHLIST, config.watchlist)):
        if _within(standing, threshold.level, threshold.share):
            return (
                label,
                f"{told}; {WORDS[label]} begin at {_words(standing, threshold.level, threshold.share)}",
            )
        level, share = threshold.level - config.margin, threshold.share * (1.0 + config.buffer)
        if held >= SEVERITY.index(label) and _within(standing, level, share):
            return (
                label,
                f"{told}; kept from the last session: it ends below {_words(standing, level, share)}",
            )
    watch = config.watchlist
    return NONE, f"{told}; {WORDS[WATCHLIST]} begins at {_words(standing, watch.level, watch.share)}"


def _within(standing: Standing, level: float, share: float) -> bool:
    is_ranked = standing.more_fragile is None or standing.more_fragile < share
    return is_ranked and standing.fragility >= level


def _told(standing: Standing) -> str:
    highest = sorted(standing.components.items(), key=lambda item: (-item[1], item[0]))[:2]
    most = " and ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in highest)
    rank = "" if standing.more_fragile is None else f", {standing.more_fragile:.0%} of the market is more so"
    return f"fragility {standing.fragility:.2f}{rank}, most in {most}"


def _words(standing: Standing, level: float, share: float) -> str:
    rank = "" if standing.more_fragile is None else f" within the most fragile {share:.0%}"
    return f"{level:.2f}{rank}"
