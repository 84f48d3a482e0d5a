"""The table that ships with the package, read once: the only place in this room that touches a file."""

from __future__ import annotations

from prometheus.markets.table import Table, TableError, decode

RESOURCE = "calendars.bin"
_kept: list[Table] = []


def shipped_table() -> Table:
    """The table beside this module. Raises `TableError` when the installed file is missing or not what it should be.

    The module's own loader reads it, so it also works from a zip; `importlib.resources` does the same and takes longer
    to import (about 8 ms) than everything else in the calendar together.
    """
    if not _kept:
        origin = __file__.rpartition("shipped.")[0] + RESOURCE
        read = getattr(__spec__.loader, "get_data", None)  # the loader protocol's optional method
        if read is None:
            raise TableError(
                f"the module loader {__spec__.loader!r} cannot read {RESOURCE}; install the package as files"
            )
        try:
            data: bytes = read(origin)
        except OSError as error:
            raise TableError(f"the calendar table {origin} cannot be read: {error}") from error
        _kept.append(decode(data))
    return _kept[0]
