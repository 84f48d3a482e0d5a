"""Who holds more memory than it may? A job has its own limit, and all workers together have the machine's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from prometheus.executors.local import memory
from prometheus.executors.local.attempt import Attempt, Key
from prometheus.executors.local.worker_link import WorkerLink

_HINT = "give the job more memory, or make it take less at once"


class MemoryWatch:
    """Looks when it is told to. `retire` lets an idle worker end, `stop` ends an attempt for the reason given."""

    def __init__(
        self,
        at_most_mib: int,  # of all workers together
        retire: Callable[[WorkerLink], None],
        stop: Callable[[Attempt, str], None],
    ) -> None:
        self._at_most_mib = at_most_mib
        self._retire = retire
        self._stop = stop

    def look(self, workers: Collection[WorkerLink], attempts: Mapping[Key, Attempt]) -> None:
        """See what every worker holds, and stop what holds too much."""
        used_mib = 0
        for worker in workers:
            if worker.pid is None:
                continue
            worker.tree = memory.tree_of(worker.pid)
            mib = memory.resident_mib(worker.tree)
            used_mib += mib
            attempt = None if worker.attempt is None else attempts[worker.attempt]
            if attempt is None or attempt.stop is not None:
                continue
            limit = attempt.launch.memory_limit_mib
            if limit is not None and mib > limit and len(worker.tree) > 1:
                mib = memory.proportional_mib(worker.tree)
            attempt.peak_mib = max(attempt.peak_mib or 0, mib)
            if limit is not None and mib > limit:
                said = f"used {memory.text_of(mib)} of memory, may use {memory.text_of(limit)}"
                self._stop(attempt, f"{said}: {_HINT}")
        if used_mib > self._at_most_mib:
            self._protect_machine(workers, attempts)

    def _protect_machine(self, workers: Collection[WorkerLink], attempts: Mapping[Key, Attempt]) -> None:
        """All workers together hold too much: idle ones go first, then the largest."""
        for worker in [one for one in workers if one.is_idle]:
            self._retire(worker)
        sizes = {
            worker.ticket: memory.proportional_mib(worker.tree)
            for worker in workers
            if not worker.is_retiring
        }
        total = sum(sizes.values())
        if total <= self._at_most_mib:
            return
        running = [one for one in attempts.values() if one.stop is None and one.worker.ticket in sizes]
        if not running or len(running) < len(attempts):
            return  # one is being stopped already: see what that frees
        largest = max(running, key=lambda one: (sizes[one.worker.ticket], one.worker.ticket))
        said = (
            f"used {memory.text_of(sizes[largest.worker.ticket])} of memory, the most of all jobs, when all together "
            f"used {memory.text_of(total)} and may use {memory.text_of(self._at_most_mib)}"
        )
        self._stop(largest, f"{said}: {_HINT}")
