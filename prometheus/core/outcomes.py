"""How a job says what it cannot say by returning a value."""

from __future__ import annotations

TRY_AGAIN_EXIT_CODE = 75  # EX_TEMPFAIL of BSD sysexits: what a command ends with to be tried again


class TryAgain(Exception):
    """Raise it in a job: nothing is wrong, it is too early (a file has not arrived, a source is busy).

    The attempt ends as `try_again`; the message says what was waited for. A command says the same with exit code 75.
    """
