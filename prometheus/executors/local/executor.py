"""The executor of one machine: attempts in worker processes, facts without polling, kills that always work.

Everything happens in the caller's thread: `start` and `cancel` give orders that leave at once, `facts` waits on all
sockets and pipes together and does what time asks for (kill after a grace, look at memory). Only a wake-up may come
from elsewhere. A worker's life: asked for, forked, then attempt after attempt while it is left clean, retired, buried.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import selectors
import shutil
import signal
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from prometheus.core.instants import SECOND_US
from prometheus.executors.contract import Began, Checkpointed, Fact, Failed, Launch, Succeeded
from prometheus.executors.local import endings, kernel, memory, orders, wire
from prometheus.executors.local.attempt import Attempt, Key
from prometheus.executors.local.logs import AttemptLog
from prometheus.executors.local.server_link import Report, ServerLink
from prometheus.executors.local.watching import MemoryWatch
from prometheus.executors.local.worker_link import WorkerLink
from prometheus.executors.pending import PendingFacts
from prometheus.scheduler.events import Failure

_LINGER_US: Final = 2_000  # a `Began` waits so long for its attempt's end
_GATHER_US: Final = 300  # an end waits so long for the end of another attempt that has only just begun
_SAMPLE_US: Final = 50_000  # between two looks at memory while something runs
_RETIRE_US: Final = 1 * SECOND_US  # for a worker's last words (atexit) before it is killed
_CLOSE_US: Final = 10 * SECOND_US  # for killed workers to be gone
_ENDED_REMEMBERED: Final = 100_000  # attempts that a repeated order is still recognised for
_SERVER_TRIES: Final = 3  # starts of a fork server that never says a word
_MACHINE_SHARE: Final = 0.9  # of the machine's memory for all workers together


class LocalExecutor:
    """Runs attempts in processes of this machine (see `prometheus.executors.contract.Executor`).

    The fork server is started at once and not waited for. `idle_workers` is how many are kept warm when nothing runs;
    `memory_mib` is what all workers together may use before the largest is stopped. Use it from one thread.
    """

    def __init__(self, *, idle_workers: int | None = None, memory_mib: int | None = None) -> None:
        self._idle_at_most = (os.cpu_count() or 1) if idle_workers is None else idle_workers
        at_most_mib = int(memory.machine_mib() * _MACHINE_SHARE) if memory_mib is None else memory_mib
        self._watch = MemoryWatch(at_most_mib, self._retire, self._stop_for_memory)
        base = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108  # the name below cannot be guessed, the mode is 0700
        self._scratch = Path(base) / f"prometheus-jobs-{os.getpid()}-{os.urandom(6).hex()}"
        self._pending = PendingFacts(_LINGER_US, _GATHER_US)
        self._attempts: dict[Key, Attempt] = {}
        self._workers: dict[int, WorkerLink] = {}
        self._known: OrderedDict[Key, None] = OrderedDict()
        self._kills: list[tuple[int, int]] = []  # heap of (when, ticket)
        self._tickets = 0
        self._sample_at_us: int | None = None
        self._server_faults = 0
        self._is_closed = False
        self._is_woken = False
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = os.pipe()
        for end in (self._wake_in, self._wake_out):
            os.set_blocking(end, False)
        self._selector.register(self._wake_in, selectors.EVENT_READ, self._on_wake)
        self._server = self._new_server()

    # The contract

    def start(self, launch: Launch) -> None:
        assert not self._is_closed, "start() after close()"
        key = (launch.task_id, launch.attempt)
        if key in self._known:
            return
        self._known[key] = None
        if len(self._known) > _ENDED_REMEMBERED:
            self._forget_one()
        folder: Path | None = None
        try:
            if orders.is_command(launch):
                folder = self._new_folder(launch)
            worker = self._worker_for(orders.key_of(launch))
        except OSError as error:
            self._remove(folder)
            self._add(Failed(*key, Failure.REFUSED, f"no process could be made for it: {error}"))
            return
        log = AttemptLog(launch.log_path, launch.log_limit_bytes)
        self._attempts[key] = Attempt(launch, worker, log, folder)
        worker.attempt = key
        if self._sample_at_us is None:
            self._sample_at_us = _now_us() + _SAMPLE_US
        worker.send(orders.order_of(launch, folder))
        self._listen(worker)
        if worker.pid is not None:
            self._add(Began(*key))

    def cancel(self, task_id: str, attempt: int, failure: Failure, reason: str, grace_us: int) -> None:
        found = self._attempts.get((task_id, attempt))
        if found is None:
            return
        is_first = found.stop is None
        if found.stop is None:
            found.stop = (failure, reason)
        if grace_us <= 0:
            self._server.kill(found.worker.ticket)
        else:
            if is_first:
                self._server.terminate(found.worker.ticket)
            self._kill_later(found.worker, grace_us)
        self._listen_to_server()

    def facts(self, timeout_us: int | None) -> Sequence[Fact]:
        if self._is_closed:
            return self._pending.take()
        now = _now_us()
        until = None if timeout_us is None else now + max(0, timeout_us)
        is_first = True
        while True:
            due = self._pending.due_us()
            if not is_first and (
                self._is_woken or (due is not None and due <= now) or (until is not None and until <= now)
            ):
                self._is_woken = False
                return self._pending.take()
            is_first = False
            moments = [m for m in (until, due, self._sample_at_us) if m is not None]
            if self._kills:
                moments.append(self._kills[0][0])
            self._pump(max(0, min(moments) - now) if moments else None)
            now = _now_us()

    def acknowledge(self, facts: Sequence[Fact]) -> None:
        self._pending.acknowledge(facts)

    def wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it is awake already; closed: nobody sleeps
            os.write(self._wake_out, b"!")

    def living(self) -> frozenset[Key]:
        return frozenset(key for key, attempt in self._attempts.items() if attempt.worker.pid is not None)

    def close(self, grace_us: int = 0) -> None:
        if self._is_closed:
            return
        for key in list(self._attempts):
            self.cancel(*key, Failure.CANCELLED, "the scheduler was closed", grace_us)
        until = _now_us() + max(0, grace_us) + _CLOSE_US
        while self._attempts and (now := _now_us()) < until:
            self._pump(min(until - now, _SAMPLE_US))
        self._is_closed = True
        self._server.close()
        for worker in list(self._workers.values()):
            self._conclude(worker, (Failure.CANCELLED, "the scheduler was closed"))
            self._close_worker(worker)
        self._selector.close()
        wake_out, self._wake_out = self._wake_out, -1
        os.close(wake_out)
        os.close(self._wake_in)
        shutil.rmtree(self._scratch, ignore_errors=True)

    # Waiting

    def _pump(self, timeout_us: int | None) -> None:
        """Wait for something to happen and take it in; then do what time asks for."""
        for ready, mask in self._selector.select(None if timeout_us is None else timeout_us / 1e6):
            ready.data(mask)
        now = _now_us()
        while self._kills and self._kills[0][0] <= now:
            _, ticket = heapq.heappop(self._kills)
            if ticket in self._workers:
                self._server.kill(ticket)
                self._listen_to_server()
        if self._sample_at_us is not None and self._sample_at_us <= now:
            self._sample_at_us = now + _SAMPLE_US if self._attempts else None
            self._watch.look(list(self._workers.values()), self._attempts)

    def _on_wake(self, _mask: int) -> None:
        os.read(self._wake_in, 4096)
        self._is_woken = True

    def _add(self, fact: Fact) -> None:
        self._pending.add(fact, _now_us())

    def _register(self, file: int, is_writing: bool, callback: Callable[[int], None]) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if is_writing else 0)
        try:
            if self._selector.get_key(file).events != events:
                self._selector.modify(file, events, callback)
        except KeyError:
            self._selector.register(file, events, callback)

    def _unregister(self, file: int) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(file)

    # Workers

    def _worker_for(self, key: tuple[object, ...] | None) -> WorkerLink:
        """A warm worker for attempts of this key, or one that is asked for now. Raises OSError."""
        if key is not None:
            for worker in self._workers.values():
                if worker.is_idle and worker.key == key and worker.pid is not None:
                    return worker
        if self._server_faults >= _SERVER_TRIES:
            raise OSError("the fork server does not start; `prometheus doctor` may say why")
        self._tickets += 1
        worker = WorkerLink(self._tickets, key)
        far_link, far_log = worker.open()
        self._workers[worker.ticket] = worker
        self._server.fork(worker.ticket, far_link, far_log)
        self._listen_to_server()
        self._register(worker.log, False, lambda _: self._on_log(worker))
        return worker

    def _listen(self, worker: WorkerLink) -> None:
        if worker.link.fileno() >= 0:
            self._register(
                worker.link.fileno(), worker.wants_to_write, lambda mask: self._on_worker(worker, mask)
            )

    def _on_log(self, worker: WorkerLink) -> None:
        if worker.ticket in self._workers:  # else it was closed by a callback just before this one
            self._read_log(worker)

    def _on_worker(self, worker: WorkerLink, mask: int) -> None:
        if worker.ticket not in self._workers:
            return
        if mask & selectors.EVENT_WRITE:
            worker.flush()
            self._listen(worker)
        if mask & selectors.EVENT_READ:
            self._read_link(worker)

    def _read_link(self, worker: WorkerLink) -> None:
        if worker.link.fileno() < 0:
            return
        try:
            messages, is_over = worker.read()
            for message in messages:
                self._on_message(worker, message)
        except (ValueError, KeyError, TypeError) as error:
            self._hang_up(worker)
            if worker.attempt is not None:
                self.cancel(
                    *worker.attempt, Failure.CRASH, f"its process sent what none of ours does: {error}", 0
                )
            return
        if is_over:  # it has become a command, or is dying: the fork server tells when it is gone
            self._hang_up(worker)

    def _hang_up(self, worker: WorkerLink) -> None:
        if worker.link.fileno() >= 0:
            self._unregister(worker.link.fileno())
            worker.link.close()

    def _read_log(self, worker: WorkerLink) -> bool:
        """Take in some of the worker's output; whether there was any."""
        data = worker.read_log()
        if data is None:
            self._unregister(worker.log)
        elif data and worker.attempt is not None:
            self._attempts[worker.attempt].log.write(data)
        return bool(data)

    def _on_message(self, worker: WorkerLink, message: dict[str, Any]) -> None:
        key = worker.attempt
        if key is None:  # a thread that a job left behind
            return
        if message["kind"] == "checkpoint":
            self._add(Checkpointed(*key, str(message["state"])))
            return
        attempt = self._attempts[key]
        cpu_us, peak_kib = message["cpu_us"], message["peak_kib"]
        if peak_kib is not None:
            attempt.peak_mib = max(attempt.peak_mib or 0, int(peak_kib) // 1024)
        if cpu_us is not None:
            worker.cpu_us += int(cpu_us)
        if attempt.stop is not None:  # told only when its process is gone, so that its place is really free
            self._retire(worker)
            return
        outcome, text = message["outcome"], str(message["text"])
        if outcome == "done":
            self._end(attempt, None, text, cpu_us)
        else:
            self._end(attempt, (_FAILURES[outcome], text), "", cpu_us)
        worker.served += 1
        if message["reusable"] and worker.key is not None:
            self._bound_idle()
        else:
            self._retire(worker)

    def _end(
        self, attempt: Attempt, failed: tuple[Failure, str] | None, output: str, cpu_us: int | None
    ) -> None:
        """Turn the end of an attempt into its last fact."""
        launch, worker = attempt.launch, attempt.worker
        key = (launch.task_id, launch.attempt)
        while self._read_log(worker):  # it is all there: the worker wrote before it told
            pass
        attempt.log.close()
        del self._attempts[key]
        worker.attempt = None
        failed = attempt.stop or failed
        if failed is None:
            self._add(Succeeded(*key, output, cpu_us, attempt.peak_mib))
        else:
            failure, message = failed
            if attempt.log.fault is not None:
                message += f" (its log is incomplete: {attempt.log.fault})"
            self._add(Failed(*key, failure, message, attempt.log.last_lines(), cpu_us, attempt.peak_mib))
        self._remove(attempt.folder)

    def _bound_idle(self) -> None:
        idle = [worker for worker in self._workers.values() if worker.is_idle]
        for worker in idle[: max(0, len(idle) - self._idle_at_most)]:
            self._retire(worker)

    def _retire(self, worker: WorkerLink) -> None:
        """Let an idle worker end by itself, for a short while."""
        if not worker.is_retiring:
            worker.is_retiring = True
            self._hang_up(worker)
            self._kill_later(worker, _RETIRE_US)

    def _kill_later(self, worker: WorkerLink, after_us: int) -> None:
        heapq.heappush(self._kills, (_now_us() + after_us, worker.ticket))

    def _close_worker(self, worker: WorkerLink) -> None:
        del self._workers[worker.ticket]
        self._hang_up(worker)
        self._unregister(worker.log)
        worker.close()

    # The fork server

    def _new_server(self) -> ServerLink:
        server = ServerLink(str(self._scratch))
        self._selector.register(server.fileno(), selectors.EVENT_READ, self._on_server)
        return server

    def _listen_to_server(self) -> None:
        self._register(self._server.fileno(), self._server.wants_to_write, self._on_server)

    def _on_server(self, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            self._server.flush()
            self._listen_to_server()
        if mask & selectors.EVENT_READ:
            reports = self._server.read()
            if reports is None:
                self._lose_server()
                return
            for report in reports:
                worker = self._workers.get(report.ticket)
                if worker is not None:
                    self._on_report(worker, report)

    def _on_report(self, worker: WorkerLink, report: Report) -> None:
        if report.operation == wire.FORKED:
            worker.pid = report.pid
            if worker.attempt is not None:
                self._add(Began(*worker.attempt))
            return
        if report.operation == wire.REFUSED:
            why = f"no process could be made for it: {os.strerror(report.status)}"
            self._conclude(worker, (Failure.REFUSED, why))
        else:
            self._read_link(worker)  # it may have told its end before it died
            self._conclude(worker, None, report)
        self._close_worker(worker)

    def _conclude(
        self, worker: WorkerLink, failed: tuple[Failure, str] | None, report: Report | None = None
    ) -> None:
        """The worker is gone; end its attempt, if it had one, as `failed` or as the process's status says."""
        if worker.attempt is None:
            return
        attempt = self._attempts[worker.attempt]
        output, cpu_us = "null", None
        if report is not None:
            cpu_us = max(0, report.cpu_us - worker.cpu_us)
            if not worker.served:
                attempt.peak_mib = max(attempt.peak_mib or 0, report.peak_kib // 1024)
            failed = endings.failure_of(report.status, orders.is_command(attempt.launch))
            if failed is None and attempt.folder is not None:
                try:
                    output = orders.read_result(attempt.folder, wire.VALUE_BYTES_AT_MOST)
                except ValueError as error:
                    failed = (Failure.ERROR, f"the command ended well, but {error}")
        self._end(attempt, failed, output, cpu_us)

    def _lose_server(self) -> None:
        """The fork server is gone, and its workers with it: make sure of that, say so, and start another."""
        lost, self._server_faults = self._server, 0 if self._server.has_spoken else self._server_faults + 1
        self._unregister(lost.fileno())
        said = lost.close()
        workers = list(self._workers.values())
        roots = {worker.pid for worker in workers if worker.pid is not None}
        seen = {(process.pid, process.began) for worker in workers for process in worker.tree}
        for process in memory.sessions_and_groups() if roots else []:
            if process.session in roots or (process.pid, process.began) in seen:
                kernel.kill(process.pid, signal.SIGKILL)
        for worker in workers:
            self._read_link(worker)
            if lost.has_spoken:
                self._conclude(worker, (Failure.LOST, f"its process died with the fork server ({said})"))
            else:
                self._conclude(worker, (Failure.REFUSED, f"the fork server did not start: {said}"))
            self._close_worker(worker)
        self._server = self._new_server()

    def _stop_for_memory(self, attempt: Attempt, said: str) -> None:
        self.cancel(attempt.launch.task_id, attempt.launch.attempt, Failure.MEMORY, said, 0)

    # Small things

    def _new_folder(self, launch: Launch) -> Path:
        self._scratch.mkdir(mode=0o700, exist_ok=True)
        folder = self._scratch / f"{self._tickets}-{len(self._known)}"
        orders.write_inputs(launch, folder)
        return folder

    def _remove(self, folder: Path | None) -> None:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def _forget_one(self) -> None:
        oldest = next(iter(self._known))
        del self._known[oldest]
        if oldest in self._attempts:
            self._known[oldest] = None


_FAILURES: Final = {
    "error": Failure.ERROR,
    "try_again": Failure.TRY_AGAIN,
    "refused": Failure.REFUSED,
    "terminated": Failure.CRASH,
}


def _now_us() -> int:
    """The monotonic clock: durations here must not jump with the wall clock."""
    return time.monotonic_ns() // 1000
