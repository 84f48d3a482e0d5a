"""Filters and ranks: who may be held, and the reason for each one who may not.

A reason begins with the name of its rule, up to a colon: `history`, `soft target`, `no seat`, ...
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus.engines.universe.config import UniverseConfig

CORE, SATELLITE, EXCLUDED = "core", "satellite", "excluded"
NONE, WATCHLIST, SOFT_TARGET = "NONE", "WATCHLIST", "SOFT_TARGET"
GONE = "gone: no price in the window"


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the filters look at. `score` is None if the instrument was not assessed."""

    instrument_id: str
    traded: bool  # has a clean price on the session
    sessions: int  # with a clean price among the last `history_sessions`
    dollar_volume: float  # median, USD a session
    quarantined: str | None  # why, if a row of it was put aside lately
    score: float | None
    label: str | None
    modelled: bool  # has a place in the factor model
    soft_target: str = NONE
    soft_target_reason: str = ""
    sector: str | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    """`membership` is core, satellite or excluded; `reason` says why in words."""

    instrument_id: str
    membership: str
    reason: str


@dataclass(frozen=True, slots=True)
class Seating:
    """Who has a seat, and who was turned away because the seats of its sector were taken."""

    seats: frozenset[str]
    turned_away: frozenset[str]


def choose(
    candidates: list[Candidate], before: Mapping[str, str], config: UniverseConfig
) -> list[Membership]:
    """Every candidate's membership, by instrument id. `before` = memberships of the last universe, if it is recent.

    Core: the most traded. Satellites: of the others, the best scored. A member keeps its
    place while it ranks within the size and its buffer; places left over go by rank.
    """
    chosen = {}
    passed = []
    for candidate in candidates:
        member = before.get(candidate.instrument_id, EXCLUDED) != EXCLUDED
        reason = refusal(candidate, config, member=member)
        if reason is None:
            passed.append(candidate)
        else:
            chosen[candidate.instrument_id] = Membership(candidate.instrument_id, EXCLUDED, reason)
    by_volume = sorted(passed, key=lambda one: (-one.dollar_volume, one.instrument_id))
    core = _seats(by_volume, CORE, before, config.core_size, config)
    by_score = sorted(
        (one for one in passed if one.instrument_id not in core.seats),
        key=lambda one: (-(one.score or 0.0), one.instrument_id),
    )
    satellites = _seats(by_score, SATELLITE, before, config.satellite_size, config)
    for rank, one in enumerate(by_volume, 1):
        if one.instrument_id in core.seats:
            reason = f"rank {rank} by traded dollars"
            chosen[one.instrument_id] = Membership(one.instrument_id, CORE, reason)
    for rank, one in enumerate(by_score, 1):
        if one.instrument_id in satellites.seats:
            reason = f"rank {rank} by score outside the core"
            chosen[one.instrument_id] = Membership(one.instrument_id, SATELLITE, reason)
        else:
            reason = f"no seat: {one.label}, rank {rank} by score outside the core, for {config.satellite_size} seats"
            if one.instrument_id in core.turned_away | satellites.turned_away:
                reason = f"sector: the seats of {one.sector} are taken ({config.sector_cap:.0%}); rank {rank} by score"
            chosen[one.instrument_id] = Membership(one.instrument_id, EXCLUDED, reason)
    return [chosen[name] for name in sorted(chosen)]


def refusal(candidate: Candidate, config: UniverseConfig, *, member: bool = False) -> str | None:
    """Why the filters refuse a candidate, or None. `member` = it was in the last universe."""
    needed = config.history_coverage * config.history_sessions
    if candidate.quarantined is not None:
        return f"quarantined: {candidate.quarantined}"
    if not candidate.traded:
        return "no price: none that is clean on the session"
    if candidate.sessions < needed:
        return f"history: {candidate.sessions} of the last {config.history_sessions} sessions, {needed:.0f} needed"
    if candidate.dollar_volume < config.minimum_dollar_volume:
        return (
            f"traded dollars: median {candidate.dollar_volume:,.0f} a session, "
            f"{config.minimum_dollar_volume:,.0f} needed"
        )
    if not candidate.modelled:
        return "no model: it has no place in the factor model"
    if candidate.score is None:
        return "not assessed: it has no score"
    if candidate.soft_target == SOFT_TARGET:
        return f"soft target: {candidate.soft_target_reason}"
    if candidate.soft_target == WATCHLIST and not member:
        return f"watchlist: a member could stay, a newcomer may not enter; {candidate.soft_target_reason}"
    return None


def turnover(before: Mapping[str, str], after: Mapping[str, str]) -> float | None:
    """Share of the members that changed: half of (joined + left) over the mean size; None without a universe before."""
    old = {name for name, membership in before.items() if membership != EXCLUDED}
    new = {name for name, membership in after.items() if membership != EXCLUDED}
    if not old:
        return None
    return len(old ^ new) / (len(old) + len(new))


@dataclass(frozen=True, slots=True)
class Moves:
    """Members that joined and left since the last universe, with the reason that tonight's gives each."""

    joined: Mapping[str, str]
    left: Mapping[str, str]


def moves(before: Mapping[str, str], chosen: Sequence[Membership]) -> Moves:
    """Who came and who went; nobody, without a universe before."""
    old = {name for name, membership in before.items() if membership != EXCLUDED}
    reasons = {one.instrument_id: one.reason for one in chosen}
    new = {one.instrument_id for one in chosen if one.membership != EXCLUDED}
    joined = sorted(new - old) if old else []
    return Moves(
        {name: reasons[name] for name in joined},
        {name: reasons.get(name, GONE) for name in sorted(old - new)},
    )


def rule_counts(chosen: Sequence[Membership]) -> dict[str, int]:
    """How many each rule has left out, by the rule's name."""
    counts = Counter(one.reason.partition(":")[0] for one in chosen if one.membership == EXCLUDED)
    return dict(sorted(counts.items()))


def _seats(
    ranked: list[Candidate], role: str, before: Mapping[str, str], size: int, config: UniverseConfig
) -> Seating:
    reach = round(size * (1.0 + config.buffer))
    stay = [one for one in ranked[:reach] if before.get(one.instrument_id) == role]
    # Seats a sector; a hair is added, since 0.29 x 100 is 28.999...
    most = size if config.sector_cap is None else max(int(size * config.sector_cap + 1e-9), 1)
    seats: set[str] = set()
    turned_away: set[str] = set()
    held: Counter[str] = Counter()
    for one in (*stay, *ranked):
        if len(seats) >= size:
            break
        if one.instrument_id in seats:
            continue
        if one.sector is not None:
            if held[one.sector] >= most:
                turned_away.add(one.instrument_id)
                continue
            held[one.sector] += 1
        seats.add(one.instrument_id)
    return Seating(frozenset(seats), frozenset(turned_away))
