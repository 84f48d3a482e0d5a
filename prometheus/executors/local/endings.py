"""How a process ended, in words and as a `Failure`."""

from __future__ import annotations

import os
import signal

from prometheus.core.outcomes import TRY_AGAIN_EXIT_CODE
from prometheus.scheduler.events import Failure


def failure_of(status: int, is_command: bool) -> tuple[Failure, str] | None:
    """What the wait status of a process means for its attempt; None for a command that went well."""
    code = os.waitstatus_to_exitcode(status)
    subject = "the command" if is_command else "the job's process"
    if code < 0:
        return Failure.CRASH, f"{subject} was ended by {_signal_name(-code)}{_guess(-code)}"
    if code == TRY_AGAIN_EXIT_CODE:
        return Failure.TRY_AGAIN, f"{subject} ended with exit code {code}: try again later"
    if is_command:
        return None if code == 0 else (Failure.ERROR, f"{subject} ended with exit code {code}")
    return Failure.ERROR, f"{subject} ended with exit code {code} before the job had returned"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _guess(number: int) -> str:
    if number == signal.SIGKILL:
        return ", not by us: the kernel does that when memory runs out, and so does kill -9"
    if number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGABRT, signal.SIGFPE):
        return ": compiled code in it (a library) has a fault"
    return ""
