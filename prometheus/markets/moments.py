"""What a market is doing at an instant, and when that next changes.

break        inside a session's own pause: the state stays SESSION, the flag is set
SESSION      open <= at < close
PRE_OPEN     within the market's pre-open buffer before an open (wins over POST_CLOSE where the two overlap)
POST_CLOSE   within the post-close buffer after a close
HOLIDAY      none of these, and the exchange's calendar day is no session label (weekends, holidays)
OVERNIGHT    none of these, on a calendar day that is one
"""

from __future__ import annotations

from enum import Enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prometheus.markets.schedule import Schedule


class MarketState(Enum):
    """What a market is doing; the value is the name."""

    HOLIDAY = "HOLIDAY"
    PRE_OPEN = "PRE_OPEN"
    SESSION = "SESSION"
    POST_CLOSE = "POST_CLOSE"
    OVERNIGHT = "OVERNIGHT"

    def __str__(self) -> str:
        return self.value


class Moment:
    """A market at an instant: its state, whether a break is on, and the session meant.

    `session` is the running session, the one about to open (PRE_OPEN) or the one just closed (POST_CLOSE), else None.
    """

    __slots__ = ("is_in_break", "session", "state")

    def __init__(self, state: MarketState, session: int | None = None, is_in_break: bool = False) -> None:
        self.state = state
        self.session = session
        self.is_in_break = is_in_break

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Moment) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"Moment({self.state.name}, session={self.session}, is_in_break={self.is_in_break})"

    def _key(self) -> tuple[MarketState, bool]:
        """What makes two moments the same to an observer."""
        return self.state, self.is_in_break


def moment_at(schedule: Schedule, at_us: int) -> Moment:
    """The market at the instant; days outside of the schedule count as closed (see `Schedule.needed_days`)."""
    pre_open = post_close = None
    for day in schedule.labels_near(at_us, schedule.pre_open_us, schedule.post_close_us):
        hours = schedule.hours(day) if schedule.covers(day) else None
        if hours is None:
            continue
        if hours.open_us <= at_us < hours.close_us:
            return Moment(MarketState.SESSION, day, hours.is_in_break(at_us))
        if pre_open is None and hours.open_us - schedule.pre_open_us <= at_us < hours.open_us:
            pre_open = day
        if hours.close_us <= at_us < hours.close_us + schedule.post_close_us:
            post_close = day
    if pre_open is not None:
        return Moment(MarketState.PRE_OPEN, pre_open)
    if post_close is not None:
        return Moment(MarketState.POST_CLOSE, post_close)
    local_day = schedule.local_day(at_us)
    is_label = schedule.covers(local_day) and schedule.is_session(local_day)
    return Moment(MarketState.OVERNIGHT if is_label else MarketState.HOLIDAY)


def next_transition_us(schedule: Schedule, at_us: int) -> int | None:
    """The first instant strictly after `at_us` at which state or break flag differ; None beyond the schedule."""
    now = moment_at(schedule, at_us)
    while edges := _edges_after(
        schedule, at_us
    ):  # ends with the schedule: each turn is at least a day further on
        for edge in edges:
            first, last = schedule.needed_days(edge)
            if not (schedule.covers(first) and schedule.covers(last)):
                return None
            if moment_at(schedule, edge) != now:
                return edge
        at_us = edges[-1]
    return None


def _edges_after(schedule: Schedule, at_us: int) -> list[int]:
    """Every instant up to the second session ahead at which the state could change, in order."""
    local_day = schedule.local_day(at_us)
    ahead = schedule.next_session(local_day)
    labels = [
        schedule.previous_session(local_day),
        local_day,
        ahead,
        None if ahead is None else schedule.next_session(ahead),
    ]
    edges: set[int] = set()
    for day in labels:
        hours = schedule.hours(day) if day is not None and schedule.covers(day) else None
        if day is None or hours is None:
            continue
        edges.update((schedule.local_midnight_us(day), schedule.local_midnight_us(day + 1)))
        edges.update((hours.open_us - schedule.pre_open_us, hours.open_us))
        edges.update((hours.close_us, hours.close_us + schedule.post_close_us))
        edges.update(edge for pause in hours.breaks_us for edge in pause)
    return sorted(edge for edge in edges if edge > at_us)
