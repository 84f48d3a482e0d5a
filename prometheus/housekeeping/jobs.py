"""The jobs of this room, as pipelines name them: each takes a task and returns a small JSON value."""

from __future__ import annotations

from prometheus.core.errors import StoreError
from prometheus.core.ids import Json
from prometheus.core.settings import load_settings
from prometheus.housekeeping import archive as archiving
from prometheus.housekeeping import quarantine, room, tables
from prometheus.housekeeping.retention import Retention
from prometheus.pipelines.defaults import parse_memory_mib
from prometheus.pipelines.task import Task
from prometheus.stores.desk import open_desk


def disk_room(task: Task) -> Json:
    """What the stores take, and what is free beside them; fails under the setting `retention.free`."""
    settings = load_settings()
    least = parse_memory_mib(settings.retention.free)
    found = room.look(
        {"home": settings.home, "historical": settings.historical_path, "archive": settings.archive_path}
    )
    tight = [each for each in found if each.free_mib < least]
    if tight:
        places = "; ".join(f"{each.free_mib} MiB beside {each.path}" for each in tight)
        raise StoreError(
            f"there is too little room after {task.session}: {places}",
            allowed=f"at least {settings.retention.free} (the setting retention.free)",
            hint="`prometheus db vacuum --dry-run` and `prometheus db archive --dry-run` say what could go",
        )
    return {"least_free_mib": least, "folders": [each.as_json() for each in found]}


def compact(task: Task) -> Json:
    """Fold the small files of the historical tables."""
    settings = load_settings()
    folded = tables.compact(settings.historical_path, files_at_least=settings.retention.files)
    return {"session": task.session.isoformat(), "tables": [each.as_json() for each in folded]}


def vacuum(task: Task) -> Json:
    """Remove files of the historical tables that no version worth keeping needs, if `retention.versions` says so."""
    desk = open_desk(task)
    settings, retention = desk.settings, Retention.of(desk.settings.retention)
    if retention.versions.count is None:
        return {"kept": "every version", "tables": []}
    since = retention.replays.begin(task.session, task.calendar())
    removed = tables.vacuum(
        settings.historical_path,
        days=retention.versions.count,
        replays_since=since,
        read_by_engines=tables.versions_read(desk.runtime, since),
    )
    return {
        "replays_since": None if since is None else since.isoformat(),
        "tables": [each.as_json() for each in removed],
    }


def archive(task: Task) -> Json:
    """Put old rows of runtime_db aside, and let old quarantined rows go, if the settings say so."""
    desk = open_desk(task)
    retention = Retention.of(desk.settings.retention)
    before = retention.decisions.begin(task.session, task.calendar())
    done = (
        []
        if before is None
        else archiving.archive_before(desk.runtime, desk.writer.claim, desk.settings.archive_path, before)
    )
    old = retention.quarantine.begin(task.session, task.calendar())
    pruned = 0 if old is None else quarantine.prune(desk.settings.historical_path, old)
    return {
        "archived_before": None if before is None else before.isoformat(),
        "archives": [each.as_json() for each in done],
        "quarantine_pruned": pruned,
    }
