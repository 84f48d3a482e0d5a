"""The compiled calendar table: many exchanges in one short run of bytes, read without any library.

    header     magic 8 | version u16 | length of the body u32 | CRC-32 of the body u32
    body       release text | exchanges u16, each: code text, offset u32, length u32
               | markets u16, each: id text, mode u8, pre-open u16, post-close u16 (minutes), members u8 + texts
               | the exchange blocks, one after another
    exchange   texts: name, zone, source of `verified_through` | verified u8 (0: taken over from upstream as it is)
               | days: valid_from, hours_verified_from, verified_through, last (i32 each, days since 1970-01-01)
               | one byte a day from valid_from to last: 0 closed, else the number of a pattern
               | patterns u8, each: flags u8, segments u8, each: open i16, close i16 (minutes from 00:00 UTC of the label)
               | UTC offsets u16, each: from i32 (minutes since the epoch), offset i16 (minutes)
               | exceptions u16, each: day i32, known_at i64 (us), pattern before u8, reason text, source text

All numbers are little-endian; a text is u16 bytes of UTF-8. Local time, eras of hours and daylight saving are resolved
when the table is compiled, so a pattern is plain minutes in UTC. An evening open is a negative minute. The gaps between
a pattern's segments are its breaks. A day's byte is what happened in the end; an exception says what was scheduled
*before* the change became known, so a reader who knows less can undo it.
"""

from __future__ import annotations

from binascii import crc32
from itertools import pairwise
from struct import Struct
from struct import error as struct_error

TYPE_CHECKING = False  # `typing` costs more to import than this whole table; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Iterable

MAGIC = b"DESKCAL\x1a"
VERSION = 2
EARLY_CLOSE = 1
LATE_OPEN = 2
MODES = ("any", "all", "primary")
DAY_MINUTES = 1440

_HEADER = Struct("<8sHII")
_U8, _U16, _U32, _I32, _I64 = Struct("<B"), Struct("<H"), Struct("<I"), Struct("<i"), Struct("<q")
_BOUNDS, _SEGMENT, _OFFSET = Struct("<iiii"), Struct("<hh"), Struct("<ih")
_BLOCK, _BUFFERS, _EXCEPTION = Struct("<II"), Struct("<BHH"), Struct("<iqB")


class TableError(ValueError):
    """The bytes are no calendar table that this version can read: truncated, altered, or of another version."""


class Pattern:
    """The hours of a session in minutes from 00:00 UTC of its label; segments are in order and do not touch."""

    __slots__ = ("close_minute", "flags", "open_minute", "segments")

    def __init__(self, segments: tuple[tuple[int, int], ...], flags: int = 0) -> None:
        edges = [edge for segment in segments for edge in segment]
        if not edges or any(a >= b for a, b in pairwise(edges)):
            raise TableError(
                f"the hours {segments} are not in order: each segment must open, close, and then the next"
            )
        self.segments = segments
        self.flags = flags
        self.open_minute = edges[0]
        self.close_minute = edges[-1]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and (self.segments, self.flags) == (other.segments, other.flags)

    def __hash__(self) -> int:
        return hash((self.segments, self.flags))

    def __repr__(self) -> str:
        return f"Pattern({self.segments}, {self.flags})"


class TableException:
    """A change of a day that was not scheduled: what the day was before `known_at_us` (0 = closed), and why."""

    __slots__ = ("before", "day", "known_at_us", "reason", "source")

    def __init__(self, day: int, known_at_us: int, before: int, reason: str, source: str) -> None:
        self.day = day
        self.known_at_us = known_at_us
        self.before = before
        self.reason = reason
        self.source = source


class Exchange:
    """One exchange of the table. `days[i]` is day `valid_from + i`: 0 is closed, k has the hours `patterns[k - 1]`."""

    __slots__ = (
        "code",
        "days",
        "exceptions",
        "hours_verified_from",
        "is_verified",
        "name",
        "offsets",
        "patterns",
        "source",
        "valid_from",
        "verified_through",
        "zone",
    )

    def __init__(
        self,
        *,
        code: str,
        name: str,
        zone: str,
        source: str,
        valid_from: int,
        hours_verified_from: int,
        verified_through: int,
        days: bytes,
        patterns: tuple[Pattern, ...],
        offsets: tuple[tuple[int, int], ...],
        exceptions: tuple[TableException, ...] = (),
        is_verified: bool = True,
    ) -> None:
        self.code = code
        self.name = name
        self.zone = zone
        self.source = source
        self.valid_from = valid_from
        self.hours_verified_from = hours_verified_from
        self.verified_through = verified_through
        self.days = days
        self.patterns = patterns
        self.offsets = offsets
        self.exceptions = exceptions
        self.is_verified = is_verified
        self._check()

    @property
    def last(self) -> int:
        """The last day of the table; days after `verified_through` are projections of today's rules."""
        return self.valid_from + len(self.days) - 1

    def _check(self) -> None:
        """Hold the block's invariants; a reader may then index without asking again."""
        if not self.days or not self.valid_from <= self.verified_through <= self.last:
            raise TableError(f"{self.code}: verified_through is outside of the days of the table")
        if not self.offsets:
            raise TableError(f"{self.code}: there is no UTC offset")
        highest = max([max(self.days), *(item.before for item in self.exceptions)])
        if highest > len(self.patterns):
            raise TableError(f"{self.code}: pattern {highest} is used, {len(self.patterns)} exist")
        if any(not self.valid_from <= item.day <= self.last for item in self.exceptions):
            raise TableError(f"{self.code}: an exception lies outside of the days of the table")

    def check_order(self) -> None:
        """Every session opens after the one before closed. Asked when a table is written: it walks over every day."""
        previous_close = None
        for position, number in enumerate(self.days):
            if number:
                pattern, base = self.patterns[number - 1], position * DAY_MINUTES
                if previous_close is not None and base + pattern.open_minute < previous_close:
                    raise TableError(
                        f"{self.code}: day {self.valid_from + position} opens before the last one closed"
                    )
                previous_close = base + pattern.close_minute


class Market:
    """A named market of the table: its members (exchanges or markets), how they combine, its state buffers."""

    __slots__ = ("market_id", "members", "mode", "post_close_minutes", "pre_open_minutes")

    def __init__(
        self,
        market_id: str,
        members: tuple[str, ...],
        mode: str,
        pre_open_minutes: int,
        post_close_minutes: int,
    ) -> None:
        self.market_id = market_id
        self.members = members
        self.mode = mode
        self.pre_open_minutes = pre_open_minutes
        self.post_close_minutes = post_close_minutes


class Table:
    """A decoded table. Exchange blocks are read on first use; `checksum` names the table's content."""

    __slots__ = ("_blocks", "_body", "_read", "checksum", "markets", "release")

    def __init__(self, body: bytes, checksum: int) -> None:
        reader = _Reader(body)
        self._body = body
        self._read: dict[str, Exchange] = {}
        self.checksum = checksum
        self.release = reader.text()
        self._blocks: dict[str, tuple[int, int]] = {}
        for _ in range(reader.take(_U16)[0]):
            code = reader.text()
            offset, length = reader.take(_BLOCK)
            self._blocks[code] = (offset, length)
        self.markets: dict[str, Market] = {}
        for _ in range(reader.take(_U16)[0]):
            market_id = reader.text()
            mode, pre_open, post_close = reader.take(_BUFFERS)
            if mode >= len(MODES):
                raise TableError(f"market {market_id} has the unknown mode {mode}")
            members = tuple(reader.text() for _ in range(reader.take(_U8)[0]))
            self.markets[market_id] = Market(market_id, members, MODES[mode], pre_open, post_close)

    @property
    def codes(self) -> tuple[str, ...]:
        """The exchanges' codes (MIC), in the table's order."""
        return tuple(self._blocks)

    def exchange(self, code: str) -> Exchange:
        """The exchange of that code; `KeyError` when the table has none, `TableError` when its block is broken."""
        if code not in self._read:
            offset, length = self._blocks[code]
            if offset + length > len(self._body):
                raise TableError(f"the block of {code} lies outside of the table")
            self._read[code] = _read_exchange(code, _Reader(self._body[offset : offset + length]))
        return self._read[code]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and self._body == other._body

    def __hash__(self) -> int:
        return self.checksum


def decode(data: bytes) -> Table:
    """The table in `data`; `TableError` says what is wrong with it."""
    if len(data) < _HEADER.size:
        raise TableError(
            f"the calendar table is cut off: {len(data)} bytes, its header alone has {_HEADER.size}"
        )
    magic, version, length, checksum = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise TableError(f"this is no calendar table: it begins with {magic!r}, a table with {MAGIC!r}")
    if version != VERSION:
        raise TableError(f"the calendar table has format {version}; this program reads format {VERSION}")
    body = data[_HEADER.size :]
    if len(body) != length:
        raise TableError(f"the calendar table has {len(body)} bytes after its header instead of {length}")
    if crc32(body) != checksum:
        raise TableError(
            f"the calendar table was altered: its checksum is {crc32(body):08x} instead of {checksum:08x}"
        )
    return Table(body, checksum)


def encode(release: str, exchanges: Iterable[Exchange], markets: Iterable[Market]) -> bytes:
    """The bytes that `decode` reads back; equal input gives equal bytes."""
    blocks = [(exchange.code, _exchange_bytes(exchange)) for exchange in exchanges]
    named = list(markets)
    market_bytes = _U16.pack(len(named)) + b"".join(_market_bytes(market) for market in named)
    release_bytes = _text(release) + _U16.pack(len(blocks))
    position = len(release_bytes) + len(market_bytes)
    position += sum(len(_text(code)) + _BLOCK.size for code, _ in blocks)
    directory = b""
    for code, block in blocks:
        directory += _text(code) + _BLOCK.pack(position, len(block))
        position += len(block)
    body = release_bytes + directory + market_bytes + b"".join(block for _, block in blocks)
    return _HEADER.pack(MAGIC, VERSION, len(body), crc32(body)) + body


def _market_bytes(market: Market) -> bytes:
    buffers = _BUFFERS.pack(MODES.index(market.mode), market.pre_open_minutes, market.post_close_minutes)
    members = _U8.pack(len(market.members)) + b"".join(_text(member) for member in market.members)
    return _text(market.market_id) + buffers + members


def _exchange_bytes(exchange: Exchange) -> bytes:
    exchange.check_order()
    parts = [_text(exchange.name), _text(exchange.zone), _text(exchange.source)]
    parts.append(_U8.pack(exchange.is_verified))
    parts.append(
        _BOUNDS.pack(
            exchange.valid_from, exchange.hours_verified_from, exchange.verified_through, exchange.last
        )
    )
    parts += [exchange.days, _U8.pack(len(exchange.patterns))]
    for pattern in exchange.patterns:
        parts.append(_U8.pack(pattern.flags) + _U8.pack(len(pattern.segments)))
        parts += [_SEGMENT.pack(*segment) for segment in pattern.segments]
    parts.append(_U16.pack(len(exchange.offsets)))
    parts += [_OFFSET.pack(*offset) for offset in exchange.offsets]
    parts.append(_U16.pack(len(exchange.exceptions)))
    for item in exchange.exceptions:
        parts.append(_EXCEPTION.pack(item.day, item.known_at_us, item.before))
        parts += [_text(item.reason), _text(item.source)]
    return b"".join(parts)


def _read_exchange(code: str, reader: _Reader) -> Exchange:
    name, zone, source = reader.text(), reader.text(), reader.text()
    is_verified = bool(reader.take(_U8)[0])
    valid_from, hours_from, verified_through, last = reader.take(_BOUNDS)
    days = reader.bytes(last - valid_from + 1)
    patterns = []
    for _ in range(reader.take(_U8)[0]):
        flags, count = reader.take(_U8)[0], reader.take(_U8)[0]
        patterns.append(Pattern(tuple(reader.segment() for _ in range(count)), flags))
    offsets = tuple(reader.offset() for _ in range(reader.take(_U16)[0]))
    exceptions = []
    for _ in range(reader.take(_U16)[0]):
        day, known_at_us, before = reader.take(_EXCEPTION)
        exceptions.append(TableException(day, known_at_us, before, reader.text(), reader.text()))
    return Exchange(
        code=code,
        name=name,
        zone=zone,
        source=source,
        valid_from=valid_from,
        hours_verified_from=hours_from,
        verified_through=verified_through,
        days=days,
        patterns=tuple(patterns),
        offsets=offsets,
        exceptions=tuple(exceptions),
        is_verified=is_verified,
    )


class _Reader:
    """Reads numbers and texts one after another; anything beyond the end is a `TableError`."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, shape: Struct) -> tuple[int, ...]:
        try:
            values: tuple[int, ...] = shape.unpack_from(self._data, self._at)
        except struct_error as error:
            raise TableError(
                f"the calendar table ends in the middle of a number, at byte {self._at}"
            ) from error
        self._at += shape.size
        return values

    def bytes(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count] if count >= 0 else b""
        if count < 0 or len(piece) != count:
            raise TableError(f"the calendar table ends before {count} bytes that begin at byte {self._at}")
        self._at += count
        return piece

    def text(self) -> str:
        try:
            return self.bytes(self.take(_U16)[0]).decode()
        except UnicodeDecodeError as error:
            raise TableError(f"a text of the calendar table is not UTF-8, near byte {self._at}") from error

    def segment(self) -> tuple[int, int]:
        opens, closes = self.take(_SEGMENT)
        return opens, closes

    def offset(self) -> tuple[int, int]:
        since, minutes = self.take(_OFFSET)
        return since, minutes


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _U16.pack(len(encoded)) + encoded
