"""How long things are kept, as the settings say it: "forever", days, or sessions of a market; counted back from a day."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from prometheus.core.errors import SettingsError
from prometheus.core.settings import RetentionSettings
from prometheus.core.time import TradingCalendar

ALLOWED = '"forever", days such as "400d", or sessions such as "250 sessions"'
_SPAN = re.compile(r"\s*(\d{1,6})\s*(d|days?|sessions?)\s*")


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time in days or sessions; `count` of None is forever."""

    unit: Literal["days", "sessions"]
    count: int | None

    @property
    def is_forever(self) -> bool:
        return self.count is None

    def begin(self, day: date, calendar: TradingCalendar) -> date | None:
        """The first day that is still kept on `day`, which is itself the last; None if all is."""
        if self.count is None:
            return None
        if self.unit == "days":
            return day - timedelta(days=self.count)
        try:
            return calendar.previous_trading_day(day, self.count)
        except ValueError:
            return calendar.valid_from


@dataclass(frozen=True, slots=True)
class Retention:
    """The `[retention]` settings, understood."""

    decisions: Span
    versions: Span
    replays: Span
    quarantine: Span

    @classmethod
    def of(cls, settings: RetentionSettings) -> Retention:
        """Raises `SettingsError` that names the setting, its value and what is allowed."""
        versions = parse_span("versions", settings.versions)
        if versions.unit == "sessions":
            raise SettingsError(
                f"the setting retention.versions is {settings.versions!r}",
                allowed='"forever" or days such as "30d"',
                hint="files have an age in days; how many sessions can be replayed is retention.replays",
            )
        return cls(
            decisions=parse_span("decisions", settings.decisions),
            versions=versions,
            replays=parse_span("replays", settings.replays),
            quarantine=parse_span("quarantine", settings.quarantine),
        )


def parse_span(name: str, text: str) -> Span:
    """A span from its text; `name` is that of the setting, for the error."""
    if text.strip() == "forever":
        return Span("days", None)
    found = _SPAN.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise SettingsError(f"the setting retention.{name} is {text!r}", allowed=ALLOWED)
    return Span("sessions" if found[2].startswith("s") else "days", int(found[1]))
