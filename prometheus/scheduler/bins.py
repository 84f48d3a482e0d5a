"""One bin: what it offers, what is in use of it, and which of its GPU devices a demand would get."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from prometheus.core.demand import Bin, Demand

WHOLE_DEVICE_MILLI = 1_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where an attempt holds its demand."""

    bin_id: str
    devices: tuple[int, ...] = ()  # GPUs: none, one for a share, several whole ones


@dataclass(slots=True)
class BinBook:
    """The books of one bin."""

    bin: Bin
    place: Place  # in this bin, without a device
    cpu_used: int = 0
    memory_used: int = 0
    gpu_used: list[int] = field(default_factory=list)
    cpu_free: int = 0  # both below 0 after the bin has shrunk
    memory_free: int = 0
    is_offered: bool = True  # False for a bin that is gone and whose attempts have not ended yet

    def refresh(self) -> None:
        """Work out anew what is free."""
        self.cpu_free = self.bin.cpu_milli - self.cpu_used
        self.memory_free = self.bin.memory_mib - self.memory_used

    def gpu_free(self, device: int) -> int:
        """Thousandths of a device that are free."""
        capacity = self.bin.gpu_milli[device] if device < len(self.bin.gpu_milli) else 0
        return max(0, capacity - self.gpu_used[device])

    def fits(self, demand: Demand, gone: Collection[tuple[Demand, Place]] = ()) -> bool:
        """Whether the demand would fit if `gone`, which are held in it, had ended."""
        if not self.is_offered:
            return False
        cpu, memory, gpu = self.cpu_used, self.memory_used, list(self.gpu_used)
        for held, place in gone:
            cpu, memory = cpu - held.cpu_milli, memory - held.memory_mib
            for device in place.devices:
                gpu[device] -= min(held.gpu_milli, WHOLE_DEVICE_MILLI)
        free_cpu, free_memory = max(0, self.bin.cpu_milli - cpu), max(0, self.bin.memory_mib - memory)
        if free_cpu < demand.cpu_milli or free_memory < demand.memory_mib:
            return False
        if not demand.gpu_milli:
            return True
        return replace(self, gpu_used=gpu).devices_for(demand.gpu_milli) is not None

    def emptied(self) -> BinBook:
        """This bin if nothing ran in it."""
        return replace(self, cpu_used=0, memory_used=0, gpu_used=[0] * len(self.gpu_used))

    def devices_for(self, milli: int) -> tuple[int, ...] | None:
        """Devices for a GPU demand here: the fullest one where a share fits, or so many whole empty ones."""
        count = len(self.bin.gpu_milli)
        if milli <= WHOLE_DEVICE_MILLI:
            fitting = [
                (self.gpu_free(device), device) for device in range(count) if self.gpu_free(device) >= milli
            ]
            return (min(fitting)[1],) if fitting else None
        wanted = -(-milli // WHOLE_DEVICE_MILLI)
        empty = [
            d for d in range(count) if self.gpu_used[d] == 0 and self.bin.gpu_milli[d] >= WHOLE_DEVICE_MILLI
        ]
        return tuple(empty[:wanted]) if len(empty) >= wanted else None
