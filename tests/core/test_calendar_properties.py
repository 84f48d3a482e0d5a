"""What holds for every day and instant of the whole range."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from prometheus.core.time import MarketState, TradingCalendar
from tests.markets.small_tables import ordinal

CALENDAR = TradingCalendar("US_EQ", projected=True)
FIRST, LAST = CALENDAR.valid_from, CALENDAR.last_day
SESSIONS = CALENDAR.sessions(FIRST, LAST)
MARGIN = timedelta(days=10)
days = st.dates(FIRST + MARGIN, LAST - MARGIN)
instants = st.datetimes(
    datetime.combine(FIRST + MARGIN, datetime.min.time()),
    datetime.combine(LAST - MARGIN, datetime.min.time()),
    timezones=st.just(UTC),
)
near_edges = st.builds(
    lambda day, edge, shift: (
        [CALENDAR.session_open(day), CALENDAR.session_close(day)][edge] + timedelta(microseconds=shift)
    ),
    st.sampled_from(SESSIONS[10:-10]),
    st.integers(0, 1),
    st.integers(-2, 2) | st.sampled_from([-7_200_000_000, 7_200_000_000]),
)


def test_sessions_are_in_order_and_never_overlap() -> None:
    previous_close = 0
    for day in SESSIONS:
        opens, closes = CALENDAR.open_us(day), CALENDAR.close_us(day)
        assert previous_close < opens < closes
        assert day.weekday() < 5
        assert 3 * 3_600 <= (closes - opens) / 1e6 <= 6.5 * 3_600
        previous_close = closes
    assert len(SESSIONS) == len(set(SESSIONS)) > 9_000


def test_walking_by_next_visits_exactly_the_trading_days_and_previous_walks_back() -> None:
    day, walked = SESSIONS[0], [SESSIONS[0]]
    while day != SESSIONS[-1]:
        day = CALENDAR.next_trading_day(day)
        walked.append(day)
    assert walked == SESSIONS
    for earlier, later in pairwise(SESSIONS):
        assert CALENDAR.previous_trading_day(later) == earlier
    trading = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
    assert [day for day in trading if CALENDAR.is_trading_day(day)] == SESSIONS


@given(days, st.integers(1, 300))
def test_next_and_previous_undo_each_other(day: date, n: int) -> None:
    if not (SESSIONS[0] < day < SESSIONS[-1] - timedelta(days=500)):
        day = date(2015, 5, 5)
    later = CALENDAR.next_trading_day(day, n)
    assert later > day
    assert CALENDAR.is_trading_day(later)
    back = CALENDAR.previous_trading_day(later, n)
    assert back <= day
    assert (back == day) == CALENDAR.is_trading_day(day)
    assert len(CALENDAR.sessions(day + timedelta(days=1), later)) == n


@given(instants | near_edges)
def test_open_means_inside_of_a_session(at: datetime) -> None:
    session = CALENDAR.session_at(at)
    assert CALENDAR.is_open(at) == (session is not None)
    assert (CALENDAR.state_at(at) is MarketState.SESSION) == (session is not None)
    inside = [
        day
        for day in CALENDAR.sessions(at.date() - timedelta(days=2), at.date() + timedelta(days=2))
        if CALENDAR.session_open(day) <= at < CALENDAR.session_close(day)
    ]
    assert inside == ([] if session is None else [session])


@given(instants | near_edges)
def test_the_latest_closed_session_has_closed_and_the_next_one_has_not(at: datetime) -> None:
    latest = CALENDAR.latest_closed_session(at)
    assert CALENDAR.session_close(latest) <= at < CALENDAR.session_close(CALENDAR.next_trading_day(latest))


@given(instants | near_edges)
def test_the_next_transition_lies_ahead_and_changes_the_state_there_and_not_before(at: datetime) -> None:
    then, instant = CALENDAR.next_transition(at), timedelta(microseconds=1)
    assert then > at
    assert CALENDAR.state_at(then) is not CALENDAR.state_at(then - instant)
    assert CALENDAR.state_at(then - instant) is CALENDAR.state_at(at)
    for share in range(1, 8):
        between = at + (then - at) // 8 * share
        assert CALENDAR.state_at(between) is CALENDAR.state_at(at)


@given(instants)
def test_every_transition_sequence_passes_through_the_next_open(at: datetime) -> None:
    session = CALENDAR.session_at(at)
    reached, steps = at, 0
    while session is not None or CALENDAR.state_at(reached) is not MarketState.SESSION:
        reached, steps, session = CALENDAR.next_transition(reached), steps + 1, None
        assert steps < 12
    if reached != at:
        assert reached == CALENDAR.session_open(CALENDAR.session_at(reached) or date.min)


@given(instants)
def test_the_local_clock_is_new_yorks(at: datetime) -> None:
    from zoneinfo import ZoneInfo

    assert CALENDAR.local_offset(at) == at.astimezone(ZoneInfo("America/New_York")).utcoffset()


@given(days, instants)
def test_what_was_known_later_never_unsays_what_was_scheduled(day: date, known_at: datetime) -> None:
    believed = TradingCalendar("US_EQ", known_at=known_at, projected=True)
    if believed.is_trading_day(day) != CALENDAR.is_trading_day(day):
        assert believed.is_trading_day(day), "every unscheduled change of days at the NYSE was a closure"
        assert known_at.date() <= day


def test_holidays_and_sessions_share_out_the_weekdays_of_every_year() -> None:
    for year in range(2000, 2036):
        labels = {day for day in SESSIONS if day.year == year}
        closed = set(CALENDAR.holidays(year))
        weekdays = {
            date(year, 1, 1) + timedelta(days=n)
            for n in range(ordinal(date(year, 12, 31)) - ordinal(date(year, 1, 1)) + 1)
            if (date(year, 1, 1) + timedelta(days=n)).weekday() < 5
        }
        assert not labels & closed
        assert labels | closed == weekdays
        assert 8 <= len(closed) <= 14
        assert set(CALENDAR.early_closes(year)) <= labels
