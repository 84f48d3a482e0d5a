"""The words that scheduler, fork server and workers exchange, and how they lie on a socket.

Scheduler and worker: four bytes of length (big-endian), then that many bytes of JSON, an object with the key "kind".

    to the worker     {"kind": "run", ...}  one attempt: see `orders.order_of` for its fields
    from the worker   {"kind": "checkpoint", "state": text}
                      {"kind": "ended", "outcome": one of OUTCOMES, "text": output or message, "cpu_us", "peak_kib",
                       "reusable": bool}

Scheduler and fork server: records of `RECORD.size` bytes, each an operation, a worker's ticket, its pid and two numbers.
A ticket is the scheduler's number for a worker; it is never used twice, as a pid may be.
"""

from __future__ import annotations

import json
import struct
from typing import Any, Final

LENGTH: Final = struct.Struct("!I")
MESSAGE_BYTES_AT_MOST: Final = 64 << 20  # anything longer is not ours
VALUE_BYTES_AT_MOST: Final = 256 << 10  # of a job's output or checkpoint, as JSON

RECORD: Final = struct.Struct("!cIiiqq")  # operation, ticket, pid, status, cpu_us, peak_kib
FORK: Final = b"F"  # to the server, with the worker's socket and log pipe as descriptors
TERM: Final = b"T"  # to the server: SIGTERM to the worker's whole group
KILL: Final = b"K"  # to the server: SIGKILL to it
FORKED: Final = b"f"  # from the server: the worker is there; its pid
REFUSED: Final = b"r"  # from the server: no fork; status is the errno
DIED: Final = b"d"  # from the server: the worker and all that it left are gone; its wait status

OUTCOMES: Final = ("done", "error", "try_again", "refused", "terminated")


def pack(message: dict[str, Any]) -> bytes:
    """The bytes of one message."""
    body = json.dumps(message).encode()
    return LENGTH.pack(len(body)) + body


class Unpacker:
    """Messages out of a stream of bytes."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The messages that are complete now. Raises ValueError if the bytes are none of ours."""
        buffer = self._buffer
        buffer += data
        messages: list[dict[str, Any]] = []
        while len(buffer) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(buffer)
            if length > MESSAGE_BYTES_AT_MOST:
                raise ValueError(f"a message of {length} bytes")
            if len(buffer) < LENGTH.size + length:
                break
            message = json.loads(buffer[LENGTH.size : LENGTH.size + length])
            del buffer[: LENGTH.size + length]
            messages.append(_checked(message))
        return messages


_SHAPES: Final[dict[str, dict[str, tuple[type, ...]]]] = {
    "run": {},  # only ours
    "checkpoint": {"state": (str,)},
    "ended": {
        "outcome": (str,),
        "text": (str,),
        "cpu_us": (int, type(None)),
        "peak_kib": (int, type(None)),
        "reusable": (bool,),
    },
}


def _checked(message: object) -> dict[str, Any]:
    """`message` if it is one of ours: a job shares its process with the worker and could write anything."""
    if isinstance(message, dict) and message.get("kind") in _SHAPES:
        shape = _SHAPES[message["kind"]]
        if all(isinstance(message.get(name), types) for name, types in shape.items()) and (
            message["kind"] != "ended" or message["outcome"] in OUTCOMES
        ):
            return message
    raise ValueError(f"a message of unknown shape: {str(message)[:80]}")
