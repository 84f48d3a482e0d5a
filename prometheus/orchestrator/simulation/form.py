"""The form of a workload file: its fields, their types and bounds as pydantic checks them, and the values they stand for."""

from __future__ import annotations

from datetime import datetime
from math import isfinite
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from prometheus.core.demand import Bin, Capacity, Demand
from prometheus.core.instants import SECOND_US
from prometheus.orchestrator.simulation.faults import FaultsPart
from prometheus.orchestrator.simulation.refusing import plain_number, plain_text

Number = BeforeValidator(plain_number)
Seconds = Annotated[float, Number, Field(ge=0, le=1e9, allow_inf_nan=False)]
Spell = Annotated[float, Number, Field(ge=1e-3, le=1e9, allow_inf_nan=False)]
Amount = Annotated[float, Number, Field(ge=0, le=1e6, allow_inf_nan=False)]
Share = Annotated[float, Number, Field(ge=0, le=1, allow_inf_nan=False)]
Devices = Annotated[int, Number, Field(ge=0, le=1_000)]
Pools = dict[str, Annotated[int, Number, Field(ge=0, le=1_000_000_000)]]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BinPart(_Part):
    """One node."""

    id: Annotated[str, Field(min_length=1, max_length=200)]
    cpu: Amount
    memory_gb: Amount = 0
    gpu: Devices = 0


class CapacityPart(_Part):
    """The machine: one bin, or a list of them; pools are counted once for all."""

    cpu: Amount = 0
    memory_gb: Amount | None = None
    gpu: Devices = 0
    pools: Pools = Field(default_factory=dict)
    bins: tuple[BinPart, ...] = ()


class ChangePart(_Part):
    """From `at_s` on the machine is this."""

    at_s: Seconds
    capacity: CapacityPart


class DemandPart(_Part):
    """What one attempt holds."""

    cpu: Amount = 0
    memory_gb: Amount = 0
    gpu: Amount = 0
    pools: Pools = Field(default_factory=dict)


class TaskPart(_Part):
    """One task of the file."""

    id: Annotated[str, Field(min_length=1, max_length=200)]
    tier: Annotated[int, Number, Field(ge=1, le=3)]
    release_s: Seconds = 0
    demand: DemandPart = DemandPart()
    after: tuple[str, ...] = ()
    deadline_s: Seconds | None = None
    history_s: tuple[Seconds, ...] = ()
    duration_s: Seconds
    failures: tuple[Share, ...] = ()
    checkpoint_every_s: Spell | None = None
    timeout_s: Spell | None = None
    degrade: tuple[str, ...] = ()
    degraded_s: dict[str, Seconds] = Field(default_factory=dict)
    backfill: str | None = None


class WorkloadPart(_Part):
    """The file."""

    capacity: CapacityPart
    start: Annotated[datetime, BeforeValidator(plain_text)]
    horizon_s: Spell
    checkpoint_overhead_s: Seconds = 0
    retry_delay_s: Seconds = 60
    capacity_changes: tuple[ChangePart, ...] = ()
    capacity_schedule: tuple[ChangePart, ...] = ()
    backfills: dict[str, Annotated[float, Number, Field(gt=0, le=1, allow_inf_nan=False)]] = Field(
        default_factory=dict
    )
    faults: FaultsPart | None = None
    tasks: tuple[TaskPart, ...]


def demand_of(part: DemandPart) -> Demand:
    """What an attempt holds, in the scheduler's units."""
    return Demand(
        cpu_milli=round(part.cpu * 1000),
        memory_mib=round(part.memory_gb * 1024),
        gpu_milli=round(part.gpu * 1000),
        pools=tuple(sorted((pool, units) for pool, units in part.pools.items() if units)),
    )


def memory_of(part: CapacityPart) -> float:
    """GiB of the only bin; as good as endless if the file does not say."""
    return 1e6 if part.memory_gb is None else part.memory_gb


def capacity_of(part: CapacityPart) -> Capacity:
    """The machine, in the scheduler's units."""
    bins = part.bins or (BinPart(id="machine", cpu=part.cpu, memory_gb=memory_of(part), gpu=part.gpu),)
    return Capacity(
        tuple(
            Bin(one.id, round(one.cpu * 1000), round(one.memory_gb * 1024), (1000,) * one.gpu) for one in bins
        ),
        tuple(sorted(part.pools.items())),
    )


def in_us(seconds: float) -> int:
    """Microseconds of the file's seconds."""
    assert isfinite(seconds)
    return round(seconds * SECOND_US)
