"""The log of one attempt: made at the first byte, never longer than its limit, never a reason to stop a job."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

END_BYTES: Final = 64 << 10  # of the end, kept whatever the limit leaves out
TAIL_LINES: Final = 20
_TAIL_BYTES: Final = 8 << 10
_UNPRINTABLE: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


class AttemptLog:
    """Keeps the head and the end of what an attempt writes, and counts what lies between.

    `fault` says why the file is incomplete, when it is: the job goes on, and its last lines are in memory.
    """

    __slots__ = ("_file", "_head_left", "_limit", "_path", "_recent", "_seen", "fault")

    def __init__(self, path: Path | None, limit_bytes: int) -> None:
        self._path = path
        self._limit = limit_bytes
        self._head_left = limit_bytes - self._end_size
        self._file: int | None = None
        self._recent = bytearray()  # the latest bytes of all
        self._seen = 0
        self.fault: str | None = None

    @property
    def _end_size(self) -> int:
        return min(END_BYTES, self._limit // 2)

    def write(self, data: bytes) -> None:
        """Take what the attempt wrote."""
        if not self._seen:
            self._open()
        self._seen += len(data)
        if self._head_left:
            head = data[: self._head_left]
            self._head_left -= len(head)
            self._save(head)
        self._recent += data[-END_BYTES:]
        if len(self._recent) > 2 * END_BYTES:
            del self._recent[:-END_BYTES]

    def close(self) -> None:
        """Write the end and shut the file. Nothing may be written afterwards."""
        beyond = self._seen - (self._limit - self._end_size)
        if beyond > 0:
            end = bytes(self._recent[len(self._recent) - min(beyond, self._end_size) :])
            if left_out := beyond - len(end):
                self._save(f"\n--- {left_out:,} bytes were left out here ---\n".encode())
            self._save(end)
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def last_lines(self) -> str:
        """The last lines as text for people, without control characters."""
        text = (
            self._recent[-_TAIL_BYTES:].decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
        )
        return "\n".join(_UNPRINTABLE.sub("", text).splitlines()[-TAIL_LINES:])

    def _open(self) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        except OSError as error:
            self._complain(error)

    def _save(self, data: bytes) -> None:
        if self._file is None or self.fault is not None:
            return
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        self.fault = f"{self._path}: {error.strerror}"
