"""Returns over 1, 5 and 21 sessions: simple, compounded from daily returns."""

from __future__ import annotations

from prometheus.features.rolling import compounded
from prometheus.stores.wide import FloatArray

TABLE = "returns_daily"
HORIZONS = (1, 5, 21)

# Sessions before the first wanted one that the values depend on.
LOOKBACK = max(HORIZONS) - 1


def compute(daily: FloatArray) -> dict[str, FloatArray]:
    """`ret_1d`, `ret_5d`, `ret_21d` of daily simple returns (days, instruments); NaN where there is none."""
    return {f"ret_{horizon}d": compounded(daily, horizon) if horizon > 1 else daily for horizon in HORIZONS}
