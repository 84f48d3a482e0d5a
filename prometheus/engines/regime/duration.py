"""When does a state become the regime? Not on its first day, unless it is an alarm.

A state is the official regime after `minimum` sessions in a row as the likeliest. Rising stress does not wait: if states
more volatile than the official one together have at least the probability `alarm`, the likeliest is official at once. So
a regime is entered quickly upward, left slowly downward, and a stressed one lasts at least `minimum` sessions.

The rule is applied to the path that tonight's fit filtered from all history, not to what earlier nights had said: a
night alone answers as the last of many nights does.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from prometheus.stores.wide import FloatArray

StateArray = npt.NDArray[np.intp]


def official(path: FloatArray, minimum: int, alarm: float) -> StateArray:
    """The official state of every session of `path`, the filtered probabilities (sessions, states by volatility)."""
    likeliest = path.argmax(axis=1)
    found = np.empty(len(path), dtype=np.intp)
    state, streak = int(likeliest[0]), 0
    for row, raw in enumerate(likeliest):
        streak = streak + 1 if row and raw == likeliest[row - 1] else 1
        is_alarm = raw > state and path[row, state + 1 :].sum() >= alarm
        if streak >= minimum or is_alarm:
            state = int(raw)
        found[row] = state
    return found


def since(states: StateArray) -> int:
    """The position of the first session of the run of equal states that the last one belongs to."""
    changes = np.flatnonzero(np.diff(states))
    return int(changes[-1]) + 1 if len(changes) else 0
