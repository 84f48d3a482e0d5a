"""Errors that are the user's to mend: each names the thing, its value, what was allowed, and a hint."""

from __future__ import annotations


class UserError(Exception):
    """Something the user gave cannot be used.

    The message is a sentence that names the thing and its value; `allowed` says what would have been accepted and
    `hint` what to do next. Faces print all three and exit 2; nothing has been changed when it is raised.
    """

    def __init__(self, message: str, *, allowed: str | None = None, hint: str | None = None) -> None:
        self.message = message
        self.allowed = allowed
        self.hint = hint
        super().__init__(message, allowed, hint)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.allowed, self.hint), self.__dict__

    def __str__(self) -> str:
        more = []
        if self.allowed:
            more.append(f"Allowed: {self.allowed}.")
        if self.hint:
            more.append(f"Hint: {self.hint}.")
        if not more:
            return self.message
        stop = "" if self.message.endswith((".", "!", "?")) else "."
        return " ".join([self.message + stop, *more])


def _rebuild(kind: type[UserError], message: str, allowed: str | None, hint: str | None) -> UserError:
    error = kind.__new__(kind)  # a kind may take other arguments than its base
    UserError.__init__(error, message, allowed=allowed, hint=hint)
    return error


class DeclarationError(UserError):
    """A pipeline declaration has faults; the message lists every one of them."""


class SettingsError(UserError):
    """A setting in prometheus.toml, the environment or a flag cannot be used."""


class StoreError(UserError):
    """A store (ledger, runtime_db, historical_db) cannot be used as asked."""


class DataError(UserError):
    """Data that a job needs is missing, unreadable or not what its checksum says."""
