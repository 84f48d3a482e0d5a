"""Everything that calendars may know, as one immutable value: the table, the desk's markets, the overrides.

A calendar is a view of a book. Faces and workers install one for the process; a bare import sees the shipped table.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from prometheus.core.calendar_errors import (
    CalendarBookError,
    CalendarRangeError,
    CalendarTableError,
    UnknownMarketError,
)
from prometheus.markets.resolve import Correction, OverlapError, combine, resolve_exchange
from prometheus.markets.schedule import MINUTE_US, Schedule
from prometheus.markets.shipped import shipped_table
from prometheus.markets.table import Market, Table, TableError, decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus.core.calendar_overrides import Override, UserMarket

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_ORDINAL = EPOCH.toordinal()
_DEFAULT_BUFFER_US = 120 * MINUTE_US  # pre-open and post-close of an exchange asked for by its MIC
_ONE_US = timedelta(microseconds=1)
_KEPT_SCHEDULES = 256  # (market, known_at, projected) combinations kept ready; beyond that the oldest goes


class CalendarBook:
    """Table, user markets and overrides. Equal books answer equally; adding to one makes another.

    Raises `CalendarBookError` for a market that uses unknown members or itself, for an override of an ambiguous
    exchange and for hours that overlap a neighbour; `UnknownMarketError` and `CalendarRangeError` for an override of
    an exchange or a day that the table does not have.
    """

    __slots__ = ("_markets", "_overrides", "_schedules", "_shaped", "_table")

    def __init__(
        self,
        table: Table | None = None,
        markets: Iterable[UserMarket] = (),
        overrides: Iterable[Override] = (),
    ) -> None:
        self._table = load_shipped_table() if table is None else table
        self._markets = tuple(markets)
        self._overrides = tuple(overrides)
        self._shaped = dict(self._table.markets)
        self._schedules: dict[tuple[str, int | None, bool], Schedule] = {}
        for market in self._markets:
            self._shape(market)
        for market in self._markets:
            self._refuse_cycle(market.market_id, ())
        for override in self._overrides:
            self._check_override(override)
        for code in {self.exchanges_of(override.exchange)[0] for override in self._overrides}:
            self.schedule(code, projected=True)  # refuses hours that run into each other

    @property
    def table(self) -> Table:
        return self._table

    @property
    def markets(self) -> tuple[UserMarket, ...]:
        """The desk's own markets, as they were given."""
        return self._markets

    @property
    def overrides(self) -> tuple[Override, ...]:
        """The overrides, as they were given."""
        return self._overrides

    @property
    def market_ids(self) -> tuple[str, ...]:
        """Every id a calendar may be asked for: markets, then exchanges."""
        return tuple(self._shaped) + tuple(code for code in self._table.codes if code not in self._shaped)

    def with_overrides(self, *overrides: Override) -> CalendarBook:
        """A book that also holds these overrides."""
        return CalendarBook(self._table, self._markets, (*self._overrides, *overrides))

    def with_markets(self, *markets: UserMarket) -> CalendarBook:
        """A book that also holds these markets; one of an id already there replaces it."""
        ids = {market.market_id for market in markets}
        kept = [market for market in self._markets if market.market_id not in ids]
        return CalendarBook(self._table, (*kept, *markets), self._overrides)

    def schedule(self, market_id: str, known_at_us: int | None = None, projected: bool = False) -> Schedule:
        """The settled sessions of a market or exchange; `UnknownMarketError` lists what exists."""
        key = (market_id, known_at_us, projected)
        found = self._schedules.get(key)
        if found is None:
            try:
                found = self._settle(market_id, known_at_us, projected)
            except TableError as error:
                raise CalendarTableError(str(error), hint="reinstall the package") from error
            except OverlapError as error:
                raise CalendarBookError(
                    f"the overridden hours of {market_id} on {_date_text(error.day)} overlap a neighbouring session.",
                    allowed="hours between the close before and the open after",
                    hint="override the neighbour too",
                ) from error
            if len(self._schedules) >= _KEPT_SCHEDULES:
                del self._schedules[next(iter(self._schedules))]
            self._schedules[key] = found
        return found

    def exchanges_of(self, market_id: str) -> tuple[str, ...]:
        """The exchanges at the bottom of a market, each once, in order of membership."""
        if market_id not in self._shaped:
            return (market_id,)
        leaves = [leaf for member in self._shaped[market_id].members for leaf in self.exchanges_of(member)]
        return tuple(dict.fromkeys(leaves))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CalendarBook) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return (
            f"CalendarBook(table {self._table.release!r}, {len(self._markets)} markets, "
            f"{len(self._overrides)} overrides)"
        )

    def _key(self) -> tuple[int, tuple[UserMarket, ...], tuple[Override, ...]]:
        return self._table.checksum, self._markets, self._overrides

    def _shape(self, market: UserMarket) -> None:
        members, mode = market.members, market.mode
        shipped = self._table.markets.get(market.market_id)
        if not members:
            if shipped is None:
                raise CalendarBookError(
                    f"market {market.market_id} has no members.",
                    allowed="at least one member; only a shipped market may leave them out to set its buffers",
                    hint=f"shipped are {', '.join(self._table.markets)}",
                )
            members, mode = shipped.members, shipped.mode  # type: ignore[assignment]  # the table checked its mode
        elif market.market_id in self._table.codes:
            raise CalendarBookError(
                f"market {market.market_id} has the name of an exchange.", allowed="a name of its own"
            )
        self._shaped[market.market_id] = Market(
            market.market_id, members, mode, market.pre_open_minutes, market.post_close_minutes
        )

    def _refuse_cycle(self, market_id: str, above: tuple[str, ...]) -> None:
        if market_id in above:
            path = " -> ".join((*above[above.index(market_id) :], market_id))
            raise CalendarBookError(
                f"market {market_id} contains itself: {path}.", allowed="members below it"
            )
        if market_id in self._shaped:
            for member in self._shaped[market_id].members:
                self._refuse_cycle(member, (*above, market_id))
        elif market_id not in self._table.codes:
            raise CalendarBookError(
                f"market {above[-1]} has the unknown member {market_id!r}.",
                allowed=", ".join(self.market_ids),
            )

    def _check_override(self, override: Override) -> None:
        code = override.exchange
        if code not in self.market_ids:
            raise UnknownMarketError(
                f"an override on {override.day} names the unknown exchange {code!r}.",
                allowed=", ".join(self._table.codes),
            )
        leaves = self.exchanges_of(code)
        if len(leaves) != 1:
            raise CalendarBookError(
                f"an override on {override.day} names {code}, which has several exchanges.",
                allowed=", ".join(leaves),
                hint="write one override for each exchange that changes",
            )
        exchange = self._table.exchange(leaves[0])
        day = override.day.toordinal() - EPOCH_ORDINAL
        if not exchange.valid_from <= day <= exchange.last:
            raise CalendarRangeError(
                f"an override of {code} is for {override.day}, outside of its table.",
                allowed=f"{_date_text(exchange.valid_from)} to {_date_text(exchange.last)}",
            )

    def _settle(self, market_id: str, known_at_us: int | None, projected: bool) -> Schedule:
        market = self._shaped.get(market_id)
        if market is None:
            if market_id not in self._table.codes:
                raise UnknownMarketError(
                    f"there is no market {market_id!r}.",
                    allowed=", ".join(self.market_ids),
                    hint="a market of your own is a few lines under [markets] in prometheus.toml",
                )
            corrections = [_correction(item) for item in self._overrides if self._is_of(item, market_id)]
            alone = resolve_exchange(
                self._table.exchange(market_id),
                known_at_us=known_at_us,
                projected=projected,
                corrections=corrections,
            )
            alone.pre_open_us = alone.post_close_us = _DEFAULT_BUFFER_US
            return alone
        members = tuple(self.schedule(member, known_at_us, projected) for member in market.members)
        if max(member.first_day for member in members) > min(member.last_day for member in members):
            raise CalendarRangeError(
                f"the members of market {market_id} have no day in common.",
                allowed="members whose tables overlap",
            )
        return combine(
            market_id,
            members,
            market.mode,
            pre_open_us=market.pre_open_minutes * MINUTE_US,
            post_close_us=market.post_close_minutes * MINUTE_US,
        )

    def _is_of(self, override: Override, code: str) -> bool:
        return self.exchanges_of(override.exchange) == (code,)

    def to_json(self) -> str:
        """Markets, overrides and the table's name as text; a worker rebuilds the book with `from_json`."""
        import json

        return json.dumps(
            {
                "table": f"{self._table.checksum:08x}",
                "release": self._table.release,
                "markets": [market.to_plain() for market in self._markets],
                "overrides": [override.to_plain() for override in self._overrides],
            }
        )

    @classmethod
    def from_json(cls, text: str, table: Table | None = None) -> CalendarBook:
        """The book that `to_json` wrote, over the shipped table (or `table`).

        Raises `CalendarBookError` when the text is no book or was written over another table: two workers with
        different holidays must not take part in one night.
        """
        import json

        from prometheus.core.calendar_overrides import Override, UserMarket

        table = load_shipped_table() if table is None else table
        try:
            plain = json.loads(text)
            checksum, release = plain["table"], plain["release"]
            markets = [UserMarket.from_plain(item) for item in plain["markets"]]
            overrides = [Override.from_plain(item) for item in plain["overrides"]]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise CalendarBookError(f"the text is no calendar book ({error!r}): {text[:80]!r}.") from error
        if checksum != f"{table.checksum:08x}":
            raise CalendarBookError(
                f"the book was written over the table {release} ({checksum}).",
                allowed=f"the table {table.release} ({table.checksum:08x}), which is installed here",
                hint="install the same version of the package on both sides",
            )
        return cls(table, markets, overrides)


def load_shipped_table() -> Table:
    """The table that came with the package; `CalendarTableError` when it is missing or damaged."""
    try:
        return shipped_table()
    except TableError as error:
        raise CalendarTableError(str(error), hint="reinstall the package") from error


def load_table(data: bytes) -> Table:
    """A table from bytes, as `tools/calendars/build.py` writes them; `CalendarTableError` when they are damaged."""
    try:
        return decode(data)
    except TableError as error:
        raise CalendarTableError(str(error), hint="fetch the table again") from error


def _correction(override: Override) -> Correction:
    return Correction(
        override.day.toordinal() - EPOCH_ORDINAL,
        override.kind,
        _us(override.known_at),
        0 if override.open is None else _us(override.open),
        0 if override.close is None else _us(override.close),
    )


def _us(at: datetime) -> int:
    return (at - EPOCH) // _ONE_US


def _date_text(day: int) -> str:
    return date.fromordinal(day + EPOCH_ORDINAL).isoformat()
