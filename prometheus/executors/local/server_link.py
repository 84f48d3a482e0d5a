"""The scheduler's end of the fork server: starts it, gives it orders without waiting, reads what it reports."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections import deque
from typing import Final, NamedTuple

from prometheus.executors.local import wire

_END_SECONDS: Final = 7.0  # longer than the server's own patience with what it kills


class Report(NamedTuple):
    """What the server says about a worker; `status` is an errno for `wire.REFUSED`, a wait status for `wire.DIED`."""

    operation: bytes
    ticket: int
    pid: int
    status: int
    cpu_us: int
    peak_kib: int


class ServerLink:
    """One fork server. Orders are kept and sent in order; `wants_to_write` while some could not leave yet."""

    def __init__(self, scratch: str) -> None:
        ours, theirs = socket.socketpair()
        # Our own search path goes along: what can be imported here can be imported in a worker.
        path = [os.path.abspath(folder) for folder in sys.path]
        code = (
            f"import sys; sys.path[:] = {path!r}; "
            f"from prometheus.executors.local.forkserver import main; main({theirs.fileno()}, {scratch!r})"
        )
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        ours.setblocking(False)
        self._socket = ours
        self._orders: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self._buffer = bytearray()
        self.has_spoken = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def fileno(self) -> int:
        return self._socket.fileno()

    def fork(self, ticket: int, link: socket.socket, log: int) -> None:
        """Ask for a worker with these descriptors, which are closed here once they are sent."""
        self._order(wire.FORK, ticket, (link.detach(), log))

    def terminate(self, ticket: int) -> None:
        self._order(wire.TERM, ticket)

    def kill(self, ticket: int) -> None:
        self._order(wire.KILL, ticket)

    @property
    def wants_to_write(self) -> bool:
        return bool(self._orders)

    def flush(self) -> None:
        """Send what can be sent now."""
        while self._orders:
            data, descriptors = self._orders[0]
            try:
                if descriptors:
                    socket.send_fds(self._socket, [data], descriptors)
                else:
                    self._socket.send(data)
            except BlockingIOError:
                return
            except OSError:  # the server is gone; `read` tells
                pass
            self._orders.popleft()
            for descriptor in descriptors:
                os.close(descriptor)

    def read(self) -> list[Report] | None:
        """What it has reported; None when it is gone."""
        reports: list[Report] = []
        while True:
            try:
                data = self._socket.recv(1 << 16)
            except BlockingIOError:
                return reports
            except OSError:
                data = b""
            if not data:
                return reports or None  # what it said comes first; its end is seen again at the next call
            self.has_spoken = True
            self._buffer += data
            whole = len(self._buffer) - len(self._buffer) % wire.RECORD.size
            reports += [Report._make(fields) for fields in wire.RECORD.iter_unpack(self._buffer[:whole])]
            del self._buffer[:whole]

    def close(self) -> str:
        """Hang up, so that it kills its workers and ends; wait for that. What it said last, for people."""
        self._socket.close()
        while self._orders:
            for descriptor in self._orders.popleft()[1]:
                os.close(descriptor)
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)  # a survivor may hold the other end
        said = self._process.stderr.read() or b""
        self._process.stderr.close()
        lines = said.decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else f"exit status {self._process.returncode}"

    def _order(self, operation: bytes, ticket: int, descriptors: tuple[int, ...] = ()) -> None:
        self._orders.append((wire.RECORD.pack(operation, ticket, 0, 0, 0, 0), descriptors))
        self.flush()
