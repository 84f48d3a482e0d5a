"""Why a demand does not fit, as a value and in words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from prometheus.core.demand import Demand


@dataclass(frozen=True, slots=True, eq=False)
class Shortage:
    """Why a demand does not fit: `kind` capacity, pool or bin; `what` names the pool or the resource."""

    kind: str
    what: str
    is_for_ever: bool  # it would not fit an empty machine either


short_of = cache(Shortage)  # what would be equal is one object: telling whether it has changed costs nothing
NO_CPU = short_of("bin", "cpu", is_for_ever=False)


def amount_of(demand: Demand, label: str) -> int:
    """What it asks of one bin by the name that a shortage has for it: millicores, MiB, thousandths of a GPU."""
    if label == "cpu":
        return demand.cpu_milli
    return demand.memory_mib if label == "memory" else demand.gpu_milli


def amount_words(label: str, amount: int) -> str:
    """An amount with its unit."""
    if label == "memory":
        return f"{amount} MiB" if amount < 1024 else f"{amount / 1024:.3g} GiB"
    unit = "core" if label == "cpu" else "GPU"
    if amount == 1000:
        return "1 " + unit
    words = f"{amount / 1000:g}" if amount % 1000 else str(amount // 1000)  # which takes a fifth of the time
    return words + " " + unit + "s"


def demand_words(demand: Demand) -> str:
    """All that it asks of one bin."""
    parts = [amount_words("cpu", demand.cpu_milli), amount_words("memory", demand.memory_mib)]
    if demand.gpu_milli:
        parts.append(amount_words("gpu", demand.gpu_milli))
    return ", ".join(parts)


def held_by(named: str, more: int) -> str:
    """Who holds it, and how many more; nothing where nobody does."""
    if not named:
        return ""
    return f"; in use by {named} and {more} more" if more > 0 else f"; in use by {named}"
