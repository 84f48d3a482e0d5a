"""Does a demand fit? One integer operation, whatever the number of resources.

The amounts of a vector lie side by side in one `int`, each in a field with a guard bit above it. With every guard of
`free` set, `free - need` borrows from a guard exactly where that field is too small, so the demand fits when all
guards survive. A field must stay below its guard: `pack` checks the range.
"""

from __future__ import annotations

from collections.abc import Sequence

FIELD_BITS = 40
LIMIT = (1 << (FIELD_BITS - 1)) - 1  # largest amount: 549,755,813,887
_GUARD = 1 << (FIELD_BITS - 1)


def guards(fields: int) -> int:
    """The guard bits of a vector with that many fields."""
    packed = 0
    for index in range(fields):
        packed |= _GUARD << (index * FIELD_BITS)
    return packed


def pack(amounts: Sequence[int]) -> int:
    """The vector as one int. Every amount is 0..LIMIT; anything else is a programmer's fault."""
    packed = 0
    for index, amount in enumerate(amounts):
        assert 0 <= amount <= LIMIT, f"field {index} is {amount}, outside 0..{LIMIT}"
        packed |= amount << (index * FIELD_BITS)
    return packed


def unpack(packed: int, fields: int) -> tuple[int, ...]:
    """The amounts of a packed vector."""
    return tuple((packed >> (index * FIELD_BITS)) & LIMIT for index in range(fields))


def is_within(need: int, free: int, guard: int) -> bool:
    """True when every field of `need` is at most that of `free`."""
    return ((free | guard) - need) & guard == guard
