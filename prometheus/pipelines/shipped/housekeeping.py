"""Late at night, when the desk's work is done: is there room, and are the stores in shape?

Nothing here stops a night. What could lose anything is off until `[retention]` asks for it (docs/housekeeping.md).
"""

from prometheus.pipelines import Pipeline, session

pipeline = Pipeline(
    "housekeeping",
    market="US_EQ",
    start=session.close + "5h",
    missed="latest",
    description="Looks for room on the disks, folds small files, removes what no version needs, archives old rows.",
)

JOBS = "prometheus.housekeeping.jobs"

pipeline.add(f"{JOBS}:disk_room", kind="monitoring", timeout="5min", expect="2s")
pipeline.add(f"{JOBS}:compact", kind="monitoring", tier=3, memory="1GB", timeout="60min", expect="20s")
pipeline.add(f"{JOBS}:vacuum", kind="monitoring", tier=3, timeout="60min", expect="10s", after=["compact"])
pipeline.add(f"{JOBS}:archive", kind="monitoring", tier=3, timeout="60min", expect="10s")
