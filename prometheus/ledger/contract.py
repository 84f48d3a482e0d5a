"""What every ledger promises: one transaction a turn, fenced by the leader's epoch, readable by anyone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from prometheus.core.calendar_overrides import Override
from prometheus.core.errors import StoreError
from prometheus.scheduler.decisions import Decision
from prometheus.scheduler.events import Event
from prometheus.scheduler.snapshot import AttemptRow, RunRow, SloRow, Snapshot, TaskRow


class LedgerUnavailableError(StoreError):
    """The ledger cannot be reached or written now (disk full, database gone, locked): nothing was written, try again."""


class StaleRevisionError(StoreError):
    """Somebody else has committed since: throw the scheduler away and rebuild it from the rows."""


class LeaseLostError(StoreError):
    """Another leader holds a later epoch: this process must not decide any more."""


class LeaseHeldError(StoreError):
    """Another living leader holds the ledger; the message names it (host, process, since when)."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One committed turn, as the log keeps it."""

    revision: int
    epoch: int
    at_us: int
    events: tuple[Event, ...]
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, slots=True)
class RecordedOverride:
    """A calendar override, who recorded it and when; numbers rise by one."""

    number: int
    override: Override
    recorded_us: int
    recorded_by: str


class Ledger(Protocol):
    """Append-only turns and the current rows that follow from them.

    Atomic: a turn and its row changes are one transaction. Idempotent: committing a revision again that is already
    there with the same content succeeds without writing. Ordered: revisions are consecutive from 1.
    """

    def acquire(self, owner: str, now_us: int) -> int:
        """Become leader; the new epoch, higher than any before. `LeaseHeldError` while another leader lives."""

    def commit(
        self, epoch: int, revision: int, at_us: int, events: Sequence[Event], decisions: Sequence[Decision]
    ) -> None:
        """Write turn `revision` (the last one plus 1) durably, or raise and write nothing.

        Raises `StaleRevisionError`, `LeaseLostError`, `LedgerUnavailableError`. After the last one the outcome may be
        unknown: settle it by `revision()`.
        """

    def revision(self) -> int:
        """Number of the last committed turn; 0 before the first."""

    def load(self, run_id: str | None = None) -> Snapshot:
        """The state that the rows say, for `Scheduler.restore`: all of it, or that of one run, as of one turn."""

    def turns(self, after: int = 0, limit: int | None = None) -> Iterator[Turn]:
        """The log, in order."""

    def runs(self, pipeline: str | None = None, limit: int = 100) -> list[RunRow]:
        """The newest runs first, by session then opening."""

    def tasks(self, run_id: str) -> list[TaskRow]: ...

    def attempts(self, task_id: str) -> list[AttemptRow]: ...

    def run(self, run_id: str) -> RunRow | None:
        """One run; None if the ledger does not know it."""

    def attempts_of(self, run_id: str) -> list[AttemptRow]:
        """Every attempt of a run, by task then number, in one reading."""

    def slos(self, run_id: str) -> list[SloRow]: ...

    def overrides(self) -> list[RecordedOverride]:
        """Every calendar override ever recorded, in order."""

    def record_override(self, override: Override, recorded_us: int, recorded_by: str) -> RecordedOverride:
        """Append an override, durably; anyone may, not only the leader. The book must have accepted it before."""

    def check(self) -> list[str]:
        """Differences between the rows and the rows that the log gives; empty when all is well."""

    def release(self, epoch: int) -> None:
        """Give the lease back, so that the next leader need not wait."""

    def close(self) -> None: ...
