"""A Delta table that polars can scan wherever its folder lies."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import deltalake


class DeltaTable(deltalake.DeltaTable):
    """deltalake names files as URLs, polars takes them as paths: a folder with a space or an umlaut was not found."""

    # Any: the arguments are deltalake's own, handed on as they are.
    def file_uris(self, *arguments: Any, **named: Any) -> list[str]:
        """The files of this version, as paths."""
        return [unquote(uri) for uri in super().file_uris(*arguments, **named)]

    @property
    def table_uri(self) -> str:
        """The folder, written as the files are."""
        return unquote(super().table_uri)
