"""Filters and ranks: who may be held, and the reason for each one who may not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus.engines.universe.config import UniverseConfig

CORE, SATELLITE, EXCLUDED = "core", "satellite", "excluded"


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


@dataclass(frozen=True, slots=True)
class Membership:
    """`membership` is core, satellite or excluded; `reason` says why in words."""

    instrument_id: str
    membership: str
    reason: str


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
        reason = refusal(candidate, config)
        if reason is None:
            passed.append(candidate)
        else:
            chosen[candidate.instrument_id] = Membership(candidate.instrument_id, EXCLUDED, reason)
    by_volume = sorted(passed, key=lambda one: (-one.dollar_volume, one.instrument_id))
    core = _seats([one.instrument_id for one in by_volume], CORE, before, config.core_size, config.buffer)
    by_score = sorted(
        (one for one in passed if one.instrument_id not in core),
        key=lambda one: (-(one.score or 0.0), one.instrument_id),
    )
    ranked = [one.instrument_id for one in by_score]
    satellites = _seats(ranked, SATELLITE, before, config.satellite_size, config.buffer)
    for rank, one in enumerate(by_volume, 1):
        if one.instrument_id in core:
            reason = f"rank {rank} by traded dollars"
            chosen[one.instrument_id] = Membership(one.instrument_id, CORE, reason)
    for rank, one in enumerate(by_score, 1):
        if one.instrument_id in satellites:
            reason = f"rank {rank} by score outside the core"
            chosen[one.instrument_id] = Membership(one.instrument_id, SATELLITE, reason)
        else:
            reason = f"{one.label}: rank {rank} by score outside the core, for {config.satellite_size} seats"
            chosen[one.instrument_id] = Membership(one.instrument_id, EXCLUDED, reason)
    return [chosen[name] for name in sorted(chosen)]


def refusal(candidate: Candidate, config: UniverseConfig) -> str | None:
    """Why the hard filters refuse a candidate, or None."""
    needed = config.history_coverage * config.history_sessions
    if candidate.quarantined is not None:
        return f"quarantined: {candidate.quarantined}"
    if not candidate.traded:
        return "no clean price on the session"
    if candidate.sessions < needed:
        return f"history: {candidate.sessions} of the last {config.history_sessions} sessions, {needed:.0f} needed"
    if candidate.dollar_volume < config.minimum_dollar_volume:
        return (
            f"traded dollars: median {candidate.dollar_volume:,.0f} a session, "
            f"{config.minimum_dollar_volume:,.0f} needed"
        )
    if not candidate.modelled:
        return "no place in the factor model"
    if candidate.score is None:
        return "not assessed"
    return None


def turnover(before: Mapping[str, str], after: Mapping[str, str]) -> float | None:
    """Share of the members that changed: half of (joined + left) over the mean size; None without a universe before."""
    old = {name for name, membership in before.items() if membership != EXCLUDED}
    new = {name for name, membership in after.items() if membership != EXCLUDED}
    if not old:
        return None
    return len(old ^ new) / (len(old) + len(new))


def _seats(ranked: list[str], role: str, before: Mapping[str, str], size: int, buffer: float) -> set[str]:
    reach = round(size * (1.0 + buffer))
    stay = [name for name in ranked[:reach] if before.get(name) == role][:size]
    seats = set(stay)
    for name in ranked:
        if len(seats) >= size:
            break
        seats.add(name)
    return seats
