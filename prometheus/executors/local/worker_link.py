"""The scheduler's end of one worker: orders out, messages and log in, none of it ever waiting."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from typing import Any, Final

from prometheus.executors.local import wire
from prometheus.executors.local.memory import Process

_LOG_PIPE_BYTES: Final = 1 << 20
_READ_BYTES: Final = 1 << 20


class WorkerLink:
    """One worker process, from the request to fork it until it is buried."""

    __slots__ = (
        "_out",
        "_unpacker",
        "attempt",
        "cpu_us",
        "is_retiring",
        "key",
        "link",
        "log",
        "pid",
        "served",
        "ticket",
        "tree",
    )

    def __init__(self, ticket: int, key: tuple[object, ...] | None) -> None:
        self.ticket = ticket
        self.key = key
        self.pid: int | None = None  # known once the fork server has said so
        self.attempt: tuple[str, int] | None = None  # what it works on now
        self.served = 0  # attempts that it has ended before
        self.cpu_us = 0  # processor time of those
        self.is_retiring = False
        self.tree: list[Process] = []  # as last sampled
        self._out = bytearray()
        self._unpacker = wire.Unpacker()
        self.log: int
        self.link: socket.socket

    def open(self) -> tuple[socket.socket, int]:
        """Make socket and log pipe; the far ends, for the fork server. Raises OSError when descriptors run out."""
        self.link, far_link = socket.socketpair()
        try:
            self.log, far_log = os.pipe()
        except OSError:
            self.link.close()
            far_link.close()
            raise
        self.link.setblocking(False)
        os.set_blocking(self.log, False)
        with contextlib.suppress(
            AttributeError, OSError
        ):  # not Linux, or the user's share of pipe memory is used up
            fcntl.fcntl(self.log, fcntl.F_SETPIPE_SZ, _LOG_PIPE_BYTES)
        return far_link, far_log

    @property
    def is_idle(self) -> bool:
        return self.attempt is None and not self.is_retiring

    @property
    def wants_to_write(self) -> bool:
        return bool(self._out)

    def send(self, message: dict[str, Any]) -> None:
        self._out += wire.pack(message)
        self.flush()

    def flush(self) -> None:
        """Send what can be sent now."""
        while self._out:
            try:
                sent = self.link.send(self._out)
            except BlockingIOError:
                return
            except OSError:  # it is gone; the fork server tells
                self._out.clear()
                return
            del self._out[:sent]

    def read(self) -> tuple[list[dict[str, Any]], bool]:
        """Messages that have come, and whether the worker has hung up. Raises ValueError for what no worker says."""
        messages: list[dict[str, Any]] = []
        while True:
            try:
                data = self.link.recv(1 << 16)
            except BlockingIOError:
                return messages, False
            except OSError:
                return messages, True
            if not data:
                return messages, True
            messages += self._unpacker.feed(data)
            if len(data) < 1 << 16:
                return messages, False

    def read_log(self) -> bytes | None:
        """Some of what it has written, b"" when nothing is there now, None at the end."""
        try:
            return os.read(self.log, _READ_BYTES) or None
        except BlockingIOError:
            return b""

    def close(self) -> None:
        self.link.close()
        os.close(self.log)
