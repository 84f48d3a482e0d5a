"""The fork server: a small process that makes workers on request, and buries them with everything they left.

It is the parent of every worker and adopts what a dead worker leaves behind; whatever it has adopted it kills. When
the scheduler dies, it ends every worker and itself. It runs no user code and imports the standard library alone.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import time
from typing import Final, NoReturn

from prometheus.executors.local import kernel, runner, wire

_PATIENCE_SECONDS: Final = (
    5.0  # for killed processes to disappear; a big one takes a while to give back its memory
)
_AGAIN_SECONDS: Final = 0.002


class ForkServer:
    """Tickets and pids of the living workers, and the one loop."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._tickets: dict[int, int] = {}  # pid -> ticket
        self._pids: dict[int, int] = {}  # ticket -> pid
        self._wake_in, self._wake_out = os.pipe()
        os.set_blocking(self._wake_out, False)
        os.set_blocking(self._wake_in, False)
        self._scheduler = _watch_parent()

    def serve(self) -> None:
        """Answer the scheduler until it hangs up or dies."""
        kernel.adopt_orphans()
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_out, warn_on_full_buffer=False)
        scheduler = self._scheduler
        waiting = [self._control.fileno(), self._wake_in] + ([] if scheduler is None else [scheduler])
        gc.collect()
        gc.freeze()  # the collector must not touch, and so copy, the pages that workers share with us
        while True:
            ready, _, _ = select.select(waiting, [], [])
            if self._wake_in in ready:
                os.read(self._wake_in, 4096)
                self._bury()
            if scheduler in ready or (self._control.fileno() in ready and not self._obey()):
                return

    def end(self) -> None:
        """Kill every worker and whatever they left."""
        for pid in self._tickets:
            kernel.kill(pid, signal.SIGKILL, group=True)
        self._tickets.clear()
        until = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < until:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    self._kill_orphans()
                    time.sleep(_AGAIN_SECONDS)
            except ChildProcessError:
                return

    def _obey(self) -> bool:
        """Read one order and do it; False when the scheduler is gone."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, wire.RECORD.size, 2)
        except ConnectionError:
            return False
        if len(data) < wire.RECORD.size:
            return False
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        operation, ticket, _, _, _, _ = wire.RECORD.unpack(data)
        if operation == wire.FORK:
            self._fork(ticket, descriptors)
        elif ticket in self._pids:
            pid = self._pids[ticket]  # not yet buried, so the pid is still this worker's
            if operation == wire.KILL:
                kernel.kill(pid, signal.SIGKILL, group=True)
            else:
                kernel.kill(pid, signal.SIGTERM, group=True)
                kernel.kill(pid, signal.SIGCONT, group=True)
        return True

    def _fork(self, ticket: int, descriptors: list[int]) -> None:
        try:
            if len(descriptors) != 2:
                raise OSError(24, "descriptors were lost on the way")
            pid = os.fork()
        except OSError as error:
            self._say(wire.REFUSED, ticket, 0, error.errno or 0)
        else:
            if pid == 0:
                self._become_worker(descriptors)
            self._tickets[pid] = ticket
            self._pids[ticket] = pid
            self._say(wire.FORKED, ticket, pid)
        for descriptor in descriptors:
            os.close(descriptor)

    def _become_worker(self, descriptors: list[int]) -> NoReturn:
        """What the new process does until its end."""
        code = 70
        try:
            server = os.getppid()
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            kernel.die_with_parent()
            if os.getppid() != server:  # it died before the line above could help
                os._exit(code)
            kernel.adopt_orphans()
            kernel.go_first()
            self._control.close()
            os.close(self._wake_in)
            os.close(self._wake_out)
            if self._scheduler is not None:
                os.close(self._scheduler)
            link, log = descriptors
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.close(log)
            code = runner.work(socket.socket(fileno=link))
        except BaseException:  # noqa: BLE001  # nothing may return into the server's loop
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)

    def _bury(self) -> None:
        """Reap the dead. A worker's end is told only when all that it left is gone."""
        while True:
            try:
                dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if dead is None:
                self._kill_orphans()
                return
            pid = dead.si_pid
            if pid in self._tickets:
                kernel.kill(pid, signal.SIGKILL, group=True)  # unburied, so its group is still its own
            _, status, usage = os.wait4(pid, 0)
            ticket = self._tickets.pop(pid, None)
            if ticket is None:
                continue
            del self._pids[ticket]
            until = time.monotonic() + _PATIENCE_SECONDS
            while self._kill_orphans() and time.monotonic() < until:
                time.sleep(_AGAIN_SECONDS)
            cpu_us = round((usage.ru_utime + usage.ru_stime) * 1e6)
            self._say(wire.DIED, ticket, pid, status, cpu_us, runner.kib(usage.ru_maxrss))

    def _kill_orphans(self) -> int:
        """Kill every child that we adopted; how many there were. Each was a dead worker's."""
        orphans = [pid for pid in kernel.children_of(os.getpid()) if pid not in self._tickets]
        for pid in orphans:
            try:
                if os.getpgid(pid) == pid:
                    kernel.kill(pid, signal.SIGKILL, group=True)
                kernel.kill(pid, signal.SIGKILL)
                os.waitpid(pid, os.WNOHANG)
            except (ProcessLookupError, ChildProcessError):
                continue
        return len(orphans)

    def _say(
        self, operation: bytes, ticket: int, pid: int, status: int = 0, cpu_us: int = 0, peak_kib: int = 0
    ) -> None:
        try:
            self._control.sendall(wire.RECORD.pack(operation, ticket, pid, status, cpu_us, peak_kib))
        except OSError:  # the scheduler is gone; the loop sees it next
            return


def _watch_parent() -> int | None:
    """A descriptor that is readable once the scheduler's process has ended, even if a fork of it keeps our socket."""
    parent = os.getppid()
    try:
        return os.pidfd_open(parent)
    except (AttributeError, OSError):  # not Linux, or an old kernel: the socket's end must do
        return None


def main(descriptor: int, scratch: str) -> None:
    """Serve the scheduler at the other end of socket `descriptor`; remove its folder `scratch` in the end."""
    server = ForkServer(socket.socket(fileno=descriptor))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        server.serve()
    finally:
        server.end()
        if os.path.isdir(scratch):
            import shutil  # slow to import, and seldom needed

            shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
