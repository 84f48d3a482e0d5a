"""Why a demand does not fit, as a value and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice

from prometheus.core.demand import Demand

HOLDERS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Shortage:
    """Why a demand does not fit: `kind` capacity, pool or bin; `what` names the pool or the resource."""

    kind: str
    what: str
    is_for_ever: bool  # it would not fit an empty machine either


short_of = cache(Shortage)  # equal ones are one object, so that telling whether one has changed costs nothing
NO_CPU = short_of("bin", "cpu", is_for_ever=False)


def by_label(demand: Demand) -> dict[str, int]:
    """What it asks of one bin, by the names that a shortage has for it: millicores, MiB, thousandths of a GPU."""
    return {"cpu": demand.cpu_milli, "memory": demand.memory_mib, "gpu": demand.gpu_milli}


@lru_cache(maxsize=4096)
def amount_words(label: str, amount: int) -> str:
    """An amount with its unit."""
    if label == "memory":
        return f"{amount} MiB" if amount < 1024 else f"{amount / 1024:.3g} GiB"
    unit = "core" if label == "cpu" else "GPU"
    return f"{amount / 1000:g} {unit}{'' if amount == 1000 else 's'}"


def demand_words(demand: Demand) -> str:
    """All that it asks of one bin."""
    parts = [amount_words("cpu", demand.cpu_milli), amount_words("memory", demand.memory_mib)]
    if demand.gpu_milli:
        parts.append(amount_words("gpu", demand.gpu_milli))
    return ", ".join(parts)


def held_by(holders: Mapping[str, object]) -> str:
    """Who holds it, the first of them by name; nothing where nobody does."""
    if not holders:
        return ""
    more = len(holders) - HOLDERS_SHOWN
    return f"; in use by {', '.join(islice(holders, HOLDERS_SHOWN))}" + (
        f" and {more} more" if more > 0 else ""
    )
