"""What a worker process does: one attempt after another, each in surroundings as the first one found them.

A worker trusts nothing that a job leaves. It may serve again only if the job left no thread and no child process and
did not touch standard output; working directory, environment, umask and the SIGTERM handler it puts back itself.
"""

from __future__ import annotations

import _thread
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Mapping
from types import FrameType
from typing import Any, Final, NoReturn

from prometheus.executors.local import kernel, targets, wire
from prometheus.executors.local.worker_task import WorkerTask, encode_value, install_overrides

THREAD_VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
    "TOKIO_WORKER_THREADS",
)
_TERMINATED_CODE: Final = 128 + signal.SIGTERM
_MESSAGE_LETTERS_AT_MOST: Final = 500
_LEFTOVER_PATIENCE_SECONDS: Final = 5.0
_OURS: Final = os.path.dirname(__file__) + os.sep


def kib(maximum_resident: int) -> int:
    """`ru_maxrss` in KiB: Linux counts so, macOS counts bytes."""
    return maximum_resident // 1024 if sys.platform == "darwin" else maximum_resident


def work(link: socket.socket) -> int:
    """Serve the scheduler at the other end of `link` until it hangs up; the exit code."""
    return _Worker(link).serve()


class Terminated(SystemExit):
    """SIGTERM arrived while a job ran: its `finally` blocks run, then the attempt ends."""

    __module__ = "builtins"  # in tracebacks for people


class _Worker:
    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._lock = _thread.allocate_lock()  # a job may checkpoint from a thread of its own
        self._running = False
        self._key: tuple[object, ...] | None = None
        self._environment: dict[str, str] = {}
        self._home = os.getcwd()
        self._umask = os.umask(0o022)
        os.umask(self._umask)
        self._log = os.fstat(1).st_ino
        # Lines leave at once, so a job that is killed has said what it said; odd text is no reason to fail.
        sys.stdout = sys.__stdout__ = open(  # type: ignore[misc]  # noqa: SIM115  # open for as long as we live
            1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
        )
        sys.stderr = sys.__stderr__ = open(  # type: ignore[misc]  # noqa: SIM115
            2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
        )
        self._streams = (sys.stdin, sys.stdout, sys.stderr)
        signal.signal(signal.SIGTERM, self._on_term)

    def serve(self) -> int:
        unpacker = wire.Unpacker()
        while data := self._hear():
            for order in unpacker.feed(data):
                if not isinstance(order["target"], str):
                    self._become_command(order)
                ended = self._run(order)
                self._say(ended)
                self._put_back()
        _leave_in_order()
        return 0

    def _hear(self) -> bytes:
        try:
            return self._link.recv(1 << 16)
        except ConnectionError:
            return b""

    def _say(self, message: dict[str, Any]) -> None:
        data = wire.pack(message)
        with self._lock:
            self._link.sendall(data)

    def _on_term(self, _number: int, _frame: FrameType | None) -> None:
        if self._running:
            raise Terminated(_TERMINATED_CODE)
        os._exit(_TERMINATED_CODE)

    # One attempt of a function

    def _run(self, order: dict[str, Any]) -> dict[str, Any]:
        """Run the job; what is to be told about its end."""
        is_measured = _forget_peak()
        before = _cpu_seconds()
        outcome, text = self._outcome(order)
        self._flush()
        is_left_clean = not _end_children() and _thread._count() == 0 and self._has_own_log()
        return {
            "kind": "ended",
            "outcome": outcome,
            "text": text,
            "cpu_us": round((_cpu_seconds() - before) * 1e6),
            "peak_kib": kib(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) if is_measured else None,
            "reusable": is_left_clean and outcome in ("done", "error", "try_again"),
        }

    def _outcome(self, order: dict[str, Any]) -> tuple[str, str]:
        try:
            self._running = True
            try:
                self._settle(order)
                function = targets.find_function(order["target"], order["code_dir"])
                value = function(WorkerTask(order, self._say))
                return "done", encode_value("what the job returned", value)
            finally:
                self._running = False
        except targets.Refusal as refusal:
            if refusal.__cause__ is not None:
                self._show(refusal.__cause__)
            return "refused", _short(str(refusal))
        except Terminated as error:
            self._show(error)
            return "terminated", "ended by SIGTERM"
        except SystemExit as error:
            if error.code == 75:
                return "try_again", "the job called sys.exit(75)"
            self._show(error)
            return "error", _short(
                f"the job called sys.exit({error.code!r}); a job ends by returning or raising"
            )
        except BaseException as error:  # noqa: BLE001  # whatever a job raises is an answer, not our fault
            if _is_try_again(error):
                return "try_again", _describe(error)
            self._show(error)
            return "error", _describe(error)

    def _settle(self, order: Mapping[str, Any]) -> None:
        """Make the surroundings that the order asks for. Raises `Refusal`."""
        self._enter(order)
        key = (order["code_dir"], order["source_hash"], order["environment"], order["threads"])
        if key != self._key:
            assert self._key is None, "a worker was given an attempt that its surroundings do not fit"
            os.environ.update(environment_of(order))
            self._environment = dict(os.environ)
            if order["code_dir"] is not None:
                if order["source_hash"]:
                    targets.verify_sources(order["code_dir"], order["source_hash"])
                sys.path.insert(0, order["code_dir"])
            self._key = key
        install_overrides(order["overrides"])

    def _enter(self, order: Mapping[str, Any]) -> None:
        directory = order["directory"] or self._home
        try:
            os.chdir(directory)
        except OSError as error:
            raise targets.Refusal(
                f"the working directory {directory} cannot be entered: {error.strerror}"
            ) from None

    def _show(self, error: BaseException) -> None:
        """Write the traceback to the attempt's log, without the frames that are ours."""
        import traceback

        shown = traceback.TracebackException.from_exception(error)
        shown.stack = traceback.StackSummary.from_list([f for f in shown.stack if not _is_ours(f.filename)])
        self._flush()
        try:
            text = "".join(shown.format())
            os.write(2, text.encode("utf-8", "backslashreplace"))
        except Exception:  # noqa: BLE001  # an exception whose text cannot be made, or a log that the job closed
            return

    def _flush(self) -> None:
        for stream in (*self._streams[1:], sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:  # noqa: BLE001, S112  # closed or replaced by the job: then there is nothing to flush
                continue

    # Between two attempts

    def _has_own_log(self) -> bool:
        try:
            return (
                not self._streams[1].closed
                and not self._streams[2].closed
                and os.fstat(1).st_ino == os.fstat(2).st_ino == self._log
            )
        except (OSError, AttributeError):
            return False

    def _put_back(self) -> None:
        sys.stdin, sys.stdout, sys.stderr = self._streams
        os.umask(self._umask)
        signal.signal(signal.SIGTERM, self._on_term)
        if dict(os.environ) != self._environment and self._key is not None:
            os.environ.clear()
            os.environ.update(self._environment)

    # A command

    def _become_command(self, order: dict[str, Any]) -> NoReturn:
        """Turn this process into the job's command; if that cannot be, say why and end."""
        arguments = order["target"]
        try:
            self._enter(order)
            environment = {**os.environ, **environment_of(order), **order["command_environment"]}
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            os.execvpe(arguments[0], arguments, environment)  # noqa: S606  # running declared commands is the point
        except targets.Refusal as refusal:
            message = str(refusal)
        except (OSError, ValueError) as error:
            message = (
                f"the command {arguments[0]!r} cannot be started: {getattr(error, 'strerror', None) or error}"
            )
        self._say(
            {
                "kind": "ended",
                "outcome": "refused",
                "text": _short(message),
                "cpu_us": None,
                "peak_kib": None,
                "reusable": False,
            }
        )
        os._exit(127)


def environment_of(order: Mapping[str, Any]) -> dict[str, str]:
    """The variables of an attempt: as many threads as it has cores, its device, and what the desk adds."""
    found = dict.fromkeys(THREAD_VARIABLES, str(order["threads"]))
    if order["devices"]:
        found["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, order["devices"]))
    found.update(order["environment"])
    return found


def _leave_in_order() -> None:
    """Give libraries their last word (temporary files), as at the end of any program."""
    import atexit

    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: BLE001, S112  # nobody is left to tell
            continue


def _forget_peak() -> bool:
    """Let the peak of memory start from now; False where the kernel cannot."""
    try:
        with open("/proc/self/clear_refs", "wb", buffering=0) as file:
            file.write(b"5")
    except OSError:
        return False
    return True


def _cpu_seconds() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _end_children() -> bool:
    """Kill what the job started and left running, adopted orphans included; whether there was any."""
    was_any = False
    until = time.monotonic() + _LEFTOVER_PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] != 0:
                continue
        except ChildProcessError:
            return was_any
        was_any = True
        for pid in kernel.children_of(os.getpid()):
            kernel.kill(pid, signal.SIGKILL)
        time.sleep(0.001)
    return True


def _is_try_again(error: BaseException) -> bool:
    outcomes = sys.modules.get("prometheus.core.outcomes")  # not loaded: then nobody can have raised it
    return outcomes is not None and isinstance(error, outcomes.TryAgain)


def _describe(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # a user's exception whose own text fails
        text = "(its text cannot be made)"
    return _short(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MESSAGE_LETTERS_AT_MOST else line[: _MESSAGE_LETTERS_AT_MOST - 1] + "…"


def _is_ours(filename: str) -> bool:
    return filename.startswith((_OURS, "<frozen importlib"))
