"""What a person is told when something went wrong: what, what was allowed, what next; never a traceback in the face."""

from __future__ import annotations

import sys

WRONG_USE = 2
WORK_FAILED = 1


def complain(error: Exception) -> int:
    """Say it on stderr; the exit code that goes with it."""
    from prometheus.core.errors import UserError

    if isinstance(error, UserError):
        print(block(error), file=sys.stderr)
        return WRONG_USE
    print(f"prometheus: something unexpected happened: {type(error).__name__}: {error}", file=sys.stderr)
    print(f"  nothing was hidden: {_kept(error)}", file=sys.stderr)
    print("  what had finished is in the ledger; the same command goes on from there", file=sys.stderr)
    return WORK_FAILED


def block(error: Exception) -> str:
    """The lines for a `UserError`."""
    lines = [f"prometheus: {getattr(error, 'message', None) or error}"]
    for name in ("allowed", "hint"):
        value = getattr(error, name, None)
        if value:
            lines.append(f"  {name}: {value}")
    return "\n".join(lines)


def _kept(error: Exception) -> str:
    """Where the traceback was written, as a phrase; the temporary folder, because home may be what is broken."""
    import tempfile
    import traceback

    text = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="prometheus-error-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            file.write(text)
        return f"the traceback is in {file.name}"
    except OSError:
        sys.stderr.write(text)
        return "the traceback is above"
