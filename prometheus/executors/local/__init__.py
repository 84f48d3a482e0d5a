"""Worker processes on this machine: how is a job run, watched and ended without anything left behind?

`executor.LocalExecutor` is the scheduler's side. `forkserver` makes and buries workers, `runner` is what a worker does.
What a worker imports (`wire`, `kernel`, `runner`, `targets`, `worker_task`) is the standard library alone, so that a
fork is cheap and a job starts in a process that holds nothing of ours.
"""
