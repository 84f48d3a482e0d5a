"""What a desk adds to the shipped calendars: markets of its own, and overrides of single days.

Both are plain values that survive a trip through JSON. They live apart from `core.time` because `dataclasses` takes
longer to import than a calendar takes to answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from prometheus.core.calendar_errors import CalendarBookError
from prometheus.markets.table import MODES

LONGEST_BUFFER_MINUTES = 720
DEFAULT_BUFFER_MINUTES = 120
_KINDS = ("closed", "hours", "scheduled")
_REACH = timedelta(hours=36)  # how far a session's hours may lie from 00:00 UTC of its label


@dataclass(frozen=True, slots=True)
class Override:
    """One day of one exchange as the desk knows better.

    `kind` "closed" cancels the session, "hours" gives it these hours (`open` and `close`, aware, whole minutes),
    "scheduled" takes earlier overrides back (history stays). `known_at` is when it was announced: a calendar asked for
    an earlier `known_at` does not see it. Of several overrides of a day the latest known one counts.
    """

    exchange: str
    day: date
    kind: Literal["closed", "hours", "scheduled"]
    reason: str
    source: str
    known_at: datetime
    open: datetime | None = None
    close: datetime | None = None

    def __post_init__(self) -> None:
        if isinstance(self.day, datetime) or not isinstance(self.day, date):
            raise self._error(f"day {self.day!r} is not a date", "a date", "pass date(2027, 1, 5)")
        if self.kind not in _KINDS:
            raise self._error(f"kind {self.kind!r} is unknown", ", ".join(_KINDS), None)
        if not self.reason.strip() or not self.source.strip():
            raise self._error(
                "reason or source is empty", "a few words each", "say why, and who announced it"
            )
        self._check_instant("known_at", self.known_at)
        hours = (self.open, self.close)
        if self.kind != "hours":
            if hours != (None, None):
                raise self._error(f"kind {self.kind!r} takes no hours", "open and close left out", None)
            return
        if self.open is None or self.close is None:
            raise self._error("open or close is missing", "both, as aware datetimes", None)
        self._check_instant("open", self.open)
        self._check_instant("close", self.close)
        if self.open >= self.close:
            raise self._error(f"open {self.open} is not before close {self.close}", "open < close", None)
        midnight = datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC)
        if self.open < midnight - _REACH or self.close > midnight + _REACH:
            raise self._error(
                f"the hours {self.open} to {self.close} are far from the day",
                "within 36 hours of 00:00 UTC of the session's label",
                "check the dates of open and close",
            )

    def _check_instant(self, name: str, value: object) -> None:
        if not isinstance(value, datetime) or value.utcoffset() is None:
            raise self._error(
                f"{name} {value!r} is no aware datetime", "aware datetimes", "pass tzinfo=datetime.UTC"
            )
        if name != "known_at" and (value.second or value.microsecond):
            raise self._error(f"{name} {value} has seconds", "whole minutes", None)

    def _error(self, what: str, allowed: str, hint: str | None) -> CalendarBookError:
        return CalendarBookError(
            f"override of {self.exchange} on {self.day}: {what}.", allowed=allowed, hint=hint
        )

    def to_plain(self) -> dict[str, str]:
        """Strings alone, for JSON; `from_plain` reads them back."""
        plain = {
            "exchange": self.exchange,
            "day": self.day.isoformat(),
            "kind": self.kind,
            "reason": self.reason,
            "source": self.source,
            "known_at": self.known_at.astimezone(UTC).isoformat(),
        }
        if self.open is not None and self.close is not None:
            plain["open"] = self.open.astimezone(UTC).isoformat()
            plain["close"] = self.close.astimezone(UTC).isoformat()
        return plain

    @classmethod
    def from_plain(cls, plain: dict[str, str]) -> Override:
        """The override that `to_plain` wrote; `CalendarBookError` for a text that is no date or instant."""
        try:
            kind = plain["kind"]
            return cls(
                exchange=plain["exchange"],
                day=date.fromisoformat(plain["day"]),
                kind=kind,  # type: ignore[arg-type]  # __post_init__ refuses any other word
                reason=plain["reason"],
                source=plain["source"],
                known_at=datetime.fromisoformat(plain["known_at"]),
                open=datetime.fromisoformat(plain["open"]) if "open" in plain else None,
                close=datetime.fromisoformat(plain["close"]) if "close" in plain else None,
            )
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, CalendarBookError):
                raise
            raise CalendarBookError(
                f"an override cannot be read: {plain!r} ({error!r}).",
                allowed="exchange, day, kind, reason, source, known_at, and open and close for kind hours",
            ) from error


@dataclass(frozen=True, slots=True)
class UserMarket:
    """A market of the desk's own, made of exchanges or other markets.

    With `members` left empty, `market_id` must be a shipped one: it keeps its members and gets these buffers. `mode`:
    a session when `any` or `all` members trade, or when the `primary` (first) one does.
    """

    market_id: str
    members: tuple[str, ...] = ()
    mode: Literal["any", "all", "primary"] = "any"
    pre_open_minutes: int = DEFAULT_BUFFER_MINUTES
    post_close_minutes: int = DEFAULT_BUFFER_MINUTES

    def __post_init__(self) -> None:
        if not _is_word(self.market_id):
            raise CalendarBookError(f"a market's id is {self.market_id!r}.", allowed="a word such as EU_CORE")
        if self.mode not in MODES:
            raise CalendarBookError(
                f"market {self.market_id}: mode {self.mode!r} is unknown.", allowed=", ".join(MODES)
            )
        if len(set(self.members)) != len(self.members):
            raise CalendarBookError(
                f"market {self.market_id}: a member is named twice in {list(self.members)}.",
                allowed="each once",
            )
        for minutes in (self.pre_open_minutes, self.post_close_minutes):
            if not _is_buffer(minutes):
                raise CalendarBookError(
                    f"market {self.market_id}: a buffer is {minutes!r}.",
                    allowed=f"whole minutes from 0 to {LONGEST_BUFFER_MINUTES}",
                )

    def to_plain(self) -> dict[str, object]:
        """Plain values for JSON; `from_plain` reads them back."""
        return {
            "market_id": self.market_id,
            "members": list(self.members),
            "mode": self.mode,
            "pre_open_minutes": self.pre_open_minutes,
            "post_close_minutes": self.post_close_minutes,
        }

    @classmethod
    def from_plain(cls, plain: dict[str, object]) -> UserMarket:
        """The market that `to_plain` wrote; `CalendarBookError` for unknown or missing fields."""
        try:
            members = plain.get("members", [])
            fields = {**plain, "members": tuple(members) if isinstance(members, list | tuple) else (members,)}
            return cls(**fields)  # type: ignore[arg-type]  # __post_init__ checks every value
        except TypeError as error:
            raise CalendarBookError(
                f"a market cannot be read: {plain!r} ({error}).",
                allowed="market_id, members, mode, pre_open_minutes, post_close_minutes",
            ) from error


def _is_word(value: object) -> bool:
    return isinstance(value, str) and value.strip() == value != ""


def _is_buffer(minutes: object) -> bool:
    return (
        isinstance(minutes, int) and not isinstance(minutes, bool) and 0 <= minutes <= LONGEST_BUFFER_MINUTES
    )
