"""The session language as values: sessions, moments of them, and what starts a run.

    moment   :=  session-expression .open | .close   |  at(clock, zone)        then  + "30min" | - "90min"
    trigger  :=  moment | every(...) | after_run(...) | barrier(...)

`str` of a value is exactly the Python that makes it; `reading.parse` reads that text back. Nothing here knows a calendar:
`resolving.resolve` turns a moment of a given session into an instant.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from prometheus.core.errors import UserError
from prometheus.core.ids import check_name
from prometheus.core.instants import DAY_US, MINUTE_US, format_duration, parse_duration
from prometheus.pipelines.wallclock import check_zone

Duration = str | timedelta
EdgeName = Literal["open", "close"]
Period = Literal["week", "month", "quarter"]
Gap = Literal["after", "before", "skip"]
Weekday = Literal["MON", "TUE", "WED", "THU", "FRI"]
Roll = Literal["previous", "next"]
Fold = Literal["first", "second"]
WhichSession = Literal["same", "previous", "latest_closed"]

MARKET_ID = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,49}")
WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI")
MARKET_STATES = ("HOLIDAY", "PRE_OPEN", "SESSION", "POST_CLOSE", "OVERNIGHT")
SHIFT_AT_MOST = 1_000  # sessions: four years
OFFSET_AT_MOST_US = 400 * DAY_US
MEMBERS_AT_MOST = 500  # pipelines of one barrier

_CLOCK = re.compile(
    r"\s*(?:[DT]\s*(?:([+-])\s*(\d{1,3}))?\s+)?(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\s+([A-Za-z]\S*))?\s*"
)


@dataclass(frozen=True, slots=True, repr=False)
class Session:
    """A session, counted from the label D of the run: of the pipeline's own market, or of `market_id`.

    Shift 0 is the session labelled D or, where the market has none, the next one after D; negative shifts count the
    sessions strictly before D, positive ones those after shift 0: session(-1) < D <= session(0) < session(1).
    """

    market_id: str | None = None  # None = the pipeline's market, where D is always a session
    shift: int = 0

    @property
    def open(self) -> Edge:
        return Edge(self, "open")

    @property
    def close(self) -> Edge:
        return Edge(self, "close")

    @property
    def next(self) -> Session:
        return self(1)

    @property
    def previous(self) -> Session:
        return self(-1)

    def __call__(self, n: int) -> Session:
        """The session `n` sessions later (earlier if negative)."""
        shift = self.shift + _whole("a shift of sessions", n)
        if abs(shift) > SHIFT_AT_MOST:
            raise UserError(f"a shift of {shift} sessions is too far", allowed=f"at most {SHIFT_AT_MOST:,}")
        return replace(self, shift=shift)

    def session(self, n: int) -> Session:
        """The same as calling it; reads better after `market("XTKS")`."""
        return self(n)

    def __str__(self) -> str:
        if self.market_id is not None:
            return f'market("{self.market_id}")' + (f".session({self.shift})" if self.shift else "")
        return {0: "session", 1: "session.next", -1: "session.previous"}.get(
            self.shift, f"session({self.shift})"
        )

    __repr__ = __str__


@dataclass(frozen=True, slots=True, repr=False)
class TradingDayOf:
    """The n-th session of the week (Monday to Sunday), month or quarter that holds the run's label.

    With a weekday, the n-th such weekday of the month, rolled to the session before (or after) where it is none: the
    third Friday is the expiry of index options.
    """

    period: Period
    n: int  # from 1; negative counts from the end: -1 is the last
    weekday: Weekday | None = None  # only with a month
    roll: Roll = "previous"

    @property
    def open(self) -> Edge:
        return Edge(self, "open")

    @property
    def close(self) -> Edge:
        return Edge(self, "close")

    def __str__(self) -> str:
        if self.weekday is None:
            return f'trading_day_of("{self.period}", {self.n})'
        return f'trading_day_of("{self.period}", {self.n}, weekday="{self.weekday}", roll="{self.roll}")'

    __repr__ = __str__


@dataclass(frozen=True, slots=True, repr=False)
class Edge:
    """The open or the close of a session, moved by an offset."""

    of: Session | TradingDayOf
    edge: EdgeName
    offset_us: int = 0

    def __add__(self, duration: Duration) -> Edge:
        return replace(self, offset_us=_moved(self.offset_us, duration, 1))

    def __sub__(self, duration: Duration) -> Edge:
        return replace(self, offset_us=_moved(self.offset_us, duration, -1))

    def __str__(self) -> str:
        return f"{self.of}.{self.edge}{_offset_text(self.offset_us)}"

    __repr__ = __str__


@dataclass(frozen=True, slots=True, repr=False)
class Clock:
    """A wall clock somewhere, `days` calendar days after the run's label, moved by an offset."""

    days: int
    second: int  # of the wall clock's day, 0..86399
    zone: str  # "UTC" or an IANA name
    gap: Gap = "after"  # the clock jumps over this time: take the hour before or after the jump, or skip
    fold: Fold = "first"  # the clock shows this time twice
    offset_us: int = 0

    def __add__(self, duration: Duration) -> Clock:
        return replace(self, offset_us=_moved(self.offset_us, duration, 1))

    def __sub__(self, duration: Duration) -> Clock:
        return replace(self, offset_us=_moved(self.offset_us, duration, -1))

    def __str__(self) -> str:
        minute, second = divmod(self.second, 60)
        clock = f"{minute // 60:02}:{minute % 60:02}" + (f":{second:02}" if second else "")
        day = f"D{self.days:+} " if self.days else ""
        policy = "" if self.zone == "UTC" else f', gap="{self.gap}", fold="{self.fold}"'
        return f'at("{day}{clock}", "{self.zone}"{policy}){_offset_text(self.offset_us)}'

    __repr__ = __str__


@dataclass(frozen=True, slots=True, repr=False)
class Every:
    """Again and again while the pipeline's market is in a state."""

    interval_us: int
    during: str  # one of MARKET_STATES

    def __str__(self) -> str:
        return f'every("{duration_text(self.interval_us)}", during="{self.during}")'

    __repr__ = __str__


@dataclass(frozen=True, slots=True, repr=False)
class AfterRun:
    """When the run of another pipeline is done: for the same label, the session before it, or the latest closed one."""

    pipeline: str
    session: WhichSession = "same"

    def __str__(self) -> str:
        return f'after_run("{self.pipeline}", session="{self.session}")'

    __repr__ = __str__


@dataclass(frozen=True, slots=True, repr=False)
class Barrier:
    """When the runs of several pipelines are done; those whose market is shut on the label are not waited for.

    All expected members release it at once; at the cut-off, `quorum` of them release it degraded.
    """

    pipelines: tuple[str, ...]
    quorum: int  # 1..len(pipelines)
    cutoff: Edge | Clock

    def __str__(self) -> str:
        names = ", ".join(f'"{name}"' for name in self.pipelines)
        return f"barrier([{names}], quorum={self.quorum}, cutoff={self.cutoff})"

    __repr__ = __str__


Moment = Edge | Clock
Trigger = Moment | Every | AfterRun | Barrier
Value = Trigger | Session | TradingDayOf

session = Session()


def market(market_id: str) -> Session:
    """The session of another market that belongs to the run's label; `market_id` as in `TradingCalendar`."""
    return Session(check_market(market_id))


def check_market(market_id: object) -> str:
    """`market_id` if it may be the id of a market, known or not, else `UserError`."""
    if isinstance(market_id, str) and MARKET_ID.fullmatch(market_id):
        return market_id
    raise UserError(f"{market_id!r} is not a market id", allowed='text such as "US_EQ" or "XLON"')


def trading_day_of(
    period: Period, n: int, weekday: Weekday | None = None, roll: Roll = "previous"
) -> TradingDayOf:
    """The n-th session of the "week", "month" or "quarter"; n from 1, or from -1 backwards from the last one.

    With a `weekday` ("MON" to "FRI"), the n-th such day of the month, n up to 4; where that is no session, the one
    before it, or with roll="next" the one after: `trading_day_of("month", 3, weekday="FRI")` is the expiry Friday.
    """
    limit = {"week": 7, "month": 31, "quarter": 92}
    _choice("a period", period, tuple(limit))
    if not 1 <= abs(_whole("the number of a trading day", n)) <= limit[period]:
        raise UserError(
            f"a {period} has no trading day number {n}",
            allowed=f"1 to {limit[period]}, or -1 (the last) to -{limit[period]}",
        )
    _choice("roll", roll, ("previous", "next"))
    if weekday is None:
        return TradingDayOf(period, n)
    _choice("a weekday", weekday, WEEKDAYS)
    if period != "month" or abs(n) > 4:
        raise UserError(
            f"{weekday} number {n} of a {period} is not defined", allowed='a "month", and 1 to 4 or -1 to -4'
        )
    return TradingDayOf(period, n, weekday, roll)


def at(clock: str, zone: str | None = None, gap: Gap = "after", fold: Fold = "first") -> Clock:
    """A wall clock time somewhere: "07:00" and "Europe/London", "D+1 00:00" and "UTC", or both in one text.

    `D` is the run's label and counts calendar days (`T` is the same). Where daylight saving makes the clock jump over
    the time, gap="after" reads it with the offset before the jump (02:30 becomes 03:30), "before" with the one after
    it (01:30), "skip" has no such moment that day; where the clock shows it twice, `fold` says which is meant.
    """
    match = _clock_match(clock)
    sign, days, hours, minutes, seconds, zone_in_text = match.groups()
    if zone is not None and zone_in_text is not None:
        raise UserError(f"{clock!r} names a zone, and {zone!r} is given as well", hint="give one of them")
    second = int(hours) * 3600 + int(minutes) * 60 + int(seconds or 0)
    if int(hours) > 23 or int(minutes) > 59 or int(seconds or 0) > 59:
        raise UserError(f"{clock!r} is not a wall clock time", allowed="00:00 to 23:59:59")
    where = zone_in_text if zone is None else zone
    if where is None:
        raise UserError(
            f"the time {clock!r} has no zone", allowed='"UTC" or an IANA name such as "Europe/London"'
        )
    _choice("gap", gap, ("after", "before", "skip"))
    _choice("fold", fold, ("first", "second"))
    shift = int(days or 0) * (-1 if sign == "-" else 1)
    if check_zone(where) == "UTC":
        return Clock(shift, second, "UTC")
    return Clock(shift, second, where, gap, fold)


def every(interval: Duration, during: str) -> Every:
    """Every `interval` while the pipeline's market is in the state `during`, such as "SESSION"."""
    interval_us = parse_duration(_text_or_delta(interval))
    if not 1_000_000 <= interval_us <= DAY_US:
        raise UserError(f"every {interval!r} is not possible", allowed="1s to 1d")
    _choice("a market state", during, MARKET_STATES)
    return Every(interval_us, during)


def after_run(pipeline: str, session: WhichSession = "same") -> AfterRun:
    """After the run of `pipeline` for the "same" label, the "previous" session, or the "latest_closed" one."""
    check_name("pipeline", pipeline)
    _choice("session", session, ("same", "previous", "latest_closed"))
    return AfterRun(pipeline, session)


def barrier(
    pipelines: Sequence[str], quorum: int | None = None, cutoff: Moment | str | None = None
) -> Barrier:
    """After the runs of all `pipelines`, or at `cutoff` those of `quorum` of them (default: all)."""
    _check_list(pipelines)
    if len(pipelines) > MEMBERS_AT_MOST:
        raise UserError(f"{len(pipelines):,} pipelines are too many", allowed=f"at most {MEMBERS_AT_MOST}")
    names = tuple(check_name("pipeline", name) for name in pipelines)
    if len(set(names)) < len(names):
        raise UserError(f"the barrier names a pipeline twice: {', '.join(names)}")
    enough = len(names) if quorum is None else _whole("a quorum", quorum)
    if not 1 <= enough <= len(names):
        raise UserError(f"a quorum of {enough} is not possible", allowed=f"1 to {len(names)}")
    if cutoff is None:
        raise UserError(
            "the barrier has no cutoff, so it could wait for ever", hint='add cutoff="D+1 02:00 UTC"'
        )
    moment = at(cutoff) if isinstance(cutoff, str) else cutoff
    if not isinstance(moment, Edge | Clock):
        raise UserError(
            f"the cutoff {cutoff!r} is not a moment", allowed='session.next.open or "D+1 02:00 UTC"'
        )
    return Barrier(names, enough, moment)


def duration_text(value_us: int) -> str:
    """Text of a duration as people write it: "90min", "4h", "45s"; `parse_duration` reads it back."""
    minutes, rest = divmod(value_us, MINUTE_US)
    return f"{minutes}min" if not rest and 0 < minutes < 120 else format_duration(value_us)


def is_clock_text(text: str) -> bool:
    """Whether `text` is a wall clock with its zone, such as "D+1 00:00 UTC", which needs no Python around it."""
    match = _CLOCK.fullmatch(text)
    return match is not None and match[6] is not None


def _clock_match(clock: object) -> re.Match[str]:
    match = _CLOCK.fullmatch(clock) if isinstance(clock, str) else None
    if match is None:
        raise UserError(
            f"{clock!r} is not a wall clock time",
            allowed='"HH:MM", "HH:MM:SS", or days after the label: "D+1 00:00"',
        )
    return match


def _check_list(pipelines: object) -> None:
    if isinstance(pipelines, str) or not isinstance(pipelines, Sequence) or not pipelines:
        raise UserError(f"{pipelines!r} is no list of pipelines", allowed='["us_eq_daily", "eu_eq_daily"]')


def _moved(offset_us: int, duration: Duration, sign: int) -> int:
    total = offset_us + sign * parse_duration(_text_or_delta(duration))
    if abs(total) > OFFSET_AT_MOST_US:
        raise UserError(f"an offset of {format_duration(abs(total))} is too long", allowed="at most 400d")
    return total


def _text_or_delta(duration: object) -> Duration:
    if isinstance(duration, str | timedelta):
        return duration
    raise UserError(
        f"{duration!r} is not a duration", allowed='text with a unit such as "30min", or a timedelta'
    )


def _offset_text(offset_us: int) -> str:
    if offset_us == 0:
        return ""
    return f' {"+" if offset_us > 0 else "-"} "{duration_text(abs(offset_us))}"'


def _whole(what: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UserError(f"{what} is {value!r}", allowed="a whole number")
    return value


def _choice(what: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise UserError(f"{what} is {value!r}", allowed=", ".join(f'"{name}"' for name in allowed))
